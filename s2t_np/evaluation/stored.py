"""The sound of an utterance as its corpus stores it: a recording, a part of one, or features computed before.

fairseq S2T keeps log-mel features (T, M), before normalisation, in .npy files or one after the other in an uncompressed
zip file; FLAC may lie in such a file, too.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .. import audio
from ..batch.manifests import piece_bytes, source_of
from ..errors import AudioError
from ..features import frame_geometry, normalize
from ..longform.recording import OpenRecording
from ..model import S2T
from ..system.numpy_files import read_numpy
from .corpus import Utterance

NPY = b"\x93NUMPY"


def sound_of(utterance: Utterance, rate: int) -> Iterator[np.ndarray]:
    """The sound of an utterance, block by block: (n,) float32 at `rate` Hz.

    Raises AudioError; where it is incomplete, too, since the text of a part would count as wrong.
    """
    source, selection = source_of(utterance.audio, utterance.piece, utterance.selection)
    try:
        yield from audio.blocks(source, rate, selection=selection)
    except AudioError as error:
        raise AudioError(f"{utterance.audio}: {str(error).removeprefix(f'{audio.name_of(source)}: ')}") from error


def stored_features(utterance: Utterance) -> np.ndarray | None:
    """The features (T, M) that a corpus holds of an utterance; None where it holds sound. Raises AudioError."""
    suffix = Path(utterance.audio).suffix.lower()
    if suffix == ".zip" and utterance.piece:
        data = piece_bytes(utterance.audio, *utterance.piece)
        return array_of(io.BytesIO(data), str(utterance.audio)) if data.startswith(NPY) else None
    return array_of(utterance.audio, str(utterance.audio)) if suffix == ".npy" else None


def array_of(file, name: str) -> np.ndarray:
    """The array of an .npy file. Raises AudioError."""
    try:
        found = read_numpy(file)
    except (OSError, ValueError) as error:
        raise AudioError(f"{name}: is not an array that can be read ({error!s:.200})") from error
    if not isinstance(found, np.ndarray):
        raise AudioError(f"{name}: holds several arrays (.npz), expected one (.npy)")
    return found


def normalized(model: S2T, features: np.ndarray, name: str) -> np.ndarray:
    """Stored features (T, M) as the model reads them: (T, M) float32. Raises AudioError for another shape."""
    bins = model.feature_config.num_mel_bins
    if features.ndim != 2 or features.shape[1] != bins or len(features) == 0 or features.dtype.kind != "f":
        found = f"{features.dtype} of shape {features.shape}"
        raise AudioError(f"{name}: holds {found}, expected features: floats of shape (frames, {bins})")
    return normalize(features.astype(np.float32), model.feature_config)


def recording_of_features(model: S2T, features: np.ndarray) -> OpenRecording:
    """The length of the recording that features (T, M) stand for; its samples are not known."""
    rate = model.feature_config.sampling_rate
    _, hop, _ = frame_geometry(rate)
    return OpenRecording(rate, None, np.empty(0, np.float32), iter(()), len(features) * hop)
