"""One program for both libraries: what people do with the Speech2Text classes, only the imports and "pt" changed.

    python -P same_program.py transformers JOB ANSWER      pickles: {"model", "tokenizers", "audio", "save"} -> results

In the tests' own process it runs on this project; in a process of its own, which does not have the repository on its
path (transformers would take the package `kernels` there for another of that name), on transformers. What it returns
are dicts, lists, strings and numpy arrays, to be compared entry by entry.
"""

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))  # as a script it has -P
from same_searches import FIELDS, OPTIONS, SHOWN, Listener

PADDINGS = {  # how features become a batch
    "longest": {"padding": True},
    "named": {"padding": "longest", "return_tensors": True},
    "list": {},
    "list of one length": {"padding": "max_length", "max_length": 400},
    "to a length": {"padding": "max_length", "max_length": 400, "return_tensors": True},
    "cut": {"padding": "max_length", "max_length": 100, "truncation": True, "return_tensors": True},
    "cut only": {"max_length": 90, "truncation": True},
    "to a multiple": {"padding": True, "pad_to_multiple_of": 64, "return_tensors": True},
    "cut to a multiple": {
        "padding": True,
        "pad_to_multiple_of": 16,
        "max_length": 90,
        "truncation": True,
        "return_tensors": True,
    },
    "no mask": {"return_attention_mask": False},
}


SETTINGS = (
    "feature_extractor_type feature_size sampling_rate num_mel_bins padding_value padding_side return_attention_mask "
    "dither do_ceptral_normalize normalize_means normalize_vars"
).split()
ENCODINGS = {  # options of `encode`
    "padded": {"padding": "max_length", "max_length": 12},
    "length alone": {"max_length": 3},
    "truncated": {"truncation": True},
    "strategy": {"truncation": "longest_first", "max_length": 4},
    "first": {"truncation": "only_first", "max_length": 2},
    "not truncated": {"truncation": "do_not_truncate", "max_length": 2},
    "to no length": {"padding": "max_length"},
    "very short": {"truncation": True, "max_length": 1},
    "bare": {"truncation": True, "max_length": 2, "add_special_tokens": False},
}
IGNORED = -100
TEXTS = ["five six", "zero", "one two three four five six seven eight nine", "", "  seven  ", "7 </s> Five<pad>nine"]


def plain(value):
    """Tensors as arrays, and their containers as dict and list."""
    if hasattr(value, "detach"):
        return value.detach().numpy()
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if hasattr(value, "items"):
        return {name: plain(entry) for name, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


class Program:
    """The classes of one library, what it calls its tensors, and how its padded batches are asked for."""

    def __init__(self, library, tensors: str, padded: dict):
        self.library, self.tensors, self.padded = library, tensors, padded

    def load(self, folder):
        processor = self.library.Speech2TextProcessor.from_pretrained(folder)
        model = self.library.Speech2TextForConditionalGeneration.from_pretrained(folder)
        return model.to("cpu").eval(), processor

    def ids(self, array):
        """Token ids as this library's tensor."""
        if self.tensors == "np":
            return np.asarray(array)
        import torch

        return torch.tensor(array)

    def features(self, processor, audio):
        out = {}
        for name, options in PADDINGS.items():
            more = options | {"return_tensors": self.tensors if options.get("return_tensors") else None}
            out[name] = plain(processor(audio, sampling_rate=16000, **more))
        same = [x[:8000] for x in audio]
        rate = {"sampling_rate": 16000}
        out["one"] = plain(processor(audio[0], return_tensors=self.tensors, **rate))
        out["floats"] = plain(processor(audio[0][:1600].tolist(), **rate))
        out["lists"] = plain(processor([x[:1600].tolist() for x in audio], **rate))
        out["matrix"] = plain(processor(np.stack(same).astype(np.float64), return_tensors=self.tensors, **rate))
        out["labels"] = plain(processor(audio, text=["five six", "zero"] + ["one"] * (len(audio) - 2), **rate))
        out["one label"] = plain(processor(audio[0], text="five six", return_tensors=self.tensors, **rate))
        rows = [processor(x, sampling_rate=16000).input_features[0] for x in audio]
        extractor = processor.feature_extractor
        out["pad"] = plain(extractor.pad([{"input_features": row} for row in rows], return_tensors=self.tensors))
        out["pad arrays"] = plain(extractor.pad({"input_features": rows}))
        cut = {"max_length": 90, "truncation": True, "pad_to_multiple_of": 16}
        out["pad cut"] = plain(extractor.pad({"input_features": rows}, **cut))
        out["pad to a length"] = plain(extractor.pad({"input_features": rows}, padding="max_length", max_length=400))
        out["pad no mask"] = plain(extractor.pad({"input_features": rows}, return_attention_mask=False))
        ragged = processor(audio, return_tensors="np", **rate)
        out["ragged"] = {name: [np.asarray(row) for row in value] for name, value in ragged.items()}
        settings = extractor.to_dict()
        out["settings"] = {name: settings[name] for name in SETTINGS}
        for name, value in {"do_ceptral_normalize": False, "normalize_vars": False, "padding_value": 3.5}.items():
            extractor = self.library.Speech2TextFeatureExtractor.from_pretrained(self.folder, **{name: value})
            out[name] = plain(extractor(audio, padding=True, return_tensors=self.tensors, **rate))
        return out

    def texts(self, tokenizer):
        t, out = tokenizer, {}
        for name, more in {"plain": {}, "bare": {"add_special_tokens": False}}.items():
            out[name] = [t.encode(text, **more) for text in TEXTS]
        out["call"] = plain(t(TEXTS))
        out["one"] = plain(t(TEXTS[0]))
        out["padded"] = plain(t(TEXTS, padding=True, return_tensors=self.tensors))
        out["cut"] = plain(t(TEXTS, padding="max_length", truncation=True, max_length=4, return_tensors=self.tensors))
        out["multiple"] = plain(t(TEXTS, padding=True, pad_to_multiple_of=8))
        for skip in (False, True):
            out[f"decode {skip}"] = [t.decode(ids, skip_special_tokens=skip) for ids in out["plain"]]
            out[f"rows {skip}"] = t.batch_decode(self.ids(out["padded"]["input_ids"]), skip_special_tokens=skip)
            out[f"pieces {skip}"] = t.convert_ids_to_tokens(out["plain"][0], skip_special_tokens=skip)
        out |= self.more_texts(t)
        out["both"] = [t.decode(out["plain"]), t.decode(out["plain"][2][0]), t.batch_decode(out["plain"][2])]
        out["piece"] = [t.convert_ids_to_tokens(5), t.convert_tokens_to_ids(t.convert_ids_to_tokens(5))]
        out["ids"] = t.convert_tokens_to_ids([*t.all_special_tokens, "no such piece"])
        out["special"] = [t.all_special_ids, t.all_special_tokens, t.bos_token_id, t.pad_token_id, t.unk_token]
        out["size"] = [t.vocab_size, len(t), t.get_vocab(), t.lang_code_to_id, t.prefix_tokens, t.padding_side]
        return out

    def more_texts(self, t):
        """The rest of the tokenizer's interface."""
        out = {"tokenize": [t.tokenize(text) for text in TEXTS]}
        out["strings"] = [t.convert_tokens_to_string(pieces) for pieces in out["tokenize"]]
        out["target"] = plain(t(text_target=TEXTS[0]))
        out["text and target"] = plain(
            t(TEXTS, text_target=TEXTS[::-1], max_length=5, max_target_length=3, truncation=True)
        )
        out["masks"] = plain(t(TEXTS, padding=True, return_special_tokens_mask=True, add_special_tokens=True))
        out["no masks"] = plain(t(TEXTS, return_special_tokens_mask=True, add_special_tokens=False))
        out["length"] = plain(t(TEXTS[0], return_length=True, return_attention_mask=False))
        for name, more in ENCODINGS.items():
            out[f"encode {name}"] = [t.encode(text, **more) for text in TEXTS]
        out["built"] = [t.build_inputs_with_special_tokens([5, 6]), t.num_special_tokens_to_add()]
        out["mask of"] = [
            t.get_special_tokens_mask([5, 6]),
            t.get_special_tokens_mask([5, 2, 1, 0], already_has_special_tokens=True),
        ]
        out["map"] = {kind: t.special_tokens_map[f"{kind}_token"] for kind in ("bos", "eos", "unk", "pad")}
        ids = [t.encode(text) for text in TEXTS]
        for clean in (True, False):
            out[f"clean {clean}"] = t.batch_decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=clean)
        examples = [{"input_ids": row} for row in ids]
        out["pad"] = plain(t.pad(examples))
        out["pad tensors"] = plain(t.pad(examples, return_tensors=self.tensors, pad_to_multiple_of=8))
        out["pad dict"] = plain(t.pad({"input_ids": ids}, padding="max_length", max_length=30))
        out["pad one"] = plain(t.pad({"input_ids": ids[0]}, padding="max_length", max_length=30))
        out["pad left"] = plain(t.pad(examples, padding_side="left"))
        t.padding_side = t.truncation_side = "left"
        out["left"] = plain(t(TEXTS, padding="max_length", truncation=True, max_length=4))
        t.padding_side = t.truncation_side = "right"
        return out

    def languages(self, folder):
        """What a multilingual tokenizer writes for each target language."""
        out = {}
        for language in ("fr", "de"):
            t = self.library.Speech2TextTokenizer.from_pretrained(folder, tgt_lang=language)
            out[language] = [t.tgt_lang, t.prefix_tokens, t.encode("ba be"), t.decode(t.encode("ba be"))]
            out[f"{language} skipped"] = t.decode(t.encode("ba be"), skip_special_tokens=True)
            out[f"{language} cut"] = t.encode("ba be bi bo bu", truncation=True, max_length=4)
        t.tgt_lang = "ro"
        out["ro"] = [t.tgt_lang, t.encode("ba be")]
        return out

    def generated(self, model, processor, audio):
        """Ids and scores of single recordings, and of batches with padding."""
        out = {}
        batch = processor(audio, sampling_rate=16000, padding=True, return_tensors=self.tensors)
        single = processor(audio[0], sampling_rate=16000, return_tensors=self.tensors)
        for name, options in OPTIONS.items():
            more = options | {"return_dict_in_generate": True, "output_scores": True}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # both libraries' advice about the lengths
                found = model.generate(**batch, **more, **self.padded)
            scores = found.sequences_scores if more.get("num_beams", 5) > 1 else None  # upstream's greedy has none
            out[name] = {"sequences": plain(found.sequences), "scores": plain(scores)}
        start, rows = model.config.decoder_start_token_id, len(audio)
        for name, prefix in {"prompt": [start, 7], "prefix": [7, 10]}.items():
            ids = self.ids([prefix] * rows)
            out[name] = plain(model.generate(**batch, decoder_input_ids=ids, **self.padded))
        alone = [processor(x, sampling_rate=16000, return_tensors=self.tensors) for x in audio]
        out["each by itself"] = [plain(model.generate(**inputs)) for inputs in alone]
        out["positional"] = plain(model.generate(single.input_features))
        out["named"] = plain(model.generate(inputs=single.input_features, num_beams=2))
        return out

    def shown(self, model, processor, audio):
        """All that generate returns, of one recording at a time; and what it takes beside options."""
        out, every = {}, {"return_dict_in_generate": True, "output_scores": True, "output_logits": True}
        every |= {"output_attentions": True, "output_hidden_states": True}
        for i, sound in enumerate(audio[:2]):
            inputs = processor(sound, sampling_rate=16000, return_tensors=self.tensors)
            for name, options in SHOWN.items():
                found = model.generate(**inputs, **options, **every, max_length=10)
                out[f"{name} {i}"] = {field: plain(getattr(found, field, None)) for field in FIELDS}
            prompt = {"decoder_input_ids": self.ids([[2, 7, 9]]), "decoder_attention_mask": self.ids([[1, 1, 1]])}
            found = model.generate(**inputs, **prompt, **every, num_beams=2, max_length=9)
            out[f"prompt {i}"] = {field: plain(getattr(found, field, None)) for field in FIELDS}
            listener = Listener()
            streamed = model.generate(**inputs, num_beams=1, streamer=listener)
            out[f"streamed {i}"] = [plain(streamed), listener.given, listener.ended]
            encoded = model.get_encoder()(**inputs, output_hidden_states=True)
            states = [plain(encoded.last_hidden_state), plain(encoded.hidden_states)]  # upstream expands them in place
            again = model.generate(encoder_outputs=encoded, attention_mask=inputs.attention_mask)
            out[f"encoder {i}"] = [*states, plain(again)]
            settings = {"num_beams": 2, "num_return_sequences": 2, "max_length": 8, "return_dict_in_generate": True}
            found = model.generate(**inputs, generation_config=self.config(settings))
            out[f"config {i}"] = plain(found.sequences)
        return out

    def config(self, settings):
        """A generation_config of some settings; all others are the model's own."""
        return settings if self.tensors == "np" else self.library.GenerationConfig(**settings)

    def forward(self, model, processor, audio):
        """Logits and losses of given tokens."""
        out = {}
        batch = processor(audio, sampling_rate=16000, padding=True, return_tensors=self.tensors)
        rows = [[5, 6, 7, 2], [8, 2, -100, -100]] + [[9, 10, 2, -100]] * (len(audio) - 2)
        inputs = [[2, 4, 5, 6, 7]] * len(audio)
        calls = {"labels": {"labels": self.ids(rows)}, "inputs": {"decoder_input_ids": self.ids(inputs)}}
        calls["gap"] = {"decoder_input_ids": self.ids([[2, 4, 1, 6, 1]] * len(audio))}  # 1 is padding
        calls["both"] = {"labels": self.ids(rows), "decoder_input_ids": self.ids([row[:4] for row in inputs])}
        for name, call in calls.items():
            result = model(**batch, **call, **self.padded)
            logits = plain(result.logits)
            out[name] = {"logits": logits, "loss": result.loss.item() if "labels" in call else None}
        return out

    def card(self, model_folder, audio):
        """The steps of the model card: one recording, then the evaluation loop."""
        model = self.library.Speech2TextForConditionalGeneration.from_pretrained(model_folder)
        processor = self.library.Speech2TextProcessor.from_pretrained(model_folder, do_upper_case=True)
        input_features = processor(audio[0], sampling_rate=16_000, return_tensors=self.tensors).input_features
        generated_ids = model.generate(input_features=input_features)
        out = {"snippet": processor.batch_decode(generated_ids)}

        def map_to_pred(batch):
            features = processor(batch["array"], sampling_rate=16000, padding=True, return_tensors=self.tensors)
            input_features = features.input_features.to("cpu")
            attention_mask = features.attention_mask.to("cpu")
            gen_tokens = model.generate(input_features=input_features, attention_mask=attention_mask)
            batch["transcription"] = processor.batch_decode(gen_tokens, skip_special_tokens=True)[0]
            return batch

        out["evaluation"] = [map_to_pred({"array": x})["transcription"] for x in audio]
        return out

    def __call__(self, job):
        """Everything, for one model folder; then save it all to job["save"]."""
        self.folder = job["model"]
        model, processor = self.load(self.folder)
        audio = job["audio"]
        out = {"texts": {"model": self.texts(processor.tokenizer)}, "languages": {}}
        for name, folder in job["tokenizers"].items():
            tokenizer = self.library.Speech2TextTokenizer.from_pretrained(folder)
            out["texts"][name] = self.texts(tokenizer)
            tokenizer.save_pretrained(Path(job["save"]) / name)
            out["languages"][name] = self.languages(folder) if tokenizer.lang_code_to_id else {}
        out["features"] = self.features(processor, audio)
        out["generated"] = self.generated(model, processor, audio)
        out["shown"] = self.shown(model, processor, audio)
        out["forward"] = self.forward(model, processor, audio)
        out["card"] = self.card(self.folder, audio)
        processor.save_pretrained(job["save"])
        model.save_pretrained(job["save"])
        return out


def main(library: str, job: str, answer: str):
    import transformers

    assert library == "transformers"
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    program = Program(transformers, "pt", {})
    results = [program(job) for job in pickle.loads(Path(job).read_bytes())]
    Path(answer).write_bytes(pickle.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
