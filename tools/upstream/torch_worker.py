"""The upstream side of every comparison: torch and transformers, in a process of their own.

Started by `pipe.py`, never imported; how jobs arrive is said in serve_jobs.py.

Shape letters as in s2t_np/ops.py, and B utterances in a padded batch.
"""

import functools
import os
import statistics
import sys
import time

import numpy as np
import torch
import transformers
from transformers import (
    Speech2TextFeatureExtractor,
    Speech2TextForConditionalGeneration,
    Speech2TextProcessor,
    Speech2TextTokenizer,
)
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # last, so that it hides nothing; for the import below
from serve_jobs import in_batches, numbered, padded, serve


@functools.lru_cache(maxsize=4)
def load_model(folder: str) -> Speech2TextForConditionalGeneration:
    return Speech2TextForConditionalGeneration.from_pretrained(folder).eval()


def model_inputs(features: list[np.ndarray]) -> dict[str, torch.Tensor]:
    """Features (T, M) of B utterances as the model takes them: (B, T, M), with a mask where they differ in length."""
    batch, mask = padded(features)
    masks = {} if mask.all() else {"attention_mask": torch.from_numpy(mask)}
    return {"input_features": torch.from_numpy(batch)} | masks


@functools.lru_cache(maxsize=4)
def load_tokenizer(folder: str) -> Speech2TextTokenizer:
    return Speech2TextTokenizer.from_pretrained(folder)


def load_extractor(folder: str) -> Speech2TextFeatureExtractor:
    """Upstream's extractor; at other rates than 16 kHz, where its numpy path gives NaN, with Kaldi's own filterbank."""
    extractor = Speech2TextFeatureExtractor.from_pretrained(folder)
    if extractor.sampling_rate != 16000:
        extractor._extract_fbank_features = functools.partial(kaldi_fbank, extractor)
    return extractor


def kaldi_fbank(extractor: Speech2TextFeatureExtractor, waveform: np.ndarray) -> np.ndarray:
    """Log-mel features (T, M) by kaldi-native-fbank, which computes what upstream has torchaudio for."""
    import kaldi_native_fbank as knf

    options = knf.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither = extractor.sampling_rate, 0
    options.mel_opts.num_bins = extractor.num_mel_bins
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(extractor.sampling_rate, (np.asarray(waveform, np.float32) * 2**15).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(t) for t in range(computer.num_frames_ready)])


def processed(arrays: dict, folder: str, texts: list[str], languages: list[str]) -> tuple[dict, dict]:
    """What the processor makes of audio.i as a padded batch, and the ids of texts for each target language."""
    tokenizer = load_tokenizer(folder)
    processor = Speech2TextProcessor(load_extractor(folder), tokenizer)
    rate = processor.feature_extractor.sampling_rate
    batch = processor(numbered(arrays, "audio"), sampling_rate=rate, padding=True, return_tensors="np")
    labels = {}
    for language in languages or ("",):
        if language:
            tokenizer.tgt_lang = language
        labels[language] = [processor(text=text).input_ids for text in texts]
    return {"labels": labels}, {name: batch[name] for name in ("input_features", "attention_mask")}


def inputs(folder: str, arrays: dict) -> dict[str, torch.Tensor]:
    """What the model takes, from features as they are or from audio through upstream's own extractor."""
    if "features.0" in arrays:
        return model_inputs(numbered(arrays, "features"))
    extractor = load_extractor(folder)
    audio = numbered(arrays, "audio")
    return dict(extractor(audio, sampling_rate=extractor.sampling_rate, padding=True, return_tensors="pt"))


def versions(arrays: dict) -> tuple[dict, dict]:
    """Who computes the other side."""
    python = sys.version.split()[0]
    return {"python": python, **{m.__name__: m.__version__ for m in (torch, transformers, np)}}, {}


def features(arrays: dict, folder: str) -> tuple[dict, dict]:
    """For audio.i (N,): fbank.i (T, M) before and cmvn.i (T, M) after normalisation, each recording by itself."""
    extractor = Speech2TextFeatureExtractor.from_pretrained(folder)
    out = {}
    for i, samples in enumerate(numbered(arrays, "audio")):
        out[f"fbank.{i}"] = extractor._extract_fbank_features(samples)
        normalised = extractor(samples, sampling_rate=extractor.sampling_rate, return_tensors="np")
        out[f"cmvn.{i}"] = normalised["input_features"][0]
    return {}, out


def record(modules: dict[str, torch.nn.Module], stages: dict, before: bool = False) -> list:
    """Hooks that keep the output of each module, or with `before` its input, under its name."""

    def keep(name, tensors):
        stages[name] = tensors[0] if isinstance(tensors, tuple) else tensors

    if before:
        return [m.register_forward_pre_hook(lambda _, x, n=n: keep(n, x)) for n, m in modules.items()]
    return [m.register_forward_hook(lambda _, __, y, n=n: keep(n, y)) for n, m in modules.items()]


def stages(arrays: dict, folder: str) -> tuple[dict, dict]:
    """Every stage of a teacher-forced pass for features.i (T, M) and tokens (B, U): name -> (B, rows, columns)."""
    model, out = load_model(folder), {}
    encoder, decoder = model.model.encoder, model.model.decoder
    outputs = {f"conv.{i}": m for i, m in enumerate(encoder.conv.conv_layers)}
    outputs |= {f"encoder.{i}": m for i, m in enumerate(encoder.layers)} | {"memory": encoder.layer_norm}
    outputs |= {f"decoder.{i}": m for i, m in enumerate(decoder.layers)}
    hooks = record(outputs, out)
    hooks += record({"embed_features": encoder.layers[0], "embed_tokens": decoder.layers[0]}, out, before=True)
    tokens = torch.from_numpy(arrays["tokens"])
    with torch.inference_mode():
        out["logits"] = model(**inputs(folder, arrays), decoder_input_ids=tokens, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    gated = {name: torch.nn.functional.glu(x, dim=1).transpose(1, 2) for name, x in out.items() if "conv" in name}
    return {}, {name: x.numpy() for name, x in (out | gated).items()}


def modules(arrays: dict, folder: str) -> tuple[dict, dict]:
    """The output of every module by its name, from audio.0 (N,) and tokens (1, U) on, as a porter's hooks write it."""
    model, out = load_model(folder), {}
    hooks = record({name: module for name, module in model.named_modules() if name}, out)
    with torch.inference_mode():
        model(**inputs(folder, arrays), decoder_input_ids=torch.from_numpy(arrays["tokens"]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return {}, {name: x.numpy() for name, x in out.items() if isinstance(x, torch.Tensor)}


def generate(arrays: dict, folder: str, runs: list[dict]) -> tuple[list, dict]:
    """Rows of tokens, and scores, of a batch (features.i or audio.i) for each of `runs`, {"options": {}, "prefix": []}.

    The rows of an utterance stand together, best first; scores are null where upstream gives none (greedy search).
    """
    model, batch = load_model(folder), inputs(folder, arrays)
    size, start = len(batch["input_features"]), model.config.decoder_start_token_id
    results = []
    for run in runs:
        prompt = torch.tensor([[start, *run.get("prefix", [])]] * size)
        more = {"return_dict_in_generate": True, "output_scores": True, "decoder_input_ids": prompt}
        out = model.generate(**batch, **run["options"], **more)
        scores = getattr(out, "sequences_scores", None)
        results.append({"tokens": out.sequences.tolist(), "scores": None if scores is None else scores.tolist()})
    return results, {}


def loss(arrays: dict, folder: str) -> tuple[float, dict]:
    """The cross-entropy that `labels=` gives for features.0 (T, M) and labels (U,)."""
    with torch.inference_mode():
        out = load_model(folder)(**inputs(folder, arrays), labels=torch.from_numpy(arrays["labels"])[None])
    return out.loss.item(), {}


def decode(arrays: dict, folder: str, tokens: list[list[int]]) -> tuple[list[str], dict]:
    """Texts of token rows."""
    return load_tokenizer(folder).batch_decode(tokens, skip_special_tokens=True), {}


def bare_generate(arrays: dict, folder: str, **options) -> tuple[list, dict]:
    """Tokens of audio.i or features.i with the checkpoint's own generation settings but for `options`."""
    return load_model(folder).generate(**inputs(folder, arrays), **options).tolist(), {}


def seconds(arrays: dict, folder: str, **options) -> tuple[list, dict]:
    """Tokens of the best hypothesis for features.0, how long the encoder alone and the whole of generate took; memory.

    Without options the encoder runs alone.
    """
    model, batch = load_model(folder), inputs(folder, arrays)
    began = time.perf_counter()
    with torch.inference_mode():
        memory = model.model.encoder(**batch).last_hidden_state[0].numpy()
    encoded = time.perf_counter()
    tokens = model.generate(**batch, **options)[0].tolist() if options else []
    return [tokens, {"encoder": encoded - began, "generate": time.perf_counter() - encoded}], {"memory": memory}


def batch_seconds(arrays: dict, folder: str, width: int, **options) -> tuple[list, dict]:
    """Tokens of the best hypotheses for features.i, and the seconds that generate took in padded batches of `width`."""
    model = load_model(folder)

    def generate(batch, mask):
        tensors = {"input_features": torch.from_numpy(batch), "attention_mask": torch.from_numpy(mask)}
        return model.generate(**tensors, **options).tolist()

    return in_batches(numbered(arrays, "features"), width, generate), {}


def step_seconds(arrays: dict, folder: str, turns: int) -> tuple[dict, dict]:
    """Medians of one decoder step over memory (S, D) after tokens (K, U): bare, and with the caches' beams reordered.

    Also the logits (K, V) of the last token.
    """
    model, tokens = load_model(folder), torch.from_numpy(arrays["tokens"])
    memory = torch.from_numpy(arrays["memory"])[None].expand(len(tokens), -1, -1)
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
    order, times = torch.arange(len(tokens)), {"step": [], "step and reorder": []}

    def decode(ids):
        out = model.model.decoder(input_ids=ids, encoder_hidden_states=memory, past_key_values=cache, use_cache=True)
        return model.lm_head(out.last_hidden_state[:, -1])

    with torch.inference_mode():
        decode(tokens[:, :-1])
        for kind, values in times.items():
            for _ in range(turns):
                began = time.perf_counter()
                logits = decode(tokens[:, -1:])
                if kind != "step":
                    cache.reorder_cache(order)
                values.append(time.perf_counter() - began)
                cache.crop(-1)
    return {kind: statistics.median(values) for kind, values in times.items()}, {"logits": logits.numpy()}


TIMED = (seconds, batch_seconds, step_seconds)


def main():
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    serve((versions, features, processed, stages, modules, generate, bare_generate, loss, decode, *TIMED))


if __name__ == "__main__":
    main()
