"""Results of an evaluation: one line of JSON per utterance, written as it is done, and a table that sums them up.

The first line of a results file describes what was evaluated and how; each further line is one utterance. The file only
grows, by whole lines, so that an evaluation that was killed can be resumed: `Results.open` reads the lines there are,
drops a torn last line, and refuses a file that was made with other settings.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..errors import OptionError
from ..system.append_files import AppendOnlyFile
from .corpus import Utterance
from .distance import DELETION, HIT, INSERTION, SUBSTITUTION, Errors, Step, align, count_errors
from .text import NORMALIZERS

MARKS = {HIT: " ", SUBSTITUTION: "S", DELETION: "D", INSERTION: "I"}

NOT_OURS = "is not a results file of s2t-np evaluate; give another --output"
COLUMNS = {"files": 7, "words": 8, "WER %": 8, "sub": 7, "del": 7, "ins": 7, "CER %": 8, "wrong %": 9, "RTF": 8}
HEAD = " " * 12 + "".join(name.rjust(width) for name, width in COLUMNS.items())


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
    """One line of JSON. Bytes of a path that are not UTF-8 become escaped surrogates."""
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def to_record(outcome: Outcome) -> dict:
    """The outcome as a JSON object, for a results file."""
    counts = {"words": outcome.words._asdict(), "characters": outcome.characters._asdict()}
    return outcome._asdict() | counts | {"wer": outcome.words.rate, "cer": outcome.characters.rate}


def from_record(record: dict) -> Outcome:
    """The inverse of `to_record`. Raises KeyError or TypeError for any other object."""
    fields = {name: record[name] for name in Outcome._fields}
    return Outcome(**fields | {name: Errors(**record[name]) for name in ("words", "characters")})


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
        if path.exists() and not resume:
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
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OptionError(f"{path}: {NOT_OURS}") from None
    if differing := [key for key in setting if found.get(key) != setting[key]]:
        key = differing[0]
        raise OptionError(
            f"{path}: was made with {key} {found.get(key)!r}, not {setting[key]!r}; give another --output"
        )
    return outcomes


def summary(outcomes: Iterable[Outcome]) -> str:
    """A table: error rates by group and over all, with substitutions, deletions and insertions in per cent of words.

    RTF is the real-time factor: computing time divided by the duration of the recordings.
    """
    outcomes = list(outcomes)
    groups = sorted({outcome.group for outcome in outcomes} - {""})
    rows = [(group, [o for o in outcomes if o.group == group]) for group in groups if len(groups) > 1]
    rows.append((groups[0] if len(groups) == 1 else "all", outcomes))
    return "\n".join([HEAD, *(summary_row(name, members) for name, members in rows)])


def summary_row(name: str, outcomes: list[Outcome]) -> str:
    """One line of the table; `wrong` counts utterances with any error."""
    words = sum((o.words for o in outcomes), Errors())
    characters = sum((o.characters for o in outcomes), Errors())
    wrong = sum(o.words.total > 0 for o in outcomes) / max(1, len(outcomes))
    real_time = sum(o.seconds for o in outcomes) / max(1e-9, sum(o.duration for o in outcomes))
    shares = [100 * count / max(1, words.length) for count in (words.substitutions, words.deletions, words.insertions)]
    return (
        f"{name:<12}{len(outcomes):>7}{words.length:>8}{100 * words.rate:>8.2f}"
        + "".join(f"{share:>7.2f}" for share in shares)
        + f"{100 * characters.rate:>8.2f}{100 * wrong:>9.1f}{real_time:>8.4f}"
    )


def show_alignment(steps: list[Step]) -> str:
    """Three lines, words above each other: reference, hypothesis, and S, D or I where they differ."""
    rows = (["REF"], ["HYP"], ["   "])
    for step in steps:
        cells = (step.reference or "", step.hypothesis or "", MARKS[step.kind])
        width = max(map(len, cells))
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell.ljust(width))
    return "\n".join(" ".join(row).rstrip() for row in rows)
