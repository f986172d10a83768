"""What the classes named as in transformers refuse, each with one line that says what was found and what to do."""

import shutil

import numpy as np
import pytest

from s2t_np.errors import AudioError, ModelError, OptionError
from s2t_np.hf import Speech2TextFeatureExtractor, Speech2TextForConditionalGeneration, Speech2TextProcessor
from tests.support.paths import DIGITS

RATE = 16000
SOUND = np.zeros(8000, np.float32)
BAD_AUDIO = {
    "another rate": (SOUND, {"sampling_rate": 8000}, "sampling_rate is 8000, expected the 16000"),
    "torch": (SOUND, {"return_tensors": "pt"}, "return_tensors is 'pt', expected \"np\""),
    "three axes": (np.zeros((2, 3, 8000)), {}, r"audio has shape \(2, 3, 8000\)"),
    "no recording": ([], {}, "audio is an empty list"),
    "an empty one": ([SOUND, SOUND[:0]], {}, "empty"),
    "too short": (SOUND[:399], {}, "expected at least 25 ms"),
    "no such files": (["one", "two"], {}, "cannot be read"),
    "not finite": (np.full(8000, np.nan), {}, "nan"),
    "samples of two channels": (
        np.zeros((8000, 2)),
        {},
        r"shape \(8000, 2\), which looks like \(samples, channels\).*mix it to mono",
    ),
    "a record of neither": ({"path": None, "text": "five"}, {}, "a record of path, text is not a sound"),
    "padding": (SOUND, {"padding": "widest"}, "padding is 'widest'"),
    "to no length": (SOUND, {"padding": "max_length"}, "need a max_length"),
    "cut to no length": (SOUND, {"truncation": True}, "need a max_length"),
    "length 0": (SOUND, {"max_length": 0, "truncation": True}, "max_length is 0"),
    "multiple 0": (SOUND, {"padding": True, "pad_to_multiple_of": 0}, "pad_to_multiple_of is 0"),
}


@pytest.fixture(scope="module")
def processor() -> Speech2TextProcessor:
    return Speech2TextProcessor.from_pretrained("digits")


@pytest.fixture(scope="module")
def model() -> Speech2TextForConditionalGeneration:
    return Speech2TextForConditionalGeneration.from_pretrained("digits")


@pytest.fixture(scope="module")
def batch(processor):
    noise = np.random.default_rng(3).standard_normal(8000).astype(np.float32) / 10
    return processor([noise, noise[:5000]], sampling_rate=RATE, padding=True, return_tensors="np")


@pytest.mark.parametrize("case", BAD_AUDIO)
def test_audio_that_is_refused(processor, case):
    audio, options, message = BAD_AUDIO[case]
    with pytest.raises((OptionError, AudioError), match=message):
        processor(audio, **({"sampling_rate": RATE} | options))


BAD_CALLS = {
    "no features": (lambda m, b: m.generate(), "input_features hold None"),
    "two axes": (lambda m, b: m.generate(b.input_features[0]), r"input_features hold \(80,\)"),
    "bins": (lambda m, b: m.generate(b.input_features[..., :40]), "expected .frames, 80."),
    "words": (lambda m, b: m.generate(["one"]), "input_features hold"),
    "mask": (lambda m, b: m.generate(b.input_features, b.attention_mask[:, 1:]), "attention_mask holds rows of"),
    "half a mask": (lambda m, b: m.generate(b.input_features, b.attention_mask[:1]), "attention_mask holds rows of"),
    "no ones": (lambda m, b: m.generate(b.input_features, 0 * b.attention_mask), "row 0 has 0 ones"),
    "holes": (lambda m, b: m.generate(b.input_features, b.attention_mask * (np.arange(48) != 9)), "one run"),
    "left": (
        lambda m, b: m.generate(b.input_features[:, ::-1], b.attention_mask[:, ::-1], padded_as_upstream=True),
        "padding on the left",
    ),
    "features as ids": (lambda m, b: m.generate(input_ids=b.input_features), "pass the features as input_features"),
    "ids": (lambda m, b: m.generate(**b, input_ids=[[2]]), "pass the features as input_features"),
    "attentions": (
        lambda m, b: m(**b, labels=[[5], [5]], output_attentions=True),
        r"output_attentions is not supported here \(generate\(",
    ),
    "cache of torch": (lambda m, b: m.generate(**b, cache_implementation="quantized"), "cache_implementation is not"),
    "an assistant": (lambda m, b: m.generate(**b, assistant_model=m), r"assistant_model is not supported here \(there"),
    "code": (lambda m, b: m.generate(**b, custom_generate="a/b"), "custom_generate is not .*no code of a model"),
    "groups": (lambda m, b: m.generate(**b, num_beam_groups=2, num_beams=2), "num_beam_groups is 2, which this search"),
    "strings": (lambda m, b: m.generate(**b, stop_strings="five"), "stop_strings are given, but no tokenizer"),
    "streamed beams": (lambda m, b: m.generate(**b, streamer=SOUND, num_beams=2), "streamer with num_beams 2"),
    "a streamed batch": (lambda m, b: m.generate(**b, streamer=SOUND, num_beams=1), "streamer with 2 utterances"),
    "masked prompt": (
        lambda m, b: m.generate(**b, decoder_input_ids=[[2, 5], [2, 5]], decoder_attention_mask=[[1, 1], [0, 1]]),
        "decoder_attention_mask is not supported, but for ones",
    ),
    "mask alone": (lambda m, b: m.generate(**b, decoder_attention_mask=[[1], [1]]), "decoder_attention_mask is not"),
    "no function": (lambda m, b: m.generate(**b, logits_processor=[5]), r"logits_processor is \[5\], expected a list"),
    "a function's shape": (
        lambda m, b: m.generate(**b, logits_processor=[lambda ids, scores: scores[0]]),
        r"logits_processor returned an array \(30,\), expected scores \(5, 30\)",
    ),
    "nothing allowed": (
        lambda m, b: m.generate(**b, prefix_allowed_tokens_fn=lambda i, ids: []),
        r"prefix_allowed_tokens_fn returned \[\], expected ids below 30",
    ),
    "bad word": (lambda m, b: m.generate(**b, bad_words_ids=[[5, 30]]), "bad_words_ids holds the token id 30"),
    "bias": (lambda m, b: m.generate(**b, sequence_bias={(30,): 1.0}), "sequence_bias holds the token id 30"),
    "memory": (lambda m, b: m.generate(encoder_outputs=[SOUND]), r"encoder_outputs have shape \(8000,\)"),
    "memories": (
        lambda m, b: m.generate(encoder_outputs=m.get_encoder()(**b), attention_mask=b.attention_mask[:1]),
        "attention_mask has 1 rows, encoder_outputs 2",
    ),
    "argument of a call": (lambda m, b: m(**b, labels=[[5], [5]], beams=3), "unknown argument beams"),
    "option": (lambda m, b: m.generate(**b, beams=3), "unknown generation option beams"),
    "value": (lambda m, b: m.generate(**b, num_beams=0), "num_beams is 0"),
    "config": (
        lambda m, b: m.generate(**b, generation_config=5),
        "generation_config is 5, expected a GenerationConfig or a",
    ),
    "config's name": (lambda m, b: m.generate(**b, generation_config={"beams": 2}), "unknown generation option beams"),
    "prompts": (lambda m, b: m.generate(**b, decoder_input_ids=[[2]]), "expected integers .2, length."),
    "ragged": (lambda m, b: m.generate(**b, decoder_input_ids=[[2], [2, 3]]), "rows of different lengths"),
    "prompt id": (lambda m, b: m.generate(**b, decoder_input_ids=[[2, 99], [2, 99]]), "token id 99"),
    "no ids": (lambda m, b: m(**b), "give decoder_input_ids or labels"),
    "floats": (lambda m, b: m(**b, labels=[[0.5], [0.5]]), "expected integers"),
    "label": (lambda m, b: m(**b, labels=[[30], [2]]), "ids below 30"),
    "negative": (lambda m, b: m(**b, labels=[[-1], [2]]), "ids below 30"),
    "nothing": (lambda m, b: m(**b, labels=[[-100], [-100]]), "not all -100"),
    "lengths": (lambda m, b: m(**b, labels=[[5], [5]], decoder_input_ids=[[2, 5], [2, 5]]), "one a position"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_calls_that_are_refused(model, batch, case):
    call, message = BAD_CALLS[case]
    with pytest.raises(OptionError, match=message):
        call(model, batch)


def test_text_that_is_refused(processor):
    for text in (5, None, [5], ["one", None]):
        with pytest.raises(OptionError):
            processor(text=text)
    for ids in ([99], [-100], ["five"], [[5], [99]]):
        with pytest.raises(OptionError):
            processor.batch_decode(ids)


def test_names_and_files_that_are_refused(tmp_path, model):
    with pytest.raises(OptionError, match="unknown processor setting do_upper"):
        Speech2TextProcessor.from_pretrained("digits", do_upper=True)
    with pytest.raises(OptionError, match="unknown feature extractor setting hop"):
        Speech2TextFeatureExtractor(hop=160)
    with pytest.raises(OptionError, match="do_upper_case is 'yes'"):
        Speech2TextProcessor.from_pretrained("digits", do_upper_case="yes")
    with pytest.raises(OptionError, match="dtype is 'float8'"):
        Speech2TextForConditionalGeneration.from_pretrained("digits", dtype="float8")
    with pytest.raises(OptionError, match="subfolder 'x': models of the hub are taken from its top folder only"):
        Speech2TextProcessor.from_pretrained("owner/model", subfolder="x")
    with pytest.raises(OptionError, match="push_to_hub is not supported"):
        model.save_pretrained(tmp_path / "out", push_to_hub=True)
    with pytest.raises(OptionError, match=r"dither is 1\.0, expected 0: no noise is added"):
        Speech2TextFeatureExtractor(dither=1.0)
    for kind in (Speech2TextProcessor, Speech2TextForConditionalGeneration):
        with pytest.raises(ModelError, match=r"config\.json: cannot be read"):
            kind.from_pretrained(tmp_path)
        with pytest.raises(ModelError, match="not-there"):
            kind.from_pretrained("./not-there")
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match="file: cannot be written"):
        model.save_pretrained(tmp_path / "file")


def test_a_model_whose_folder_has_gone_cannot_be_saved(tmp_path):
    shutil.copytree(DIGITS, tmp_path / "digits")
    model = Speech2TextForConditionalGeneration.from_pretrained(tmp_path / "digits")
    shutil.rmtree(tmp_path / "digits")
    with pytest.raises(ModelError, match="digits"):
        model.save_pretrained(tmp_path / "saved")


BAD_TEXTS = {
    "a pair": (lambda t: t("one", "two"), "text pairs are not supported by S2T"),
    "a pair of labels": (lambda t: t(text_target="one", text_pair_target="two"), "text pairs are not supported"),
    "a pair of ids": (lambda t: t.build_inputs_with_special_tokens([5], [6]), "text pairs are not supported"),
    "nothing": (lambda t: t(), "text is None, expected a string"),
    "offsets": (
        lambda t: t("one", return_offsets_mapping=True),
        "return_offsets_mapping=True is not supported",
    ),
    "token types": (
        lambda t: t("one", return_token_type_ids=True),
        "return_token_type_ids=True is not supported",
    ),
    "words": (lambda t: t(["one"], is_split_into_words=True), "is_split_into_words=True is not supported"),
    "an option": (lambda t: t("one", pading=True), "unknown tokenizer call setting pading"),
    "torch": (lambda t: t("one", return_tensors="pt"), "return_tensors is 'pt'"),
    "ragged": (lambda t: t(["one", "one two"], return_tensors="np"), "pass padding=True"),
    "padding": (lambda t: t("one", padding="widest"), "padding is 'widest'"),
    "a number for padding": (lambda t: t("one", padding=1), "padding is 1"),
    "truncation": (lambda t: t("one", truncation="only_second", max_length=2), "truncation is 'only_second'"),
    "side": (lambda t: t("one", padding=True, padding_side="top"), "padding_side is 'top'"),
    "its own side": (lambda t: setattr(t, "padding_side", "top"), "padding_side is 'top'"),
    "its length": (lambda t: setattr(t, "model_max_length", 0), "model_max_length is 0"),
    "multiple": (
        lambda t: t("one", padding=True, truncation=True, max_length=5, pad_to_multiple_of=4),
        "max_length 5 is not a multiple of pad_to_multiple_of 4",
    ),
    "no ids": (lambda t: t.pad({"labels": [[5]]}), "pad needs input_ids, .* found labels"),
    "another thing": (lambda t: t.pad([5, 6]), "pad needs input_ids, .* found list"),
    "unequal fields": (lambda t: t.pad({"input_ids": [[5], [6]], "x": [1]}), "as many rows of each field"),
    "a new piece": (lambda t: t.add_tokens(["<new>"]), "cannot be added"),
    "a piece": (lambda t: setattr(t, "pad_token", "no such piece"), "no such piece"),
    "decoding": (lambda t: t.decode([5], beams=3), "unknown decode setting beams"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_calls_of_the_tokenizer_that_are_refused(processor, case):
    call, message = BAD_TEXTS[case]
    with pytest.raises((OptionError, ModelError), match=message):
        call(processor.tokenizer)


def test_rows_that_cannot_be_padded(processor):
    with pytest.raises(OptionError, match=r"pad needs input_features, .* found input_values"):
        processor.feature_extractor.pad({"input_values": [SOUND]})
    with pytest.raises(OptionError, match="need a max_length"):
        processor.feature_extractor.pad({"input_features": [np.zeros((3, 80))]}, padding="max_length")
