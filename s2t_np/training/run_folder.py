"""The folder of a run: how it begins, from a model or from nothing, and how it is opened again.

RUN/run.json says what the run is; with it and RUN/start, `--resume` needs no other option. It is written first,
so that a folder that is not empty and lacks it is not taken for a run.
"""

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from dataclasses import fields as fields_of
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..backend import NUMPY
from ..checkpoint import safetensors
from ..checkpoint.hub import find
from ..config import FeatureConfig, ModelConfig, read_json, write_json
from ..errors import ModelError, OptionError
from ..hf.convert import convert
from ..loading import load_folder
from ..model import S2T
from ..settings.architecture import ArchitectureOptions
from ..system.atomic_files import PREFIX, SUFFIX, atomic_file, remove_leftovers
from ..system.atomic_folders import atomic_folder
from ..system.file_locks import try_lock
from .checkpoints import Position, checkpoints, restore, sync_folder
from .derivatives.dropout import Rates
from .initial import initial_weights
from .learner import Learner
from .recipe import Recipe
from .vocabulary import write_vocabulary

RUN_FILE = "run.json"
START = "start"
LOCK_FILE = ".lock"
MAY_CHANGE = (
    "max_epoch",
    "max_update",
    "keep_last",
    "save_interval",
    "save_interval_updates",
)  # the fields of a recipe that may change when a run goes on
ARCHITECTURE = {field.name for field in fields_of(ArchitectureOptions)}  # which transformers does not have either
OURS = ("one_pass_variance",)  # a field of FeatureConfig that transformers does not have
GENERATION = {"decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "bos_token_id": 0} | {
    "num_beams": 5,
    "max_length": 200,
    "early_stopping": True,
}


class Setting(NamedTuple):
    """The content of run.json: all that determines the result, but for the bytes of the recordings."""

    recipe: Recipe
    train: str
    rates: dict[str, float]  # the rates of dropout that replace those of config.json
    valid: str | None = None
    normalization: str | None = None  # as data.Writing has it
    lang: str | None = None
    features: str | None = None  # where they are kept; None: in the run, "" nowhere
    decoded: int = 200  # validation utterances that are transcribed
    bad_rows: float = 0.05  # the share of rows that may be left out
    log_interval: int = 20  # updates in a line of the log


def is_foreign(path: Path) -> bool:
    """Return whether something in a folder without run.json is not left over from a run that could not begin."""
    return path.name != LOCK_FILE and not (path.name.startswith(PREFIX) and path.name.endswith(SUFFIX))


def check_new(run: Path) -> None:
    """Raise OptionError unless a run can begin here: in a new or empty folder, or one that got to no checkpoint."""
    if checkpoints(run):
        raise OptionError(f"{run} holds a run; --resume goes on with it, or choose another folder")
    if run.exists() and not (run / RUN_FILE).exists() and (not run.is_dir() or any(map(is_foreign, run.iterdir()))):
        raise OptionError(f"{run} is not empty and holds no run; choose another folder")


def create(run: Path, setting: Setting) -> None:
    """Make the folder of a new run, in place of one that got to no checkpoint. Raises OSError."""
    remove_leftovers(run)
    shutil.rmtree(run / START, ignore_errors=True)
    with atomic_file(run / RUN_FILE) as file:
        content = setting._asdict() | {"recipe": asdict(setting.recipe)}
        file.write((json.dumps(content, indent=2) + "\n").encode())
    (run / "checkpoints").mkdir(exist_ok=True)  # a folder that is not empty and lacks run.json is not taken for a run


def read_setting(run: Path) -> Setting:
    """The setting that run.json holds. Raises OptionError where there is no run, ModelError for a damaged file."""
    if not (run / RUN_FILE).exists() or not (run / START).exists():
        raise OptionError(f"{run} holds no run to go on with; leave out --resume")
    data = read_json(run / RUN_FILE)
    try:
        return Setting(**data | {"recipe": Recipe.from_json(data["recipe"])})
    except (KeyError, TypeError, AttributeError, OptionError) as error:
        raise ModelError(f"{run / RUN_FILE}: does not describe a run ({error})") from None


@contextmanager
def locked(run: Path) -> Iterator[None]:
    """Within this context no other process trains in this folder. Raises OptionError if one does, OSError."""
    run.mkdir(parents=True, exist_ok=True)
    file = open(run / LOCK_FILE, "ab")  # noqa: SIM115 - closed below, where an error says nothing: it is empty
    try:
        if try_lock(file) is False:
            raise OptionError(f"{run}: another process is training in it")
        yield
    finally:
        with suppress(OSError):
            file.close()


def changed(setting: Setting, given: dict) -> Setting:
    """The setting with options that were given anew. Raises OptionError for one that would make it another run."""
    before = asdict(setting.recipe)
    for name, value in given.items():
        if name not in MAY_CHANGE and before[name] != value:
            told = f"{name} is {before[name]!r} in this run, not {value!r}"
            raise OptionError(f"{told}; start another run, or leave it out")
    return setting._replace(recipe=setting.recipe.replace(**given))


def start_from_model(run: Path, name: str, revision: str | None = None) -> None:
    """RUN/start from any model that can be loaded. Raises ModelError, OptionError, OSError."""
    convert(find(name, revision), run / START)


def start_from_nothing(run: Path, config_json: dict, texts: Iterable[str], vocab_size: int, seed: int) -> None:
    """RUN/start with a vocabulary made of the texts and random weights. Raises ModelError, OptionError, OSError."""
    with atomic_folder(run / START) as folder:
        made = {"model_type": "speech_to_text", "vocab_size": write_vocabulary(texts, vocab_size, folder)}
        fields = {"model_type": "speech_to_text"} | config_json | made
        config = ModelConfig.from_dict(fields, "the config")
        mark = {"architectures": ["Speech2TextForConditionalGeneration"], "is_encoder_decoder": True}
        shape = {name: value for name, value in asdict(config).items() if name not in ARCHITECTURE}
        write_json(folder / "config.json", shape | fields | mark)
        most = min(GENERATION["max_length"], config.max_target_positions)
        write_json(folder / "generation_config.json", GENERATION | {"max_length": most})
        bins = config.input_feat_per_channel * config.input_channels
        features = asdict(FeatureConfig(num_mel_bins=bins, feature_size=bins))
        kept = {name: value for name, value in features.items() if value is not None and name not in OURS}
        write_json(folder / "preprocessor_config.json", kept)
        safetensors.write(folder / "model.safetensors", initial_weights(config, seed))
        sync_folder(folder)


def load_start(run: Path) -> S2T:
    """The model that the run began with. Raises ModelError."""
    return load_folder(run / START, NUMPY, np.float32)


def learner_of(run: Path, model: S2T, setting: Setting) -> tuple[Learner, Position]:
    """The learner as of the last checkpoint, or at the beginning, and where the run is. Raises ModelError."""
    rates = Rates.from_json(read_json(run / START / "config.json") | setting.rates)
    learner = Learner.start(model.weights, model.config, rates, setting.recipe)
    found = checkpoints(run)
    return learner, restore(found[-1], learner) if found else Position()
