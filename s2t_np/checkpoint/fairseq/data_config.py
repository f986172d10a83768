"""config.yaml of fairseq's speech-to-text task: features, their normalisation, and the files beside it.

The keys are those of `S2TDataConfig` in fairseq/data/audio/data_cfg.py. A path in it is often absolute and another
machine's: where it leads nowhere, the file of that name beside config.yaml is taken. YAML is read by PyYAML's safe
loader (`pip install PyYAML`), which makes plain values only.
"""

import os
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np

from ...config import read_bounded
from ...errors import ModelError
from ...system.numpy_files import read_numpy

MAX_BYTES = 1 << 20  # real ones have 0.4 kB
MAX_STATISTICS = 1 << 20
UTTERANCE, GLOBAL = "utterance_cmvn", "global_cmvn"
TRAINING_ONLY = ("specaugment",)
SPLITS = ("_eval", "*")  # which list of transforms an evaluation takes, in this order


@dataclass(frozen=True)
class DataConfig:
    """What an evaluation needs of a config.yaml; paths are those of files that exist."""

    dictionary: Path
    sentencepiece: Path
    bins: int = 80  # M
    channels: int = 1
    sampling_rate: int = 16000  # Hz
    normalization: str | None = None  # UTTERANCE, GLOBAL or None
    normalize_means: bool = True
    normalize_vars: bool = True
    statistics: tuple[np.ndarray, np.ndarray] | None = None  # mean (M,), standard deviation (M,), for GLOBAL
    language_tag: bool = False  # the target begins with <lang:XX>


def read_data_config(path: Path) -> DataConfig:
    """Read a config.yaml and find the files that it names. Raises ModelError."""
    if not path.exists():
        raise ModelError(
            f"{path.parent}: holds a .pt without its config.yaml; a checkpoint of fairseq's needs config.yaml, the "
            "dictionary (dict.txt or spm_....txt) and the sentencepiece .model of its data beside it: copy them there"
        )
    data = parse_yaml(path)
    bpe = group(data, "bpe_tokenizer", path)
    check_tokenizers(data, bpe, path)
    normalization = find_normalization(data, path)
    utterance, statistics = group(data, UTTERANCE, path), group(data, GLOBAL, path)
    bins = whole(data, "input_feat_per_channel", 80, path)
    return DataConfig(
        dictionary=beside(path, text(data, "vocab_filename", "dict.txt", path), "vocab_filename"),
        sentencepiece=beside(path, text(bpe, "sentencepiece_model", None, path), "sentencepiece_model"),
        bins=bins,
        channels=whole(data, "input_channels", 1, path),
        sampling_rate=whole(data, "sample_rate", whole(data, "use_sample_rate", 16000, path), path),
        normalization=normalization,
        normalize_means=flag(utterance, "norm_means", True, path),
        normalize_vars=flag(utterance, "norm_vars", True, path),
        statistics=read_statistics(statistics, bins, path) if normalization == GLOBAL else None,
        language_tag=flag(data, "prepend_tgt_lang_tag", False, path),
    )


def parse_yaml(path: Path) -> dict:
    """The mapping that a small YAML file holds. Raises ModelError."""
    try:
        import yaml
    except ImportError:
        raise ModelError(f"{path}: reading YAML needs PyYAML: pip install PyYAML") from None
    raw = read_bounded(path, MAX_BYTES, "fairseq's config.yaml")
    try:
        data = yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"{path}: is not valid YAML ({reason:.120}), expected fairseq's config.yaml") from None
    if not isinstance(data, dict):
        raise ModelError(f"{path}: expected a small YAML file with keys and values, as fairseq writes it")
    return data


def check_tokenizers(data: dict, bpe: dict, path: Path) -> None:
    """Refuse what cuts text in another way than one SentencePiece model. Raises ModelError."""
    if (kind := bpe.get("bpe")) != "sentencepiece":
        raise ModelError(f"{path}: bpe_tokenizer has bpe {kind!r:.40}, expected 'sentencepiece'")
    before = group(data, "pre_tokenizer", path).get("tokenizer")
    if before is not None:
        raise ModelError(f"{path}: pre_tokenizer is {before!r:.40}, expected none; detokenising it is not supported")
    for name in ("prepend_bos_and_append_tgt_lang_tag", "use_audio_input"):
        if data.get(name):
            raise ModelError(f"{path}: {name} is {data[name]!r:.40}, expected it to be false or absent")


def find_normalization(data: dict, path: Path) -> str | None:
    """Which normalisation an evaluation applies, if any. Raises ModelError for a transform that is not known."""
    transforms = group(data, "transforms", path)
    names = next((transforms[split] for split in SPLITS if transforms.get(split) is not None), [])
    names = names if isinstance(names, list) else [names]
    wanted = [name for name in names if name not in TRAINING_ONLY]
    if unknown := [name for name in wanted if name not in (UTTERANCE, GLOBAL)]:
        raise ModelError(f"{path}: the transform {unknown[0]!r:.40} is not supported, expected {UTTERANCE} or {GLOBAL}")
    if len(wanted) > 1:
        raise ModelError(f"{path}: has {len(wanted)} normalisations in a row, expected one")
    return wanted[0] if wanted else None


def read_statistics(entry: dict, bins: int, path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, (M,) each, float64, of a global CMVN. Raises ModelError."""
    file = beside(path, text(entry, "stats_npz_path", None, path), "stats_npz_path")
    try:
        if file.stat().st_size > MAX_STATISTICS:
            raise ValueError("too large")
        arrays = read_numpy(file)
        mean, std = (np.asarray(arrays[name], np.float64) for name in ("mean", "std"))
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        reason = f"{error!s:.80}; take the training run's own file"
        raise ModelError(f"{file}: expected an .npz with mean and std of {bins} numbers each ({reason})") from None
    if mean.shape != (bins,) or std.shape != (bins,) or not np.isfinite([mean, std]).all() or (std <= 0).any():
        raise ModelError(
            f"{file}: mean has shape {mean.shape} and std {std.shape}, expected finite numbers for {bins} mel bins, "
            f"deviations above 0"
        )
    return mean, std


def beside(path: Path, name: str, key: str) -> Path:
    """The file a config.yaml names: as it says, or else the one of that name beside it. Raises ModelError."""
    named = Path(name)
    candidates = (path.parent / named, path.parent / named.name, path.parent / PureWindowsPath(name).name)
    for candidate in candidates:
        if os.path.isfile(candidate):  # Path.is_file raises for a name that is too long
            return candidate
    raise ModelError(
        f"{path}: {key} is {name!r:.120}, which is not here; put the file {candidates[1].name!r:.120} beside "
        "config.yaml"
    )


def group(data: dict, key: str, path: Path) -> dict:
    """A mapping within the mapping, empty where it is absent. Raises ModelError."""
    value = data.get(key)
    if value is not None and not isinstance(value, dict):
        raise ModelError(f"{path}: {key} is {value!r:.40}, expected keys and values")
    return value or {}


def text(data: dict, key: str, default: str | None, path: Path) -> str:
    value = data.get(key, default)
    if not isinstance(value, str) or not value or "\0" in value:
        raise ModelError(f"{path}: {key} is {value!r:.40}, expected the name of a file")
    return value


def whole(data: dict, key: str, default: int, path: Path) -> int:
    value = data.get(key, default)
    if type(value) is not int or value < 1:
        raise ModelError(f"{path}: {key} is {value!r:.40}, expected a whole number of at least 1")
    return value


def flag(data: dict, key: str, default: bool, path: Path) -> bool:
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise ModelError(f"{path}: {key} is {value!r:.40}, expected true or false")
    return value
