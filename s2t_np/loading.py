"""From files to a model: find it, read the parts of a checkpoint in either layout, hold them to each other.

A checkpoint is a folder as transformers writes it, or a .pt of fairseq's with the files beside it. `read` is the one
place that asks which; what it returns is the same for both.
"""

import os
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .backend import DTYPES, Backend, check_choice, choose, for_network
from .checkpoint import open_tensors
from .checkpoint.fairseq import find as find_fairseq
from .checkpoint.folders import require_model
from .checkpoint.hub import find, naming_damage
from .checkpoint.unread import Reader
from .config import FeatureConfig, GenerationConfig, ModelConfig, TokenizerConfig, UtteranceConfig, read_json
from .errors import InputWarning, ModelError, OptionError
from .model import DEFAULT_MODEL, S2T
from .sending import Origin, Place
from .system import memory
from .system.forks import RenewedLock
from .tokenizer import Tokenizer
from .weights import Tensor, build

if TYPE_CHECKING:
    from .checkpoint.fairseq.checkpoint import FairseqCheckpoint

LOADING = RenewedLock()


class Network(NamedTuple):
    """The content of config.json, generation_config.json and the weights."""

    source: Path  # the folder, or fairseq's .pt
    raw: dict  # config.json as it stands
    config: ModelConfig
    generation_config: GenerationConfig
    tensors: dict[str, Tensor]  # some of them still in their file


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The parts of a checkpoint, held to each other."""

    network: Network
    feature_config: FeatureConfig
    tokenizer: Tokenizer
    utterance_config: UtteranceConfig
    fairseq: "FairseqCheckpoint | None"  # what fairseq's own files say, if it is one of fairseq's


def load(
    name: str | Path = DEFAULT_MODEL,
    *,
    backend: str = "auto",
    dtype: str = "float32",
    revision: str | None = None,
    download: bool = True,
    device: str = "cpu",
) -> S2T:
    """Load a model: "digits" (bundled), a folder, or a hub id such as the default, the released s2t-small.

    Several, joined by ":" (on Windows ";"), are an ensemble: probabilities of the next token are averaged.
    backend: "numpy", "numba", or "auto": numba where it is installed and can compute in this dtype. dtype: "float32";
    with numba, weights kept in "float16" or "int8", smaller and faster; with numpy, "float64" for reference work.
    revision: a branch, tag or commit of a hub id. With `download` False nothing is asked of the network, and only for
    an id that is not cached otherwise. device: another than "cpu" gets an InputWarning, and changes nothing.
    Raises ModelError (HubError where the model cannot be had), BackendError, OptionError.
    """
    if str(device) not in ("cpu", "auto", "None"):
        told = f"device={str(device)!r:.40} changes nothing: s2t-np computes on the CPU"
        warnings.warn(told, InputWarning, stacklevel=2)
    check_choice(backend, dtype)
    places = [find(part, revision, download=download) for part in ensemble_parts(name)]
    for place in places:
        check_place(place)
    chosen = choose(backend, dtype)  # may compile, so that mistakes come first
    models = [load_folder(place, chosen, DTYPES[dtype]) for place in places]
    if len(models) == 1:
        return models[0]
    from .ensemble import Ensemble

    return Ensemble.of(models)


def check_place(place: Path) -> None:
    """Raise ModelError for what is not a checkpoint in either layout, without reading its weights."""
    with naming_damage(place):
        if find_fairseq(place) is None:
            require_model(place)


def ensemble_parts(name: str | Path) -> list[str | Path]:
    """The names of the models that a name stands for: several, if it holds ":" (on Windows ";") and is not a file."""
    if not isinstance(name, str) or os.pathsep not in name or os.path.exists(os.path.expanduser(name)):
        return [name]
    parts = name.split(os.pathsep)
    if not all(parts):
        raise OptionError(f"model {name!r:.200} names an ensemble with an empty part, expected a{os.pathsep}b")
    return parts


def load_folder(place: Path, backend: Backend, dtype: type) -> S2T:
    """The model of a checkpoint folder, or of a .pt of fairseq's. Raises ModelError, BackendError."""
    with naming_damage(place):
        return model_of(read(place), backend, dtype)


def model_of(parts: Checkpoint, backend: Backend, dtype: type) -> S2T:
    """The model of a checkpoint, its weights in `dtype`, prepared for the backend. Raises ModelError, BackendError."""
    network = model_of_network(parts.network, backend, dtype)
    return replace(
        network,
        feature_config=parts.feature_config,
        tokenizer=parts.tokenizer,
        utterance_config=parts.utterance_config,
    )


def model_of_network(network: Network, backend: Backend, dtype: type) -> S2T:
    """The same without a processor. Raises ModelError, BackendError."""
    backend = for_network(backend, network.config)
    needed = backend.weight_bytes * sum(tensor.size for tensor in network.tensors.values())
    if short := memory.lacking(needed):
        raise ModelError(
            f"{network.source}: its weights need {short}; expected a smaller model, or dtype float16 or int8"
        )
    weights = backend.ops.prepare(build(network.tensors, network.config, str(network.source), dtype), Reader())
    origin = Origin(again, weights, backend)
    parts = network.config, network.generation_config, None, None, weights, backend, dtype, network.source
    return S2T(*parts, origin=origin)


def again(place: Place, backend: str, dtype: str, processor: bool) -> S2T:
    """The model that another process had loaded, with its tokenizer or, without `processor`, as a network alone.

    Each is loaded once in a process. Raises ModelError, BackendError.
    """
    with LOADING.lock:
        return load_once(place.find(), backend, dtype, processor)


@lru_cache(maxsize=4)
def load_once(place: Path, backend: str, dtype: str, processor: bool) -> S2T:
    """The same, of a folder or of a .pt that is here."""
    chosen = choose(backend, dtype)
    if processor:
        return load_folder(place, chosen, DTYPES[dtype])
    return model_of_network(read_network(place), chosen, DTYPES[dtype])


def read(place: Path) -> Checkpoint:
    """The parts of a checkpoint in either layout. Raises ModelError."""
    found = find_fairseq(place)
    parts = read_folder(place) if found is None else read_fairseq(found)
    check_same_model(parts)
    return parts


def read_folder(folder: Path) -> Checkpoint:
    """The parts of a folder as transformers writes it. Raises ModelError."""
    require_model(folder)
    tokenizer, feature_config = Tokenizer.from_folder(folder), FeatureConfig.from_folder(folder)
    return Checkpoint(read_network(folder), feature_config, tokenizer, UtteranceConfig.from_folder(folder), None)


def read_fairseq(path: Path) -> Checkpoint:
    """The same of a checkpoint of fairseq's, a .pt. Raises ModelError."""
    from .checkpoint.fairseq.checkpoint import read as read_parts

    parts = read_parts(path)
    source = str(parts.path)
    tokenizer_config = TokenizerConfig.from_dict(parts.tokenizer_config, source)
    tokenizer = Tokenizer.from_parts(parts.vocab, parts.sentencepiece, tokenizer_config)
    config = ModelConfig.from_dict(parts.config, source)
    generation_config = GenerationConfig.from_dict(parts.generation_config, source)
    network = Network(parts.path, parts.config, config, generation_config, parts.tensors)
    return Checkpoint(
        network, FeatureConfig.from_dict(parts.feature_config, source), tokenizer, UtteranceConfig(), parts
    )


def read_network(folder: Path) -> Network:
    """config.json, generation_config.json and the weights of a folder. Raises ModelError."""
    raw = read_json(folder / "config.json")
    config = ModelConfig.from_dict(raw, str(folder / "config.json"))
    return Network(folder, raw, config, read_generation_config(folder, raw), open_tensors(folder))


def check_same_model(parts: Checkpoint) -> None:
    """Raise ModelError if the network's input or output width differs from that of the other files."""
    config, features = parts.network.config, parts.feature_config
    bins = config.input_feat_per_channel * config.input_channels
    if features.num_mel_bins != bins:
        found = f"num_mel_bins is {features.num_mel_bins} in the preprocessor's file, config.json expects {bins}"
    elif len(parts.tokenizer) > config.vocab_size:
        found = f"vocab.json has {len(parts.tokenizer)} pieces, config.json a vocab_size of {config.vocab_size}"
    else:
        return
    raise ModelError(f"{parts.network.source}: {found}; the files are of different models")


def read_generation_config(folder: Path, model_json: dict) -> GenerationConfig:
    """generation_config.json or, in checkpoints older than that file, the fields of config.json. Raises ModelError."""
    path = folder / "generation_config.json"
    token_ids = {k: v for k, v in model_json.items() if k in ("eos_token_id", "pad_token_id", "decoder_start_token_id")}
    data = read_json(path) if path.exists() else model_json
    return GenerationConfig.from_dict(token_ids | data, str(path if path.exists() else folder / "config.json"))
