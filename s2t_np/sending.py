"""A model goes to another process by its name and settings; there its weights are read again.

Weights are large, and packed in a way that only the process that loaded them can use. A pickle (of multiprocessing,
joblib, Dask, Ray, Spark) therefore holds where the model was found, and what was set since.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .backend import Backend
from .checkpoint.hub import BUNDLED, MODELS, find
from .errors import ModelError
from .parts import Weights

SETTINGS = ("generation_config", "feature_config", "utterance_config")


class Origin(NamedTuple):
    """The way a model was loaded."""

    again: Callable  # loading.again
    weights: Weights  # those that its folder holds
    backend: Backend

    def __repr__(self) -> str:
        return "Origin(...)"


class Place(NamedTuple):
    """The place where a model was found, in terms that mean something to another machine as well."""

    path: str  # absolute
    name: str | None = None  # if it is bundled, or came from the hub
    revision: str | None = None  # the commit of a hub id

    @classmethod
    def of(cls, folder: Path) -> "Place":
        """The place of a model's folder, or of fairseq's .pt."""
        path = os.path.abspath(folder)
        if folder.parent == MODELS and folder.name in BUNDLED:
            return cls(path, folder.name)
        parts = Path(path).parts
        if len(parts) > 2 and parts[-2] == "snapshots" and parts[-3].startswith("models--"):
            return cls(path, parts[-3].removeprefix("models--").replace("--", "/"), parts[-1])
        return cls(path)

    def find(self) -> Path:
        """The model in this process: at the same path, else by its name. Raises HubError."""
        if self.name is None or os.path.isdir(self.path):
            return find(Path(self.path))
        return find(self.name, self.revision)


def reduced(model) -> tuple[Callable, tuple]:
    """Return what pickle calls, with its arguments, to have the model again. Raises ModelError."""
    origin = model.origin
    if origin is None or model.weights is not origin.weights or model.backend is not origin.backend:
        raise ModelError(
            f"{model!r:.200} cannot be pickled: its weights or its backend are not those that its folder gives; "
            "save it as a folder, and load that"
        )
    backend, _, dtype = model.backend.name.partition(" ")
    kind = dtype or model.dtype.__name__
    what = Place.of(model.folder), backend, kind, model.tokenizer is not None
    return restored, (origin.again, what, model.config, settings_of(model))


def settings_of(model) -> dict:
    """The parts of a model that are small, and may have been replaced since it was loaded."""
    return {name: getattr(model, name) for name in SETTINGS}


def restored(again: Callable, what: tuple, config, settings: dict):
    """The model that was pickled. Raises ModelError where another one is found in its place."""
    model = again(*what)
    if model.config != config:
        raise ModelError(f"{model.folder} holds another model here than where it was sent from")
    return dataclasses.replace(model, **settings)
