"""Tables of recordings, as corpora ship them: one recording a row, or a part of one.

    TSV, CSV      a row of column names, then the rows; JSON lines: one object a line
    Common Voice  `path` is a file in the folder clips/ beside the table
    NeMo          `audio_filepath`, with `offset` and `duration` in seconds where it is part of a longer recording
    fairseq S2T   `audio` may be FILE:OFFSET:LENGTH, in bytes of a stored zip file, in samples of a recording

Paths are relative to the table; addresses (https://...) are taken as they are. One bad row does not stop the rest: it
is a Failure with the line it stands in.
"""

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from .. import audio
from ..audio import EVERYTHING, Selection
from ..errors import AudioError, OptionError
from ..settings.fields import is_real
from ..system.names import local_name
from .items import Failure, Input

AUDIO_COLUMNS = ("audio", "audio_filepath", "audio_path", "path", "file", "filename", "wav")
ID_COLUMNS = ("id", "utt_id", "utterance_id", "key")
DELIMITERS = {".tsv": "\t", ".csv": ","}
SUFFIXES = (*DELIMITERS, ".json", ".jsonl")
PIECE = re.compile(r"(.+):(\d+):(\d+)")
LONGEST_PIECE = 1 << 30  # bytes


class Row(NamedTuple):
    """One row of a table."""

    id: str
    audio: Path | str  # a file, or an address
    columns: dict
    place: str  # "table.tsv, line 3"
    selection: Selection = EVERYTHING
    piece: tuple[int, int] | None = None  # where in the file it begins and how long it is, as fairseq writes it


def read_manifest(path: Path) -> Iterator[Row | Failure]:
    """The rows of a .tsv, .csv, .json or .jsonl table. Raises OptionError if it cannot be read at all."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"{path}: expected a table, one of {', '.join(SUFFIXES)}")
    for number, columns in (read_table if suffix in DELIMITERS else read_json_lines)(path):
        yield columns if isinstance(columns, Failure) else row_of(columns, path, number)


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark. Raises OptionError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise OptionError(f"{path}: is not UTF-8 (byte {error.start})") from None


def read_table(path: Path) -> Iterator[tuple[int, dict]]:
    """(line, columns) of TSV (where quotes are ordinary characters) or CSV. Raises OptionError.

    A quote that is never closed would hide all rows after it, so CSV is read strictly.
    """
    delimiter = DELIMITERS[path.suffix.lower()]
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    lines = read_text(path).splitlines(keepends=True)
    rows = csv.DictReader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for row in rows:
            yield rows.line_num, row
    except csv.Error as error:
        raise OptionError(f"{path}, the row after line {rows.line_num}: {error}") from None


def read_json_lines(path: Path) -> Iterator[tuple[int, dict | Failure]]:
    """(line, columns) of JSON lines: one object per line. Raises OptionError."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, bad_row(path, number, f"not JSON ({error})")
            continue
        found = row if isinstance(row, dict) else bad_row(path, number, "expected a JSON object with a recording")
        yield number, found


def bad_row(path: Path, number: int, reason: str) -> Failure:
    """A line of a table that cannot be used."""
    return Failure(f"{path}, line {number}", reason)


def value_of(row: dict, names: tuple[str, ...]) -> str | None:
    """The first value that a row has in one of these columns."""
    return next((str(row[name]) for name in names if isinstance(row.get(name), str | int)), None)


def lacking(row: dict, what: str, names: tuple[str, ...]) -> str:
    """Return what is said of a row without a value in any of the columns `names`."""
    found = ", ".join(f"{key!s:.40}" for key in list(row)[:8])
    return f"no {what}; columns are {found}; expected one of {', '.join(names)}"


def row_of(columns: dict, path: Path, number: int) -> Row | Failure:
    """One row; a Failure if it has no recording, or a part of one that cannot be."""
    file, name = value_of(columns, AUDIO_COLUMNS), value_of(columns, ID_COLUMNS)
    if file is None:
        return bad_row(path, number, lacking(columns, "recording", AUDIO_COLUMNS))
    try:
        file, selection = checked_name(file), part_of(columns)
        name = checked_name(name or (f"{file}@{selection.start:g}" if selection.is_clip else file))
    except OptionError as error:
        return bad_row(path, number, str(error))
    place, piece = located(file, path)
    return Row(name, place, columns, f"{path}, line {number}", selection, piece)


def checked_name(text: str) -> str:
    """A file or an id as this process has to say it, whatever its locale. Raises OptionError."""
    try:
        return text if audio.is_url(text) else local_name(text)
    except ValueError:
        raise OptionError(f"{text!r:.60} holds half of a surrogate pair, so it cannot be a name") from None


def located(file: str, table: Path) -> tuple[Path | str, tuple[int, int] | None]:
    """The file, or address, that a row names, and the piece of it."""
    if audio.is_url(file):
        return file, None
    found, piece = PIECE.fullmatch(file), None
    if found and not os.path.exists(table.parent / file):
        file, piece = found[1], (int(found[2]), int(found[3]))
    names = [file] if Path(file).suffix else [file, f"{file}.mp3"]
    places = [folder / name for name in names for folder in (table.parent, table.parent / "clips")]
    return next((place for place in places if os.path.isfile(place)), places[0]), piece


def part_of(columns: dict) -> Selection:
    """The stretch that a row's `offset` and `duration` (seconds) choose: all of it without an offset.

    Raises OptionError.
    """
    offset, duration = (number(columns, name) for name in ("offset", "duration"))
    if offset is None:
        return EVERYTHING
    return Selection(start=offset, end=None if duration is None else offset + duration)


def number(columns: dict, name: str) -> float | None:
    """A column as a number; None where it is empty or not there. Raises OptionError."""
    value = columns.get(name)
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):  # the last: an int of 400 digits
        found = None
    if not is_real(found):
        raise OptionError(f"{name} is {value!r:.40}, expected a number of seconds")
    return found


def source_of(path: Path | str, piece: tuple[int, int] | None, selection: Selection) -> tuple:
    """Return what audio.blocks reads for a row, and the selection of it. Raises AudioError."""
    if piece is None:
        return path, selection
    begin, length = piece
    if Path(path).suffix.lower() == ".zip":
        return piece_bytes(path, begin, length), selection
    rate = audio.sampling_rate_of(path)
    return path, replace(selection, start=begin / rate, end=(begin + length) / rate)


def piece_bytes(path: Path | str, begin: int, length: int) -> bytes:
    """Some bytes of a file. Raises AudioError."""
    if not 0 < length <= LONGEST_PIECE:
        raise AudioError(f"{path}: a piece of {length} bytes, expected 1 to {LONGEST_PIECE}")
    try:
        with open(path, "rb") as file:
            file.seek(begin)
            data = file.read(length)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from None
    if len(data) < length:
        raise AudioError(f"{path}: ends at byte {begin + len(data)}, before the piece from {begin} to {begin + length}")
    return data


def manifest_inputs(path: str) -> tuple[list[Input], list[Failure]]:
    """The rows of a table as inputs, named by their ids, and those that cannot be used. Raises OptionError."""
    inputs, failures = [], []
    for row in read_manifest(Path(path)):
        if isinstance(row, Failure):
            failures.append(row)
        elif not (audio.is_url(row.audio) or os.path.isfile(row.audio)):
            failures.append(Failure(row.place, f"{row.audio}: no such file"))
        else:
            inputs.append(Input(str(row.audio), output_name_of(row), row.selection, row.piece))
    return inputs, failures


def output_name_of(row: Row) -> str:
    """A row's id as a path below the output folder; without the suffix, if it is a file's name."""
    parts = [part for part in Path(row.id).parts if part not in ("..", ".", Path(row.id).anchor)]
    name = "/".join(part.replace(":", "-") for part in parts) or "recording"
    return str(Path(name).with_suffix("")) if Path(name).suffix == Path(str(row.audio)).suffix else name
