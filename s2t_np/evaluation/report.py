"""Results of an evaluation: one line of JSON per utterance, written as it is done.

The first line of a results file describes what was evaluated and how; each further line is one utterance. The file only
grows, by whole lines, so that an evaluation that was killed can be resumed: `Results.open` reads the lines there are,
drops a torn last line, and refuses a file that was made with other settings.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

from ..errors import OptionError
from ..settings.fields import is_real, show
from ..system.append_files import AppendOnlyFile
from ..system.names import legible_json
from .corpus import Utterance
from .distance import Errors, align, count_errors
from .text import NORMALIZERS

MOST = 2**53  # what floats count exactly
NOT_OURS = "is not a results file of s2t-np evaluate; give another --output"


class Outcome(NamedTuple):
    """One utterance, compared."""

    id: str
    group: str
    file: str
    reference: str  # as it was compared
    hypothesis: str
    words: Errors
    characters: Errors  # spaces between words are characters
    duration: float  # seconds of sound
    seconds: float  # that it took


def compare(utterance: Utterance, text: str, normalization: str, duration: float, seconds: float) -> Outcome:
    """Compare a transcript with the reference, both normalised; `normalization` is a key of NORMALIZERS."""
    reference, hypothesis = (NORMALIZERS[normalization](x) for x in (utterance.text, text))
    words = count_errors(align(reference.split(), hypothesis.split()))
    characters = count_errors(align(reference, hypothesis))
    return Outcome(
        *(utterance.id, utterance.group, str(utterance.audio), reference, hypothesis),
        *(words, characters, duration, seconds),
    )


def to_line(record: dict) -> bytes:
    """One line of JSON, in valid UTF-8."""
    return legible_json(json.dumps(record, ensure_ascii=False)).encode() + b"\n"


def to_record(outcome: Outcome) -> dict:
    """The outcome as a JSON object, for a results file."""
    counts = {"words": outcome.words._asdict(), "characters": outcome.characters._asdict()}
    return outcome._asdict() | counts | {"wer": outcome.words.rate, "cer": outcome.characters.rate}


def from_record(record: dict) -> Outcome:
    """The inverse of `to_record`. Raises KeyError, TypeError or ValueError for any other object."""
    fields = {name: record[name] for name in Outcome._fields}
    errors = {name: Errors(**record[name]) for name in ("words", "characters")}
    outcome = Outcome(**fields | errors)
    texts = (outcome.id, outcome.group, outcome.file, outcome.reference, outcome.hypothesis)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("a text is none")
    if not all(type(count) is int and 0 <= count < MOST for part in errors.values() for count in part):
        raise ValueError("a count is none")
    if not all(is_real(length) and 0 <= length < MOST for length in (outcome.duration, outcome.seconds)):
        raise ValueError("a length of time is none")
    return outcome


class Results:
    """A results file that is open for appending. Use `Results.open`."""

    def __init__(self, file: AppendOnlyFile, outcomes: list[Outcome]):
        self.file, self.outcomes = file, outcomes

    @classmethod
    def open(cls, path: str | Path, setting: dict, resume: bool):
        """A new file, or with `resume` an existing one. Raises OptionError.

        setting: all that determines the results (model, normalization, options), as JSON; an existing file must have
        the same.
        """
        path = Path(path)
        if os.path.exists(path) and not resume:
            raise OptionError(f"{path}: exists; --resume goes on with it, or remove it")
        try:
            file = AppendOnlyFile(path)
        except OSError as error:
            raise OptionError(f"{path}: cannot be written ({error.strerror})") from None
        try:
            return cls(file, recover(file, setting, path))
        except OptionError:
            file.close()
            raise

    def add(self, outcome: Outcome) -> None:
        """Append one line, which is on the disk afterwards. Raises OSError."""
        self.file.append(to_line(to_record(outcome)))
        self.outcomes.append(outcome)

    def close(self) -> None:
        """Close the file. Raises OSError."""
        self.file.close()


def recover(file: AppendOnlyFile, setting: dict, path: Path) -> list[Outcome]:
    """The outcomes in an open results file; a torn last line is cut off, and a new file gets its first line.

    Raises OptionError, and leaves the file as it was, if it is not a results file or has other settings.
    """
    head = to_line({"s2t-np evaluate": setting})
    *lines, torn = path.read_bytes().split(b"\n")
    if not lines and not head.startswith(torn):
        raise OptionError(f"{path}: {NOT_OURS}")
    outcomes = read_results(lines, setting, path) if lines else []
    file.cut(file.size - len(torn))
    if not lines:
        file.append(head)
    return outcomes


def read_results(lines: list[bytes], setting: dict, path: Path) -> list[Outcome]:
    """The outcomes after the first line, which is checked. Raises OptionError."""
    try:
        head, *records = [json.loads(line) for line in lines]
        found, outcomes = dict(head["s2t-np evaluate"]), [from_record(record) for record in records]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise OptionError(f"{path}: {NOT_OURS}") from None
    if differing := [key for key in setting if found.get(key) != setting[key]]:
        key = differing[0]
        raise OptionError(
            f"{path}: was made with {key} {show(found.get(key))}, not {show(setting[key])}; give another --output"
        )
    return outcomes
