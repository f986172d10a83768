"""Damaged, hostile and unsupported checkpoints of fairseq: each is refused in one line that names the file."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

import s2t_np
from s2t_np.checkpoint.fairseq import checkpoint as fairseq
from s2t_np.errors import ModelError
from tests.support.checkpoints import corruptions, name_of, program, saved, text, tup
from tests.support.fairseq_checkpoints import CONFIG_YAML, Checkpoint, example, made, value


class Case(NamedTuple):
    """What is changed in a checkpoint or its folder, and the words that the refusal must hold."""

    change: Callable
    words: tuple[str, ...]


def setting(name, found, *words) -> Case:
    return Case(lambda c: c.settings.update({name: found}), (name, *words))


def yaml(change, *words) -> Case:
    return Case(lambda c: setattr(c, "yaml", change(c.yaml) if callable(change) else change), words)


def without(name: str) -> Case:
    return Case(lambda c: c.tensors.pop(name), ("missing",))


def beside(**entries) -> Case:
    return Case(lambda c: c.more.update(entries), ("not executed",))


def reshape(c: Checkpoint) -> None:
    c.tensors["decoder.layers.0.fc1.weight"] = c.tensors["decoder.layers.0.fc1.weight"][:-1].copy()


def two_heads(c: Checkpoint) -> None:
    c.tensors["decoder.output_projection.weight"] = c.tensors["decoder.output_projection.weight"][:-2].copy()


def with_nan(c: Checkpoint) -> None:
    c.tensors["encoder.layer_norm.weight"][0] = np.nan


CALL = {
    "os.system": name_of("os", "system") + tup(text("touch /tmp/never")) + b"R",
    "posix.system": name_of("posix", "system") + tup(text("true")) + b"R",
    "eval": name_of("builtins", "eval") + tup(text("1")) + b"R",
    "exec of Python 2": name_of("__builtin__", "exec") + tup(text("1")) + b"R",
    "getattr": name_of("builtins", "getattr") + tup(text("a"), text("b")) + b"R",
    "subprocess": made("subprocess", "Popen", {"args": "true"}),
    "pathlib": name_of("pathlib", "PosixPath") + tup(text("/")) + b"R",
    "importlib": name_of("importlib", "import_module") + tup(text("os")) + b"R",
    "torch.load": name_of("torch", "load") + tup(text("x")) + b"R",
    "torch.hub": name_of("torch.hub", "load") + tup(text("x")) + b"R",
    "fairseqx": name_of("fairseqx.evil", "run") + tup() + b"R",
    "numpy.load": name_of("numpy", "load") + tup(text("x")) + b"R",
    "numpy.testing": name_of("numpy.testing._private.utils", "runstring") + tup(text("x"), value({})) + b"R",
    "codecs.open": name_of("_codecs", "lookup") + tup(text("x")) + b"R",
    "copyreg": name_of("copyreg", "_reconstructor") + tup() + b"R",
    "argparse.FileType": name_of("argparse", "FileType") + tup(text("w")) + b"R",
}

CASES = {
    # options that compute something else
    "adaptive softmax": setting("adaptive_softmax_cutoff", "1000,5000"),
    "adaptive input": setting("adaptive_input", True),
    "no cross-attention": setting("no_cross_attention", True),
    "cross and self": setting("cross_self_attention", True),
    "speakers": setting("speaker_to_id", 3),
    "layers of experts": setting("base_layers", 1),
    "noise of quantisation": setting("quant_noise_pq", 0.1),
    "scaled attention": setting("scale_attn", True),
    "pruned layers": setting("decoder_layers_to_keep", "0,1"),
    "other input width": setting("decoder_input_dim", 5),
    "a tied head of another width": setting("decoder_output_dim", 5, "tied"),
    "an activation of no name": setting("activation_fn", "snake", "gelu_accurate"),
    "another architecture": setting("arch", "transformer_iwslt_de_en", "s2t_transformer"),
    "an architecture that is a number": setting("arch", 7),
    "relative positions without their attention": Case(
        lambda c: c.settings.update(arch="s2t_conformer", pos_enc_type="rel_pos"), ("rel_pos", "attn_type='espnet'")
    ),
    # weights of another arrangement
    "post-norm encoder": Case(lambda c: c.settings.update(encoder_normalize_before=False), ("encoder.layer_norm",)),
    "no final norm": Case(lambda c: c.settings.update(no_decoder_final_norm=True), ("decoder.layer_norm",)),
    "embedding norm": setting("layernorm_embedding", True, "missing"),
    "learned positions": Case(lambda c: c.settings.update(decoder_learned_pos=True), ("embed_positions", "missing")),
    "other decoder width": Case(lambda c: c.settings.update(decoder_embed_dim=12), ("embed_tokens", "shape")),
    "no conformer": Case(lambda c: c.settings.update(arch="s2t_conformer"), ("encoder.linear", "missing")),
    "no convtransformer": Case(lambda c: c.settings.update(arch="convtransformer"), ("encoder.conv.0", "missing")),
    "a flag that is text": setting("decoder_normalize_before", "yes", "True or False"),
    # settings that are not what they should be
    "layers as text": setting("encoder_layers", "twelve"),
    "layers as a float": setting("encoder_layers", 2.0),
    "negative layers": setting("decoder_layers", -1),
    "too many layers": setting("encoder_layers", 2**31 - 1),
    "no heads": Case(lambda c: c.settings.update(encoder_attention_heads=0), ("encoder_attention_heads",)),
    "heads that do not divide": Case(lambda c: c.settings.update(encoder_attention_heads=7), ("heads",)),
    "kernels as text": setting("conv_kernel_sizes", "five"),
    "kernels of nothing": setting("conv_kernel_sizes", ""),
    "even kernel": Case(lambda c: c.settings.update(conv_kernel_sizes="4,4"), ("conv_kernel_sizes",)),
    "channels of nothing": Case(lambda c: c.settings.update(conv_channels=0), ("conv_channels",)),
    # tensors
    "a tensor is missing": without("encoder.transformer_layers.0.fc2.bias"),
    "the embedding is missing": Case(lambda c: c.tensors.pop("decoder.embed_tokens.weight"), ("embed_tokens",)),
    "a tensor too many": Case(lambda c: c.tensors.update({"decoder.gate": np.ones(2, np.float32)}), ("unknown",)),
    "a tensor of another shape": Case(reshape, ("fc1.weight", "shape")),
    "an output of another height": Case(two_heads, ("output_projection",)),
    "a number that is none": Case(with_nan, ("layer_norm.weight", "NaN")),
    # config.yaml
    "no yaml": yaml("", "keys and values"),
    "broken yaml": yaml("a: [1, 2", "YAML"),
    "a list": yaml("- 1\n- 2\n", "keys and values"),
    "python in yaml": yaml("!!python/object/apply:os.system ['true']", "YAML"),
    "bytes in yaml": yaml("\x00\x01", "YAML"),
    "other tokens": yaml(lambda y: y.replace("bpe: sentencepiece", "bpe: subword_nmt"), "subword_nmt"),
    "no tokenizer": yaml(lambda y: y.replace("bpe_tokenizer", "bpe_tokeniser"), "bpe_tokenizer"),
    "a tokenizer before": yaml(lambda y: y + "pre_tokenizer: {tokenizer: moses}\n", "moses"),
    "no model of pieces": yaml(lambda y: y.replace("spm.model", "other.model"), "other.model", "beside"),
    "no dictionary": yaml(lambda y: y.replace("dict.txt", "other.txt"), "other.txt", "beside"),
    "dictionary as a number": yaml(lambda y: y.replace("dict.txt", "7"), "vocab_filename"),
    "another transform": yaml(lambda y: y.replace("utterance_cmvn", "delta_deltas"), "delta_deltas"),
    "no statistics": yaml(lambda y: y.replace("utterance_cmvn", "global_cmvn"), "stats_npz_path"),
    "statistics that are not there": yaml(
        lambda y: y.replace("utterance_cmvn", "global_cmvn") + "global_cmvn: {stats_npz_path: /d/g.npz}\n", "g.npz"
    ),
    "bins as text": yaml(lambda y: y.replace("channel: 80", "channel: many"), "input_feat_per_channel"),
    "other bins": yaml(lambda y: y.replace("channel: 80", "channel: 40"), "conv_layers.0.weight"),
    "rate as text": yaml(lambda y: y + "sample_rate: fast\n", "sample_rate"),
    "a rate of nothing": yaml(lambda y: y + "sample_rate: 0\n", "sample_rate"),
    "sound instead of features": yaml(lambda y: y + "use_audio_input: true\n", "use_audio_input"),
    "a tag that is no flag": yaml(lambda y: y + "prepend_tgt_lang_tag: 7\n", "prepend_tgt_lang_tag"),
    # code
    **{f"code: {name}": beside(extra=code) for name, code in CALL.items()},
}


def refusal(path) -> str:
    """The message of the refusal, held to one line that names the checkpoint's folder."""
    with pytest.raises(ModelError) as error:
        s2t_np.load(path, backend="numpy")
    message = str(error.value)
    assert str(path.parent) in message and "\n" not in message and len(message) < 1500
    return message


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line(tmp_path, name):
    checkpoint = example()
    CASES[name].change(checkpoint)
    message = refusal(checkpoint.write(tmp_path))
    assert not [word for word in CASES[name].words if word not in message], message


def test_there_are_enough_kinds():
    assert len(CASES) >= 50


TOPS = {
    "a list": value([1, 2]),
    "nothing": b"N",
    "no model": value({"args": None, "cfg": {"model": {}}}),
    "a model without settings": value({"model": {}}),
    "settings of nothing": value({"args": None, "cfg": None, "model": {}}),
    "a model that is a list": value({"cfg": {"model": {}}, "model": [1]}),
    "a model of numbers": value({"cfg": {"model": {}}, "model": {"a": 1}}),
    "cfg that is text": value({"cfg": "x", "model": {}}),
    "nested for ever": b"}" + text("model") + b"]" * 500 + b"a" * 499 + b"s",
}


@pytest.mark.parametrize("name", TOPS)
def test_pickles_of_something_else(tmp_path, name):
    from tests.support.checkpoints import Entry, zip_archive

    path = example().write(tmp_path)
    saved(tmp_path, path.name, zip_archive([Entry("m/data.pkl", program(TOPS[name]))]))
    refusal(path)


FILES = {
    "cut in the middle": lambda content: content[: len(content) // 2],
    "cut at the end": lambda content: content[:-30],
    "empty": lambda content: b"",
    "a web page": lambda content: b"<!doctype html><html>",
    "git-lfs": lambda content: b"version https://git-lfs.github.com/spec/v1\n",
    "zeros": lambda content: bytes(5000),
    "a stream that breaks off": lambda content: content[:100],
}


@pytest.mark.parametrize("legacy", (False, True), ids=("zip", "stream"))
@pytest.mark.parametrize("name", FILES)
def test_damaged_files(tmp_path, name, legacy):
    checkpoint = dataclasses.replace(example(), legacy=legacy)
    path = checkpoint.write(tmp_path)
    saved(tmp_path, path.name, FILES[name](checkpoint.file()))
    refusal(path)


@pytest.mark.parametrize("legacy", (False, True), ids=("zip", "stream"))
def test_one_changed_byte_is_refused_or_harmless(tmp_path, legacy):
    """In the pickle, where all the structure is: never anything but a ModelError."""
    checkpoint = dataclasses.replace(example(), legacy=legacy)
    path, refused = checkpoint.write(tmp_path), 0
    pickled = checkpoint.pickled()
    content = checkpoint.file()
    begin = content.index(pickled)
    for damaged in corruptions(pickled, 300):
        saved(tmp_path, path.name, content[:begin] + damaged + content[begin + len(pickled) :])
        try:
            fairseq.read(path)
        except ModelError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 100


DICTIONARIES = {
    "empty": (b"", "no piece"),
    "no counts": (b"a\nb\n", "line 1"),
    "twice": (b"a 1\na 1\n", "line 2"),
    "a special piece": (b"a 1\n<pad> 1\n", "line 2"),
    "not text": (b"\xff\xfe 1\n", "UTF-8"),
    "of another model": ("".join(f"piece{i} 1\n" for i in range(196)).encode(), "different models"),
    "too short": (b"a 1\n", "different models"),
}


@pytest.mark.parametrize("name", DICTIONARIES)
def test_dictionaries(tmp_path, name):
    path = example().write(tmp_path)
    content, words = DICTIONARIES[name]
    (tmp_path / "dict.txt").write_bytes(content)
    assert words in refusal(path)


def test_statistics_that_are_damaged(tmp_path):
    checkpoint = example()
    checkpoint.yaml = CONFIG_YAML.replace("utterance_cmvn", "global_cmvn") + "global_cmvn: {stats_npz_path: g.npz}\n"
    path = checkpoint.write(tmp_path)
    np.savez(tmp_path / "g.npz", mean=np.ones(80), std=np.ones(80))
    whole = (tmp_path / "g.npz").read_bytes()
    wrong = [whole[:100], b"", b"PK" + bytes(50), *corruptions(whole, 60)]
    refused = 0
    for content in wrong:
        (tmp_path / "g.npz").write_bytes(content)
        try:
            fairseq.read(path)
        except ModelError as error:
            refused += "g.npz" in str(error)
    assert refused > 20
    for mean, std in ((np.ones(40), np.ones(40)), (np.ones(80), np.zeros(80)), (np.full(80, np.nan), np.ones(80))):
        np.savez(tmp_path / "g.npz", mean=mean, std=std)
        assert "g.npz" in refusal(path)
    np.savez(tmp_path / "g.npz", mean=np.array([object()] * 80), std=np.ones(80))
    assert "g.npz" in refusal(path)


def test_missing_files(tmp_path):
    path = example().write(tmp_path)
    (tmp_path / "config.yaml").unlink()
    assert "config.yaml" in refusal(path)
