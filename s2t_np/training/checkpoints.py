"""Checkpoints of a run: folders that any program loads as a model, beside it what the run needs to go on.

    RUN/start/                    the model before the first update
    RUN/checkpoints/0000000120/   after update 120: the files of a model, and
        training.safetensors      Adam's running means, the CTC head
        training.json             where the run is: update, epoch, batch, the best so far
    RUN/best/                     the best model so far

A folder is filled under a hidden name, brought to the disk, and renamed: it is there whole or not at all, whenever the
process is killed.
"""

import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..checkpoint import read_tensors, safetensors
from ..config import read_json, write_json
from ..errors import ModelError, OptionError
from ..hf.convert import COPIED
from ..system.atomic_files import PREFIX, SUFFIX, remove_leftovers
from ..system.atomic_folders import atomic_folder, put_back, remove_folder
from .derivatives.parameters import Parameters
from .learner import Learner

STATE_ARRAYS, STATE = "training.safetensors", "training.json"
FOLDERS_SYNC = os.name == "posix"
DIGITS = 10  # in the number of an update, so that names sort
MODEL_FILES = ("config.json", *COPIED)


@dataclass
class Position:
    """The place of a run between two updates."""

    update: int = 0  # updates done
    epoch: int = 0  # the epoch under way, from 0
    batch: int = 0  # batches of it that are done
    best: list | None = None  # merit of the best validation so far
    best_update: int = 0


def sync_folder(folder: Path) -> None:
    """Bring a folder's files and their names to the disk. Raises OSError.

    On Windows only the files: a folder cannot be opened there, and a file has to be open for writing.
    """
    paths = [*folder.iterdir(), *([folder] if FOLDERS_SYNC else [])]
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY if FOLDERS_SYNC else os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_model(start: Path, tensors: Parameters, folder: Path) -> None:
    """Fill an empty folder with a model: the files of `start` and these weights. Raises ModelError, OSError."""
    for name in MODEL_FILES:
        if (start / name).exists():
            shutil.copyfile(start / name, folder / name)
    safetensors.write(folder / "model.safetensors", tensors)


def state_of(learner: Learner) -> Parameters:
    """All arrays of a run that are not weights of the model."""
    own = {name: array for name, array in learner.parameters.items() if name not in learner.model_tensors}
    means = {f"mean.{name}": array for name, array in learner.optimizer.means.items()}
    return own | means | {f"square.{name}": array for name, array in learner.optimizer.squares.items()}


def save(run: Path, learner: Learner, position: Position) -> Path:
    """Write the checkpoint of this position; returns its folder. Raises ModelError, OSError."""
    target = run / "checkpoints" / f"{position.update:0{DIGITS}}"
    with atomic_folder(target) as folder:
        write_model(run / "start", learner.model_tensors, folder)
        safetensors.write(folder / STATE_ARRAYS, state_of(learner))
        write_json(folder / STATE, asdict(position))
        sync_folder(folder)
    return target


def save_best(run: Path, learner: Learner) -> None:
    """Write RUN/best. Raises ModelError, OSError."""
    with atomic_folder(run / "best") as folder:
        write_model(run / "start", learner.model_tensors, folder)
        sync_folder(folder)


def checkpoints(run: Path) -> list[Path]:
    """The checkpoint folders of a run, oldest first. Raises OSError if one cannot be looked at: it may be the last."""
    place = run / "checkpoints"
    try:
        names = sorted(filter(re.compile(rf"[0-9]{{{DIGITS}}}").fullmatch, os.listdir(place)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [place / name for name in names if is_there(place / name / STATE)]


def is_there(path: Path) -> bool:
    """Return whether a file exists. Raises OSError where that cannot be told, which Path.glob takes for a no."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def remove_old(run: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints, and what killed runs have left."""
    for folder in checkpoints(run)[:-keep]:
        remove_folder(folder)
    for place in (run, run / "checkpoints"):
        remove_leftovers(place)  # files; what follows removes folders
        put_back(place)
        for folder in place.glob(f"{PREFIX}*{SUFFIX}"):
            remove_folder(folder)


def restore(folder: Path, learner: Learner) -> Position:
    """Bring a learner, in place, to where a checkpoint was written; returns the position. Raises ModelError."""
    arrays = safetensors.read(folder / STATE_ARRAYS) | read_tensors(folder)
    expected = state_of(learner) | learner.model_tensors
    if arrays.keys() != expected.keys():
        name = sorted(arrays.keys() ^ expected.keys())[0]
        raise ModelError(f"{folder}: {name} is only in the checkpoint or only in this run; it is of another run")
    for name, array in expected.items():
        array[...] = arrays[name]
    try:
        position = Position(**read_json(folder / STATE))
    except TypeError:
        raise ModelError(f"{folder / STATE}: does not describe a position in a run") from None
    learner.optimizer.count = position.update
    return position


def mean_tensors(folders: Sequence[Path]) -> Parameters:
    """The mean of the weights of several checkpoints, in their own precision. Raises OptionError if they differ."""
    sums: dict[str, np.ndarray] = {}
    for folder in folders:
        tensors = read_tensors(folder)
        if sums and {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in sums.items()}:
            raise OptionError(f"{folder}: its weights have other names or shapes than those of {folders[0]}")
        for name, tensor in tensors.items():
            sums[name] = sums.get(name, 0.0) + tensor.astype(np.float64)
    like = read_tensors(folders[-1])
    return {name: (total / len(folders)).astype(like[name].dtype) for name, total in sums.items()}


def average(folders: Iterable[Path], target: Path) -> None:
    """Write a model whose weights are the mean of these checkpoints' (Vaswani et al. 2017, 6.1), which are steadier.

    Raises OptionError for none, or for checkpoints of different shapes; ModelError, OSError.
    """
    folders = list(folders)
    if not folders:
        raise OptionError("average: there are no checkpoints")
    tensors = mean_tensors(folders)
    with atomic_folder(target) as folder:
        write_model(folders[-1], tensors, folder)
        sync_folder(folder)
