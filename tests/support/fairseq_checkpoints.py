"""Checkpoints as fairseq lays them out, written byte by byte: every generation of its settings, both containers.

The layout is that of fairseq/checkpoint_utils.py (`save_checkpoint`): a dict of args, cfg, model, and much that only
training needs. Names and settings are fairseq's; the weights are those of a small random model.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from s2t_np.config import ModelConfig
from tests.support import checkpoints, small_tokenizers
from tests.support.checkpoints import Entry, dictionary, name_of, number, program, text, tup, view_of, zip_archive
from tools.random_checkpoint import random_tensors, shape_config

LAYOUTS = ("args", "cfg dict", "cfg with a Namespace", "OmegaConf")
CONFIG_YAML = """\
bpe_tokenizer:
  bpe: sentencepiece
  sentencepiece_model: /data/run/spm.model
input_channels: 1
input_feat_per_channel: 80
transforms:
  '*':
  - utterance_cmvn
  _train:
  - utterance_cmvn
  - specaugment
vocab_filename: dict.txt
"""


def value(x) -> bytes:
    """The instructions that push a plain value; bytes are instructions already."""
    writers = {
        bytes: lambda x: x,
        type(None): lambda _: b"N",
        bool: lambda x: b"\x88" if x else b"\x89",
        int: number,
        float: lambda x: b"G" + np.array(x, ">f8").tobytes(),
        str: text,
        list: lambda x: b"](" + b"".join(map(value, x)) + b"e",
        tuple: lambda x: tup(*map(value, x)),
        dict: lambda x: dictionary({name: value(entry) for name, entry in x.items()}),
    }
    return writers[type(x)](x)


def made(module: str, name: str, state: dict) -> bytes:
    """An object of a class, made by NEWOBJ, with its attributes set by BUILD."""
    return name_of(module, name) + b")\x81" + value(state) + b"b"


def namespace(settings: dict) -> bytes:
    return made("argparse", "Namespace", settings)


def dict_config(entries: dict[str, bytes]) -> bytes:
    """An OmegaConf DictConfig of nodes."""
    return made("omegaconf.dictconfig", "DictConfig", {"_metadata": metadata(), "_parent": None, "_content": entries})


def any_node(x) -> bytes:
    return made("omegaconf.nodes", "AnyNode", {"_metadata": metadata(), "_parent": None, "_val": x})


def metadata() -> bytes:
    return made("omegaconf.base", "Metadata", {"ref_type": name_of("typing", "Any"), "flags": {}, "optional": True})


@dataclass
class Checkpoint:
    """What goes into a folder; every field can be changed before it is written."""

    config: ModelConfig
    settings: dict
    tensors: dict[str, np.ndarray]  # by fairseq's names
    layout: str = "cfg with a Namespace"
    legacy: bool = False
    optimizer: dict[str, np.ndarray] = field(default_factory=dict)
    yaml: str = CONFIG_YAML
    kind: str = "unigram"
    more: dict[str, object] = field(default_factory=dict)  # entries beside model

    def content(self) -> dict[str, bytes]:
        """The top of the pickle, without the model's and the optimiser's tensors."""
        plain = self.settings | {"adam_betas": (0.9, 0.98), "lr": [0.002], "bpe": None}
        model = {
            "args": lambda: b"N",
            "cfg dict": lambda: value({"model": plain, "task": {"_name": "speech_to_text"}}),
            "cfg with a Namespace": lambda: value({"model": namespace(plain), "task": namespace({"data": "/data"})}),
            "OmegaConf": lambda: dict_config({"model": dict_config({k: any_node(v) for k, v in plain.items()})}),
        }[self.layout]()
        args = namespace(plain) if self.layout == "args" else b"N"
        return {"args": args, "cfg": model, "criterion": value({}), "extra_state": value({"epoch": 3, "val_loss": 1.5})}

    def all_tensors(self) -> dict[str, np.ndarray]:
        return self.tensors | self.optimizer

    def pickled(self) -> bytes:
        """The instructions of the whole checkpoint."""
        views = {name: view_of(a, str(i)) for i, (name, a) in enumerate(self.all_tensors().items())}
        model = {name: views[name].tensor(self.legacy) for name in self.tensors}
        state = {name: views[name].tensor(self.legacy) for name in self.optimizer}
        entries = self.content() | {"model": dictionary(model, checkpoints.ORDERED_DICT) + checkpoints.METADATA}
        entries |= {"last_optimizer_state": value({"state": state})} if state else {}
        return program(dictionary(entries | {name: value(x) for name, x in self.more.items()}))

    def file(self) -> bytes:
        """The .pt."""
        if self.legacy:
            return checkpoints.torch_legacy(self.all_tensors(), object=self.pickled())
        data = [Entry(f"model/data/{i}", a.tobytes()) for i, a in enumerate(self.all_tensors().values())]
        return zip_archive([Entry("model/data.pkl", self.pickled()), *data, Entry("model/version", b"3\n")])

    def write(self, folder: Path, name: str = "checkpoint_best.pt") -> Path:
        """Write the folder: the .pt, config.yaml, dict.txt, spm.model. Returns the path of the .pt."""
        folder.mkdir(parents=True, exist_ok=True)
        checkpoints.saved(folder, name, self.file())
        serialised = small_tokenizers.model(self.kind)
        pieces = list(small_tokenizers.vocabulary(serialised))[4:]
        (folder / "spm.model").write_bytes(serialised)
        (folder / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in pieces), encoding="utf-8")
        (folder / "config.yaml").write_text(self.yaml, encoding="utf-8")
        return folder / name


def example(kind: str = "unigram", seed: int = 0, dtype=np.float32, **shape) -> Checkpoint:
    """A small random model whose vocabulary is that of a small tokenizer."""
    size = len(small_tokenizers.vocabulary(small_tokenizers.model(kind)))
    data = shape_config("tiny", **({"vocab_size": size, "input_feat_per_channel": 80} | shape))
    config = ModelConfig.from_dict(data)
    tensors = {old_name(name): a.astype(dtype) for name, a in random_tensors(config, seed).items()}
    head = (
        {}
        if "decoder.output_projection.weight" in tensors
        else {"decoder.output_projection.weight": tensors["decoder.embed_tokens.weight"]}
    )
    return Checkpoint(config, settings_of(config), tensors | head | left_overs(config), kind=kind)


def old_name(name: str) -> str:
    """transformers' name of a tensor -> fairseq's."""
    if name == "lm_head.weight":
        return "decoder.output_projection.weight"
    name = name.removeprefix("model.")
    name = name.replace("encoder.conv.", "encoder.subsample.", 1)
    return name.replace("encoder.layers.", "encoder.transformer_layers.", 1)


def left_overs(config: ModelConfig) -> dict[str, np.ndarray]:
    """Tensors that fairseq 0.12 stores beside those of the network."""
    found = {"decoder.version": np.array([3.0], np.float32)}
    found |= {f"{side}.embed_positions._float_tensor": np.zeros(1, np.float32) for side in ("encoder", "decoder")}
    for i in range(config.encoder_layers):
        for part in ("in_proj", "out_proj", "fc1", "fc2"):
            found[f"encoder.transformer_layers.{i}.{part}_weight"] = np.zeros((2, 2), np.float32)
            found[f"encoder.transformer_layers.{i}.{part}_bias"] = np.zeros(2, np.float32)
    return found


def settings_of(config: ModelConfig) -> dict:
    """fairseq's settings for a network."""
    return {
        "arch": "s2t_transformer_s",
        "encoder_embed_dim": config.d_model,
        "encoder_ffn_embed_dim": config.encoder_ffn_dim,
        "encoder_layers": config.encoder_layers,
        "encoder_attention_heads": config.encoder_attention_heads,
        "decoder_embed_dim": config.d_model,
        "decoder_ffn_embed_dim": config.decoder_ffn_dim,
        "decoder_layers": config.decoder_layers,
        "decoder_attention_heads": config.decoder_attention_heads,
        "conv_kernel_sizes": ",".join(map(str, config.conv_kernel_sizes)),
        "conv_channels": config.conv_channels,
        "share_decoder_input_output_embed": config.tie_word_embeddings,
        "no_scale_embedding": not config.scale_embedding,
        "encoder_normalize_before": True,
        "decoder_normalize_before": True,
        "activation_fn": "relu",
        "max_source_positions": 6000,
        "max_target_positions": 1024,
        "dropout": 0.1,
    }
