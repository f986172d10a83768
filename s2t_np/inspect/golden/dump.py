"""Read the arrays that a port wrote: a .npz, a .safetensors, or a folder of .npy files, under the pack's names.

Some other names are understood: "model." at the beginning is dropped, a layer's bare name means its output, `memory`
and `logits` are known.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np

from ...checkpoint import safetensors
from ...errors import ModelError
from ...system.numpy_files import read_numpy
from ..trace.plan import ALIASES

NOT_COMPARED = "steps."  # a trace holds the calls of the search as well, which a pack does not


def read_dump(path, stages: Collection[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """{stage: array} for those of `stages` that a dump holds, and the names in it that are not stages.

    Raises ModelError for a file of another format, a damaged one, or one without a single stage.
    """
    path, found, unknown = Path(path), {}, []
    for name, array in read_arrays(path).items():
        stage = stage_of(name, stages)
        if stage is None:
            unknown += [] if name.startswith(NOT_COMPARED) else [name]
        elif array.dtype.kind not in "fiub":
            raise ModelError(f"{path}: {name} is {array.dtype}, expected numbers")
        else:
            found[stage] = array
    if not found:
        names = ", ".join(unknown[:3]) or "nothing"
        raise ModelError(f"{path}: holds {names}, expected stages such as features.mel or encoder.layers.0.output")
    return found, unknown


def stage_of(name: str, stages: Collection[str]) -> str | None:
    """The stage that a name in a dump stands for, or None."""
    bare = name.removeprefix("model.")
    for candidate in (bare, ALIASES.get(bare, bare), f"{bare}.output"):
        if candidate in stages:
            return candidate
    return None


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """{name: array} of a dump. Raises ModelError."""
    if path.is_dir():
        return {file.stem: read_written(file) for file in sorted(path.glob("*.npy"))}
    if not path.is_file():
        raise ModelError(f"{path}: no such file or folder, expected .npz, .safetensors or a folder of .npy files")
    if path.suffix == ".safetensors":
        return safetensors.read(path)
    arrays = read_written(path)
    if not isinstance(arrays, dict):
        raise ModelError(f"{path}: is a single array, expected .npz, .safetensors or a folder of .npy files")
    return arrays


def read_written(path: Path):
    """The array of a .npy file, or {name: array} of a .npz. Raises ModelError."""
    try:
        return read_numpy(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as numpy's .npy or .npz ({error!s:.120}); write it again") from None
