"""The folder of a run: how it begins, from a model or from nothing, and how it is opened again.

RUN/run.json says what the run is; with it and RUN/start, `--resume` needs no other option.
"""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..backend import NUMPY
from ..checkpoint import safetensors
from ..checkpoint.hub import find
from ..config import FeatureConfig, ModelConfig, read_json, write_json
from ..errors import OptionError
from ..hf.convert import atomic_folder, convert
from ..model import S2T, load_folder
from .checkpoints import Position, checkpoints, restore, sync_folder
from .dropout import Rates
from .initial import initial_weights
from .learner import Learner
from .recipe import Recipe
from .vocabulary import write_vocabulary

RUN_FILE = "run.json"
START = "start"
MAY_CHANGE = (
    "max_epoch",
    "max_update",
    "keep_last",
    "save_interval_updates",
)  # the fields of a recipe that may change when a run goes on
GENERATION = {"decoder_start_token_id": 2, "eos_token_id": 2, "pad_token_id": 1, "bos_token_id": 0} | {
    "num_beams": 5,
    "max_length": 200,
    "early_stopping": True,
}


class Setting(NamedTuple):
    """The content of run.json: all that determines the result, but for the bytes of the recordings."""

    recipe: Recipe
    train: str
    valid: str | None
    normalization: str
    rates: Rates


def create(run: Path, setting: Setting) -> None:
    """Make the folder of a new run. Raises OptionError where there is a run already, OSError."""
    if (run / RUN_FILE).exists():
        raise OptionError(f"{run} holds a run; --resume goes on with it, or choose another folder")
    run.mkdir(parents=True, exist_ok=True)
    (run / "checkpoints").mkdir(exist_ok=True)
    write_json(run / RUN_FILE, setting._asdict() | {"recipe": asdict(setting.recipe), "rates": asdict(setting.rates)})


def read_setting(run: Path) -> Setting:
    """The setting that run.json holds. Raises OptionError where there is no run, ModelError for a damaged file."""
    if not (run / RUN_FILE).exists():
        raise OptionError(f"{run} holds no run to go on with; leave out --resume")
    data = read_json(run / RUN_FILE)
    recipe, rates = Recipe.from_json(data["recipe"]), Rates(**data["rates"])
    return Setting(recipe, data["train"], data["valid"], data["normalization"], rates)


def changed(setting: Setting, given: dict) -> Setting:
    """The setting with options that were given anew. Raises OptionError for one that would make it another run."""
    before = asdict(setting.recipe)
    for name, value in given.items():
        if name not in MAY_CHANGE and before[name] != value:
            raise OptionError(
                f"{name} is {before[name]!r} in this run, not {value!r}; start another run, or leave it out"
            )
    return setting._replace(recipe=setting.recipe.replace(**given))


def start_from_model(run: Path, name: str, revision: str | None = None) -> None:
    """RUN/start from any model that can be loaded. Raises ModelError, OptionError, OSError."""
    if not (run / START).exists():
        convert(find(name, revision), run / START)


def start_from_nothing(run: Path, config_json: dict, texts: Iterable[str], vocab_size: int, seed: int) -> None:
    """RUN/start with a vocabulary made of the texts and random weights. Raises ModelError, OptionError, OSError."""
    if (run / START).exists():
        return
    run.mkdir(parents=True, exist_ok=True)
    with atomic_folder(run / START) as folder:
        fields = (
            {"model_type": "speech_to_text"} | config_json | {"vocab_size": write_vocabulary(texts, vocab_size, folder)}
        )
        config = ModelConfig.from_dict(fields, "the config")
        mark = {"architectures": ["Speech2TextForConditionalGeneration"], "is_encoder_decoder": True}
        write_json(folder / "config.json", asdict(config) | fields | mark)
        write_json(
            folder / "generation_config.json", GENERATION | {"max_length": min(200, config.max_target_positions)}
        )
        bins = config.input_feat_per_channel * config.input_channels
        features = FeatureConfig(num_mel_bins=bins, feature_size=bins)
        kept = {k: v for k, v in asdict(features).items() if v is not None and k not in OURS}
        write_json(folder / "preprocessor_config.json", kept)
        safetensors.write(folder / "model.safetensors", initial_weights(config, seed))
        sync_folder(folder)


OURS = ("one_pass_variance",)  # a field of FeatureConfig that transformers does not have


def load_start(run: Path) -> S2T:
    """The model that the run began with. Raises ModelError."""
    return load_folder(run / START, NUMPY, np.float32)


def learner_of(run: Path, model: S2T, setting: Setting) -> tuple[Learner, Position]:
    """The learner as of the last checkpoint, or at the beginning, and where the run is. Raises ModelError."""
    learner = Learner.start(model.weights, model.config, setting.rates, setting.recipe)
    found = checkpoints(run)
    return learner, restore(found[-1], learner) if found else Position()
