"""Corpora with transcripts: LibriSpeech's tree, or a table with a column of files and one of texts.

LibriSpeech (Panayotov et al. 2015) has folders SPEAKER/CHAPTER with recordings and SPEAKER-CHAPTER.trans.txt, with a
line per utterance: its id, a space, the text. A table is TSV or CSV with a row of column names (as LibriVox, Common
Voice and fairseq have them) or JSON lines (as NeMo has them); paths in it are relative to the table. One bad row does
not stop an evaluation: it is a Failure among the results.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..batch.inputs import Failure
from ..errors import OptionError

AUDIO_COLUMNS = ("audio", "audio_filepath", "audio_path", "path", "file", "filename", "wav")
TEXT_COLUMNS = ("text", "transcript", "sentence", "reference", "tgt_text", "transcription")
ID_COLUMNS = ("id", "utt_id", "utterance_id", "key")
GROUP_COLUMNS = ("group", "subset", "split")
DELIMITERS = {".tsv": "\t", ".csv": ","}
LIBRISPEECH_SUFFIXES = (".flac", ".wav", ".mp3", ".ogg", ".opus")


class Utterance(NamedTuple):
    """One recording and its reference transcript."""

    id: str
    audio: Path
    text: str
    group: str = ""  # the part of the corpus it is counted with: test-clean, test-other, ...


class Corpus(NamedTuple):
    """The utterances of a corpus, and the rows that cannot be evaluated."""

    utterances: list[Utterance]
    failures: list[Failure]


def read_corpus(path: str | Path) -> Corpus:
    """All utterances below a folder of LibriSpeech's layout, or of a .tsv, .csv, .json or .jsonl table, in order.

    A row without a recording or a text, or whose recording does not exist, is a Failure. Raises OptionError if the
    corpus cannot be read, or if it has no usable row.
    """
    path = Path(path)
    if path.is_dir():
        rows = read_tree(path)
    elif path.suffix.lower() in (".jsonl", ".json"):
        rows = read_json_lines(path)
    elif path.suffix.lower() in DELIMITERS:
        rows = read_table(path)
    else:
        raise OptionError(f"{path}: expected a folder in LibriSpeech's layout, or a .tsv, .csv or .jsonl table")
    return check(path, rows)


def check(path: Path, rows: Iterable[Utterance | Failure]) -> Corpus:
    """The rows as a corpus; a recording that does not exist and an id that occurs twice are failures.

    Raises OptionError if no row can be used.
    """
    utterances: dict[str, Utterance] = {}
    failures: list[Failure] = []
    for row in rows:
        if isinstance(row, Failure):
            failures.append(row)
        elif row.id in utterances:
            failures.append(Failure(row.id, "an utterance before it has the same id; a column `id` tells them apart"))
        elif not row.audio.is_file():
            failures.append(Failure(str(row.audio), "no such file"))
        else:
            utterances[row.id] = row
    if utterances:
        return Corpus(list(utterances.values()), failures)
    reason = f"none of its {len(failures)} rows can be used ({': '.join(failures[0])})" if failures else "is empty"
    raise OptionError(f"{path}: no transcribed recordings in it: {reason}")


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark. Raises OptionError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise OptionError(f"{path}: is not UTF-8 (byte {error.start})") from None


def read_tree(folder: Path) -> Iterator[Utterance | Failure]:
    """Every line of every *.trans.txt below a folder, sorted by file."""
    for transcripts in sorted(folder.rglob("*.trans.txt")):
        try:
            lines = read_text(transcripts).splitlines()
        except OptionError as error:
            yield Failure(str(transcripts), str(error).removeprefix(f"{transcripts}: "))
            continue
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield utterance_of_line(line, transcripts, number)


def utterance_of_line(line: str, transcripts: Path, number: int) -> Utterance | Failure:
    """One line of a *.trans.txt file."""
    name, _, text = line.strip().partition(" ")
    if Path(name).name != name:
        return bad_row(transcripts, number, f"{name:.60} is not an utterance id")
    return Utterance(name, recording(transcripts.parent / name), text, subset_of(transcripts))


def bad_row(path: Path, number: int, reason: str) -> Failure:
    """A line of a table or of transcripts that cannot be used."""
    return Failure(f"{path}, line {number}", reason)


def subset_of(transcripts: Path) -> str:
    """.../test-clean/1089/134686/1089-134686.trans.txt -> test-clean; "" where the folders are not laid out so."""
    parents = transcripts.absolute().parents
    return parents[2].name if transcripts.name.startswith(f"{parents[1].name}-{parents[0].name}.") else ""


def recording(stem: Path) -> Path:
    """The file of an utterance: FLAC as released, or a format that it was converted to."""
    candidates = [stem.with_name(stem.name + suffix) for suffix in LIBRISPEECH_SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])


def column(row: dict, names: tuple[str, ...]) -> str | None:
    """The first of these columns that a row has a value in."""
    return next((name for name in names if isinstance(row.get(name), str | int)), None)


def utterance_of(row: dict, path: Path, number: int) -> Utterance | Failure:
    """One row of a table; a Failure if it has no recording or no text."""
    all_columns = (AUDIO_COLUMNS, TEXT_COLUMNS, ID_COLUMNS, GROUP_COLUMNS)
    audio, text, name, group = (column(row, names) for names in all_columns)
    if audio is None or text is None:
        lacks, names = ("recording", AUDIO_COLUMNS) if audio is None else ("text", TEXT_COLUMNS)
        found = ", ".join(str(key) for key in list(row)[:8])
        return bad_row(path, number, f"no {lacks}; columns are {found}; expected one of {', '.join(names)}")
    file = str(row[audio])
    return Utterance(
        str(row[name]) if name else file, path.parent / file, str(row[text]), str(row[group]) if group else ""
    )


def read_table(path: Path) -> Iterator[Utterance | Failure]:
    """TSV (where quotes are ordinary characters) or CSV, with a row of column names. Raises OptionError.

    A quote that is never closed would hide all rows after it, so CSV is read strictly.
    """
    delimiter = DELIMITERS[path.suffix.lower()]
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    lines = read_text(path).splitlines(keepends=True)
    rows = csv.DictReader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for row in rows:
            yield utterance_of(row, path, rows.line_num)
    except csv.Error as error:
        raise OptionError(f"{path}, the row after line {rows.line_num}: {error}") from None


def read_json_lines(path: Path) -> Iterator[Utterance | Failure]:
    """JSON lines: one object per line. Raises OptionError."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield bad_row(path, number, f"not JSON ({error})")
            continue
        if isinstance(row, dict):
            yield utterance_of(row, path, number)
        else:
            yield bad_row(path, number, "expected a JSON object with a recording and a text")
