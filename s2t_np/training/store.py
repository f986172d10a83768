"""Features on the disk: computed once, and found again by what they were computed from.

The name of a file is a digest of the recording's bytes, of the settings of the features and of the speed, so that a
recording which changes or moves is never taken for another. Without a folder, features are computed anew at each use.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .. import audio
from ..audio.resampling import resample
from ..config import FeatureConfig
from ..errors import AudioError
from ..features import fbank, features
from ..system.atomic_files import atomic_file, remove_leftovers
from ..system.numpy_files import read_numpy

KEY_LETTERS = 32
READ = 1 << 20  # bytes at a time
SPEED_UNIT = 1000  # a speed is rounded to thousandths


def at_speed(samples: np.ndarray, speed: float) -> np.ndarray:
    """A recording played faster or slower, the pitch moving with it (Ko et al. 2015): (N,) -> (N / speed,)."""
    if speed == 1:
        return samples
    return np.concatenate(list(resample([samples], round(speed * SPEED_UNIT), SPEED_UNIT)))


class FeatureStore:
    """Features of recordings, kept in `folder`, or computed at each use where that is None."""

    def __init__(self, config: FeatureConfig, folder: Path | None = None, fbank: Callable = fbank):
        """`fbank` may be a fast twin of features.fbank. What killed processes have left in `folder` is removed."""
        self.config, self.folder, self.fbank = config, folder, fbank
        self.settings = json.dumps(asdict(config), sort_keys=True).encode()
        self.digests: dict[Path, bytes] = {}
        for place in folder.glob("*") if folder is not None else ():
            remove_leftovers(place)

    def digest(self, path: Path) -> bytes:
        """The digest of a file's bytes. Raises AudioError."""
        if path not in self.digests:
            found = hashlib.sha256()
            try:
                with open(path, "rb") as file:
                    while part := file.read(READ):
                        found.update(part)
            except OSError as error:
                raise AudioError(f"{path}: cannot be read ({error.strerror})") from None
            self.digests[path] = found.digest()
        return self.digests[path]

    def file_of(self, path: Path, speed: float) -> Path:
        """The file that keeps the features of a recording at a speed. Raises AudioError."""
        parts = self.digest(path) + self.settings + str(round(speed * SPEED_UNIT)).encode()
        name = hashlib.sha256(parts).hexdigest()[:KEY_LETTERS]
        return self.folder / name[:2] / f"{name}.npy"

    def compute(self, path: Path, speed: float) -> np.ndarray:
        """Features (T, M) of a recording at a speed. Raises AudioError, also for an incomplete one."""
        rate = self.config.sampling_rate
        samples = audio.concat(list(audio.held(audio.blocks(path, rate), str(path))), str(path))
        return features(at_speed(samples, speed), self.config, np.float32, self.fbank)

    def get(self, path: Path, speed: float = 1.0) -> np.ndarray:
        """Features (T, M) float32, read from the disk where they are kept. Raises AudioError, OSError."""
        if self.folder is None:
            return self.compute(path, speed)
        kept = self.file_of(path, speed)
        try:
            return read_numpy(kept)  # not mapped: a file that is shortened would end the process
        except (OSError, ValueError):  # not there yet, or damaged: then it is made anew
            found = self.compute(path, speed)
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as file:
            np.save(file, found)
        return found
