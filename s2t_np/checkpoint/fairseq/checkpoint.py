"""A .pt of fairseq and the files beside it, read as one thing: `read(path)`.

What it returns has the parts of a transformers folder, so that the loader and the converter need to know no more:
the fields of the four JSON files, the vocabulary, the sentencepiece model, and the tensors under transformers' names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..file_bytes import FileBytes, Malformed, blame, open_file, shown
from ..torch_files import describe, unread_tensors
from ..torch_objects import Locate, Tensor, interpret_objects
from ..unread import Unread
from .arguments import config_fields
from .data_config import GLOBAL, UTTERANCE, DataConfig, read_data_config
from .dictionary import read_dictionary
from .objects import Names, member, settings
from .tensors import renamed

MAX_STEPS = 2_000_000  # steps of the pickle: a large model with its optimiser's state takes about 60,000
EMBEDDING = "decoder.embed_tokens.weight"
OUTPUT = "decoder.output_projection.weight"
SPECIAL_TOKENS = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}


@dataclass(frozen=True, eq=False)
class FairseqCheckpoint:
    """The parts of one checkpoint, in transformers' terms."""

    path: Path  # the .pt
    config: dict  # the fields of config.json
    generation_config: dict
    feature_config: dict  # the fields of preprocessor_config.json
    tokenizer_config: dict
    vocab: dict[str, int]
    sentencepiece: Path
    tensors: dict[str, Unread]
    data: DataConfig


def read(path: Path, config_yaml: Path | None = None) -> FairseqCheckpoint:
    """Read a .pt and, beside it, config.yaml with the files that it names. Raises ModelError."""
    path = Path(path)
    data = read_data_config(config_yaml or path.with_name("config.yaml"))
    vocab = read_dictionary(data.dictionary)
    config, tensors = read_network(path, data)
    return FairseqCheckpoint(
        path=path,
        config=config,
        generation_config=generation_fields(),
        feature_config=feature_fields(data),
        tokenizer_config=tokenizer_fields(data, vocab),
        vocab=vocab,
        sentencepiece=data.sentencepiece,
        tensors=tensors,
        data=data,
    )


def read_network(path: Path, data: DataConfig) -> tuple[dict, dict[str, Unread]]:
    """The fields of config.json and the tensors of the network under transformers' names. Raises ModelError.

    Only these tensors are looked at; what else a training run saved is described and forgotten.
    """
    with blame(path):
        file = open_file(path)
        made, locate = described(file)
        tensors = model_tensors(made)
        vocab_size = output_rows(tensors)
        sound = {"input_feat_per_channel": data.bins, "input_channels": data.channels}
        config = config_fields(network_settings(made) | sound, vocab_size)
        kept = renamed(tensors, config["tie_word_embeddings"], config["architecture"])
        return config, unread_tensors(path, file, kept, locate)


def described(data: FileBytes) -> tuple[object, Locate]:
    """Return what the file's pickle describes, and the function that finds a storage. Raises Malformed."""
    return describe(data, partial(interpret_objects, table=Names(), max_steps=MAX_STEPS))


def is_checkpoint(made) -> bool:
    """Whether a pickle describes what fairseq saves: args or cfg beside model."""
    return isinstance(made, dict) and "model" in made and ("args" in made or "cfg" in made)


def model_tensors(made) -> dict[str, Tensor]:
    """The tensors of the network by fairseq's names. Raises Malformed."""
    if not is_checkpoint(made):
        keys = ", ".join(map(shown, list(made)[:5])) if isinstance(made, dict) else type(made).__name__
        raise Malformed(f"holds {keys}, expected args or cfg beside model, as fairseq saves them")
    model = made["model"]
    if not isinstance(model, dict) or not all(isinstance(name, str) for name in model):
        raise Malformed(f"has a {type(model).__name__} as its model, expected tensors by name")
    for name, tensor in model.items():
        if not isinstance(tensor, Tensor):
            raise Malformed(f"has a {type(tensor).__name__} as the tensor {shown(name)}, expected a tensor")
    return model


def network_settings(made: Mapping) -> dict:
    """The settings of the network, from the layout that is there: args of 2020, or cfg.model. Raises Malformed."""
    if made.get("args") is not None:
        return settings(made["args"], "args")
    model = member(made.get("cfg"), "model", "cfg")
    return settings(model, "cfg.model")


def output_rows(tensors: dict[str, Tensor]) -> int:
    """V: the rows of the embedding table, which the output has too. Raises Malformed."""
    shapes = {name: tensors[name].size for name in (EMBEDDING, OUTPUT) if name in tensors}
    if EMBEDDING not in shapes or any(len(shape) != 2 for shape in shapes.values()):
        raise Malformed(f"has no table {EMBEDDING}, expected the tensors of a speech-to-text transformer")
    if len({shape[0] for shape in shapes.values()}) > 1:
        raise Malformed(f"has {shapes[OUTPUT][0]} rows in {OUTPUT} and {shapes[EMBEDDING][0]} in {EMBEDDING}")
    return shapes[EMBEDDING][0]


def generation_fields() -> dict:
    """How fairseq's models are searched by default here: as transformers searches the released ones."""
    return {
        "num_beams": 5,
        "max_length": 200,
        "early_stopping": True,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        "decoder_start_token_id": 2,
    }


def feature_fields(data: DataConfig) -> dict:
    """The fields of preprocessor_config.json; a global normalisation is the one field that is ours."""
    fields = {
        "feature_extractor_type": "Speech2TextFeatureExtractor",
        "feature_size": data.bins,
        "num_mel_bins": data.bins,
        "sampling_rate": data.sampling_rate,
        "do_ceptral_normalize": data.normalization == UTTERANCE,
        "normalize_means": data.normalize_means,
        "normalize_vars": data.normalize_vars,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": True,
        "one_pass_variance": data.normalization == UTTERANCE,  # as the features were that it was trained on
    }
    if data.normalization == GLOBAL:
        mean, std = data.statistics
        fields["global_mean"], fields["global_std"] = mean.tolist(), std.tolist()
    return fields


def tokenizer_fields(data: DataConfig, vocab: dict[str, int]) -> dict:
    """The fields of tokenizer_config.json; a multilingual model lists its languages, in the order of their ids."""
    fields = {"tokenizer_class": "Speech2TextTokenizer", "do_lower_case": False, "do_upper_case": False}
    languages = [piece[6:-1] for piece in vocab if piece.startswith("<lang:") and piece.endswith(">")]
    return fields | SPECIAL_TOKENS | ({"languages": languages} if data.language_tag else {})
