"""Many recordings: which inputs there are, one result or one reason for each, and how a result is written down.

Nothing here knows of terminals or exit codes (`cli` does): functions take and return values, an input that cannot be
transcribed is a `Failure` among the results, and whoever iterates decides what to do with it.

Two formats: `txt`, the text of each hypothesis on a line of its own, best first; `json`, one object on one line.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .errors import AudioError, OptionError
from .model import S2T, Transcript
from .search import Hypothesis

STDIN = "-"
# What libsndfile recognises by its content, under the names such files go by. Headerless ones (.raw, .pcm) say nothing
# of their rate, so they are no audio files here.
AUDIO_SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aiff .aif .aifc .au .snd .caf .w64 .rf64 .wavex .sph .nist .voc".split()
)


class Input(NamedTuple):
    """One recording to transcribe."""

    path: str  # as it was given, or below the folder that was given; "-" is standard input
    name: str  # of its output, without a suffix, relative to the output folder


class Failure(NamedTuple):
    """One input that gave no transcript, and why."""

    path: str  # or "standard input"
    reason: str


def is_audio_file(path: Path) -> bool:
    """By its name: a suffix of AUDIO_SUFFIXES, and not hidden ("._talk.wav" holds a Mac's notes, no sound)."""
    return path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")


def walk(folder: str) -> list[Input | Failure]:
    """The audio files below a folder, sorted by path; hidden folders and links to folders are not entered."""
    found: list[Path] = []
    failures: list[Input | Failure] = []

    def unreadable(error: OSError) -> None:
        failures.append(Failure(str(error.filename), f"cannot be read ({error.strerror})"))

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [path for name in files if is_audio_file(path := Path(here, name))]
    if not found and not failures:
        return [Failure(folder, "a folder without any audio file")]
    return failures + [Input(str(p), str(p.relative_to(folder).with_suffix(""))) for p in sorted(found)]


def expand_one(path: str) -> list[Input | Failure]:
    """The inputs that one argument of the command stands for."""
    if path == STDIN:
        return [Input(path, "stdin")]
    if os.path.isdir(path):
        return walk(path)
    if not os.path.exists(path):
        return [Failure(path, "no such file or folder")]
    return [Input(path, Path(path).stem)]


def expand(paths: Iterable[str]) -> tuple[list[Input], list[Failure]]:
    """Files stay, folders become the audio files below them, in the order given. Raises OptionError for "-" twice."""
    paths = list(paths)
    if paths.count(STDIN) > 1:
        raise OptionError('"-" is given twice, but standard input can be read only once')
    found = [item for path in paths for item in expand_one(path)]
    return [x for x in found if isinstance(x, Input)], [x for x in found if isinstance(x, Failure)]


def output_paths(inputs: list[Input], folder: str, suffix: str) -> list[Path]:
    """Where each input's result goes. Raises OptionError where two would go to one place, or onto an input itself."""
    owners: dict[Path, Input] = {}
    sources = {os.path.realpath(item.path): item for item in inputs if item.path != STDIN}
    for item in inputs:
        path = Path(folder, item.name + suffix)
        if path in owners:
            raise OptionError(f"{owners[path].path} and {item.path} would both write {path}; transcribe them apart")
        if source := sources.get(os.path.realpath(path)):
            raise OptionError(f"the result of {item.path} would overwrite the input {source.path}")
        owners[path] = item
    return list(owners)


def name_of(path: str) -> str:
    """What messages call an input, as the audio room does."""
    return "standard input" if path == STDIN else path


def attempt(model: S2T, item: Input, options: dict) -> Transcript | Failure:
    """Transcribe one input; what is wrong with the recording itself comes back as a Failure. Raises OptionError."""
    try:
        return model.transcribe(item.path, **options)
    except AudioError as error:
        return Failure(name_of(item.path), str(error).removeprefix(f"{name_of(item.path)}: "))
    except MemoryError:
        return Failure(name_of(item.path), "not enough memory for a recording of this length; cut it into shorter ones")


def transcribe_all(model: S2T, inputs: Iterable[Input], **options) -> Iterator[tuple[Input, Transcript | Failure]]:
    """Every input in turn, with its transcript or its failure. `options` as in S2T.generate. Raises OptionError."""
    return ((item, attempt(model, item, options)) for item in inputs)


def one_line(path: str) -> str:
    r"""A path that fits a line of tab-separated text: a tab, line feed or carriage return in it becomes \t, \n, \r."""
    return path.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def as_txt(model: S2T, item: Input, transcript: Transcript, with_path: bool = False) -> str:
    """The text of every hypothesis on a line, best first; `with_path` begins each line with the path and a tab."""
    start = one_line(item.path) + "\t" if with_path else ""
    return "".join(f"{start}{' '.join(text.split())}\n" for text in transcript.texts)


def finite(value: float) -> float | None:
    """A number as JSON knows it: what is infinite or NaN (an impossible token's log-probability) becomes null."""
    return float(value) if math.isfinite(value) else None


def hypothesis_record(model: S2T, hypothesis: Hypothesis, text: str) -> dict:
    """One hypothesis in the words of the json format; logarithms are natural ones."""
    tokens = [int(token) for token in hypothesis.tokens]
    return {
        "text": text,
        "score": finite(hypothesis.score),
        "log_prob": finite(hypothesis.log_prob),
        "finished": bool(hypothesis.finished),
        "tokens": tokens,
        "pieces": model.tokenizer.pieces(tokens),
        "token_log_probs": [finite(p) for p in hypothesis.token_log_probs],
    }


def as_json(model: S2T, item: Input, transcript: Transcript, with_path: bool = False) -> str:
    """One JSON object on one line. A path that is no Unicode keeps its bytes as lone surrogates, escaped."""
    hypotheses = [hypothesis_record(model, h, t) for h, t in zip(transcript.hypotheses, transcript.texts, strict=True)]
    record = {"file": item.path, "text": transcript.text, "duration": transcript.duration, "hypotheses": hypotheses}
    return to_json(record) + "\n"


def to_json(record: dict) -> str:
    """JSON on one line that is always valid UTF-8: readable where it can be, \\udcXX escapes where it cannot."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False)
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


FORMATS: dict[str, Callable[..., str]] = {"txt": as_txt, "json": as_json}


@contextmanager
def atomic_file(path: str | Path):
    """Open `path` for binary writing so that it appears complete or not at all (and the old one stays until then).

    Written beside it under a hidden name, then renamed. A link is followed; what is no regular file (/dev/stdout, a
    pipe) is simply written to. Raises OSError.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        with open(path, "wb") as file:
            yield file
        return
    partial = target.with_name(f".s2t-np-{os.urandom(6).hex()}.tmp")
    try:
        with open(partial, "xb") as file:
            yield file
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
