"""One callable for every cluster: a batch of paths or of the bytes of files in, the same batch with its texts out.

`Transcriber` fits Ray Data's map_batches, Dask's map_partitions, Spark's mapInPandas, datasets.map(batched=True) and
the pools of multiprocessing and joblib. It is small when it is pickled: each process loads the model once, at the first
batch. A result depends on its recording alone, so a batch that a killed worker leaves is simply computed again.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from . import arguments
from .batch.items import STDIN, Failure, Input
from .batch.run import Task, transcribe_all
from .checkpoint.hub import BUNDLED
from .config import GenerationConfig
from .errors import OptionError
from .formats import segment_record
from .loading import ensemble_parts, load
from .longform.options import StreamOptions
from .longform.segment import Recording
from .model import DEFAULT_MODEL, S2T
from .settings.fields import show
from .system.forks import RenewedLock
from .system.threads import own_threads
from .tokenizer import Tokenizer

OF_LOAD = ("backend", "dtype", "revision", "download")
BESIDES = ("lang", "prefix", "hotwords")  # options of a text that GenerationConfig does not check by itself
RESULTS = ("text", "segments", "error", "duration")
BYTES = (bytes, bytearray, memoryview)
LOADING = RenewedLock()


class Row(NamedTuple):
    """The result for one recording."""

    text: str | None  # None where nothing could be heard
    segments: list[dict]  # as --format json writes them
    error: str | None  # why there is no text, or why some of it is missing; on one line
    duration: float | None  # seconds heard


class Transcriber:
    """Transcribe batch after batch: `Transcriber("digits", num_beams=2)(["a.wav", "b.mp3"])`."""

    def __init__(
        self,
        model: str | os.PathLike | S2T = DEFAULT_MODEL,
        *,
        options: StreamOptions | None = None,
        batch: int | None = None,
        threads: int | None = None,
        **settings,
    ):
        """Nothing is loaded before the first batch.

        `model`: as in `s2t_np.load`, or a loaded model. `options`: how recordings are cut. `batch`: utterances decoded
        together. `threads`: for this model's computation; workers that share a machine should have 1 each. `settings`:
        those of `s2t_np.load` (backend, dtype, revision, download) and of `S2T.generate`. Raises OptionError.
        """
        self.options = arguments.instance(options, "options", StreamOptions)
        self.batch = None if batch is None else arguments.whole_number(batch, "batch", 1)
        self.threads = None if threads is None else arguments.whole_number(threads, "threads", 1)
        self.generation = {name: value for name, value in settings.items() if name not in OF_LOAD}
        GenerationConfig().replace(**{n: v for n, v in self.generation.items() if n not in BESIDES})
        self.loading = {name: settings[name] for name in OF_LOAD if name in settings}
        if isinstance(model, S2T) and self.loading:
            raise OptionError(f"{', '.join(self.loading)}: the model is loaded already; give its name instead")
        self.name = model if isinstance(model, S2T) else absolute(model)

    def __repr__(self) -> str:
        return f"Transcriber({self.name!r})"

    @property
    def model(self) -> S2T:
        """The model, loaded when it is first asked for, once in a process. Raises ModelError, BackendError."""
        if isinstance(self.name, S2T):
            return self.name
        with LOADING.lock:
            return load_once(self.name, tuple(sorted(self.loading.items())))

    def __call__(self, batch):
        """The batch with its columns text, segments, error and duration; rows stay in their order.

        `batch` is a table with a column "bytes" (files in memory), "path", or "audio" (records of the two): a dict of
        columns or a pandas DataFrame, returned as such, with `segments` as JSON, without the bytes, other columns kept.
        Or it is a list of paths and of bytes; then a list of dicts comes back. A recording that cannot be heard has its
        reason as `error` and None as text. Raises OptionError for another batch.
        """
        if isinstance(batch, Mapping):
            columns = {name: batch[name] for name in batch}
            return {n: c for n, c in columns.items() if n != "bytes"} | table(self.rows(sounds_of(columns)))
        if hasattr(batch, "assign") and hasattr(batch, "columns"):
            found = table(self.rows(sounds_of({name: batch[name] for name in batch.columns})))
            return batch.drop(columns=[name for name in ("bytes",) if name in batch.columns]).assign(**found)
        if isinstance(batch, str | bytes | os.PathLike) or not hasattr(batch, "__iter__"):
            raise OptionError(f"batch is {show(batch)}, expected a dict of columns, a DataFrame, or a list of paths")
        sounds = list(batch)
        return [{"path": path_of(s)} | row._asdict() for s, row in zip(sounds, self.rows(sounds), strict=True)]

    def map_frames(self, frames: Iterable) -> Iterator:
        """Each of many DataFrames with its texts: the function that Spark's mapInPandas takes."""
        return map(self, frames)

    def rows(self, sounds: list) -> list[Row]:
        """The result of every sound, a path or the bytes of a file, in order. Raises OptionError."""
        checked = [checked_sound(sound) for sound in sounds]
        inputs = [Input(sound, "") for sound in checked if not isinstance(sound, Failure)]
        model = self.model
        model.warn_of_open_language(self.generation)
        with nullcontext() if self.threads is None else own_threads(self.threads):
            sharing = model.sharing(self.batch, **self.generation)
            heard = transcribe_all(Task(model, self.options, self.generation, sharing=sharing), inputs)
            results = [sound if isinstance(sound, Failure) else next(heard) for sound in checked]
        return [row_of(result, model.tokenizer) for result in results]


@lru_cache(maxsize=4)
def load_once(name, settings: tuple) -> S2T:
    """The model of that name. Raises as `load`."""
    return load(name, **dict(settings))


def absolute(name: str | os.PathLike) -> str:
    """The name of a model as a worker in another folder must say it. Raises OptionError."""
    if isinstance(name, os.PathLike):
        return os.path.abspath(name)
    if not isinstance(name, str):
        raise OptionError(f"model is {show(name)}, expected a name, a folder or a loaded model")
    return os.pathsep.join(
        os.path.abspath(path) if part not in BUNDLED and os.path.exists(path := os.path.expanduser(part)) else part
        for part in ensemble_parts(name)
    )


def sounds_of(columns: Mapping) -> list:
    """The sound of each row of a table. Raises OptionError."""
    if "audio" in columns:
        return [sound_of_record(record) for record in columns["audio"]]
    if "bytes" in columns:
        paths = columns["path"] if "path" in columns else [None] * len(columns["bytes"])
        return [first_sound(data, path) for data, path in zip(columns["bytes"], paths, strict=True)]
    if "path" in columns:
        return list(columns["path"])
    raise OptionError(f'the batch has the columns {", ".join(map(str, columns))}, expected "path", "bytes" or "audio"')


def sound_of_record(record):
    """The bytes or the path in a record of datasets.Audio(decode=False); the record itself, if it holds neither."""
    if not isinstance(record, Mapping) or ("bytes" not in record and "path" not in record):
        return record
    return first_sound(record.get("bytes"), record.get("path"))


def first_sound(data, path):
    """The bytes, else the path: missing bytes are None, NaN or NA, according to the table."""
    return path if isinstance(path, str | os.PathLike) and not isinstance(data, BYTES) else data


def checked_sound(sound) -> str | bytes | Failure:
    """A path or the bytes of a file, as the batch room takes it; of anything else, what is wrong with it."""
    if isinstance(sound, BYTES):
        return bytes(sound)
    if not isinstance(sound, str | os.PathLike) or not os.fspath(sound):
        return Failure("", f"found {show(sound)}, expected a path or the bytes of a file")
    if sound == STDIN:
        return Failure(STDIN, "a worker has no standard input; give a path or the bytes of a file")
    return os.fspath(sound)


def path_of(sound) -> str | None:
    """The path, if it is one."""
    return os.fspath(sound) if isinstance(sound, str | os.PathLike) else None


def row_of(result: Recording | Failure, tokenizer: Tokenizer) -> Row:
    """One recording, or why there is none."""
    if isinstance(result, Failure):
        return Row(None, [], " ".join(result.reason.split()), None)
    segments = [segment_record(segment, tokenizer) for segment in result.segments]
    error = None if result.incomplete is None else " ".join(result.incomplete.split())
    return Row(result.text, segments, error, round(float(result.duration), 3))


def table(rows: list[Row]) -> dict[str, np.ndarray]:
    """The rows as columns (rows,) whose types are the same in every batch: JSON for segments, NaN for no duration."""
    columns = dict(zip(RESULTS, zip(*rows, strict=True) if rows else [()] * len(RESULTS), strict=True))
    columns["segments"] = tuple(json.dumps(segments, ensure_ascii=False) for segments in columns["segments"])
    texts = {name: np.array(columns[name], dtype=object) for name in ("text", "segments", "error")}
    return texts | {"duration": np.array([np.nan if d is None else d for d in columns["duration"]], np.float64)}
