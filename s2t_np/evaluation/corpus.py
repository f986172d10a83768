"""Corpora with transcripts: LibriSpeech's tree, or a table with a column of files and one of texts.

LibriSpeech (Panayotov et al. 2015) has folders SPEAKER/CHAPTER with recordings and SPEAKER-CHAPTER.trans.txt, a line an
utterance: its id, a space, the text. A table is TSV or CSV with a row of column names (LibriVox, Common Voice and
fairseq manifests are such) or JSON lines (NeMo's manifests); paths in it are relative to the table.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import OptionError

AUDIO_COLUMNS = ("audio", "audio_filepath", "audio_path", "path", "file", "filename", "wav")
TEXT_COLUMNS = ("text", "transcript", "sentence", "reference", "tgt_text", "transcription")
ID_COLUMNS = ("id", "utt_id", "utterance_id", "key")
GROUP_COLUMNS = ("group", "subset", "split")
DELIMITERS = {".tsv": "\t", ".csv": ","}
LIBRISPEECH_SUFFIXES = (".flac", ".wav", ".mp3", ".ogg", ".opus")


class Utterance(NamedTuple):
    """One recording and what is said in it."""

    id: str
    audio: Path
    text: str
    group: str = ""  # the part of the corpus it is counted with: test-clean, test-other, ...


def read_corpus(path: str | Path) -> list[Utterance]:
    """All utterances below a folder of LibriSpeech's layout, or of a .tsv, .csv, .json or .jsonl table, in order.

    Raises OptionError where there are none, two have one id, a line cannot be understood, or a recording is missing.
    """
    path = Path(path)
    if path.is_dir():
        utterances = list(read_tree(path))
    elif path.suffix.lower() in (".jsonl", ".json"):
        utterances = list(read_json_lines(path))
    elif path.suffix.lower() in DELIMITERS:
        utterances = list(read_table(path))
    else:
        raise OptionError(f"{path}: expected a folder in LibriSpeech's layout, or a .tsv, .csv or .jsonl table")
    return check(path, utterances)


def check(path: Path, utterances: list[Utterance]) -> list[Utterance]:
    """The same list. Raises OptionError as `read_corpus` says."""
    if not utterances:
        raise OptionError(f"{path}: no transcribed recordings in it")
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise OptionError(f"{path}: two utterances are called {utterance.id:.100}; give them an id column")
        seen.add(utterance.id)
    missing = [u.audio for u in utterances if not u.audio.is_file()]
    if missing:
        raise OptionError(f"{path}: {len(missing)} of {len(utterances)} recordings are missing, such as {missing[0]}")
    return utterances


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a byte order mark. Raises OptionError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise OptionError(f"{path}: is not UTF-8 (byte {error.start})") from None


def read_tree(folder: Path) -> Iterator[Utterance]:
    """Every line of every *.trans.txt below a folder, sorted by file."""
    for transcripts in sorted(folder.rglob("*.trans.txt")):
        for number, line in enumerate(read_text(transcripts).splitlines(), 1):
            name, _, text = line.strip().partition(" ")
            if not name:
                continue
            if Path(name).name != name:
                raise OptionError(f"{transcripts}, line {number}: {name:.60} is no utterance id")
            yield Utterance(name, recording(transcripts.parent / name), text, subset_of(transcripts))


def subset_of(transcripts: Path) -> str:
    """.../test-clean/1089/134686/1089-134686.trans.txt -> test-clean; "" where the folders are not laid out so."""
    parents = transcripts.absolute().parents
    return parents[2].name if transcripts.name.startswith(f"{parents[1].name}-{parents[0].name}.") else ""


def recording(stem: Path) -> Path:
    """The file of an utterance: FLAC as released, or another format it was converted to."""
    candidates = [stem.with_name(stem.name + suffix) for suffix in LIBRISPEECH_SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])


def column(row: dict, names: tuple[str, ...]) -> str | None:
    """The first of these columns that a row has."""
    return next((name for name in names if isinstance(row.get(name), str | int)), None)


def utterance_of(row: dict, path: Path, number: int) -> Utterance:
    """One row of a table. Raises OptionError where it has no audio or no text."""
    all_columns = (AUDIO_COLUMNS, TEXT_COLUMNS, ID_COLUMNS, GROUP_COLUMNS)
    audio, text, name, group = (column(row, names) for names in all_columns)
    if audio is None or text is None:
        lacks, names = ("recording", AUDIO_COLUMNS) if audio is None else ("text", TEXT_COLUMNS)
        found = ", ".join(str(key) for key in list(row)[:8])
        raise OptionError(f"{path}, line {number}: no {lacks}; columns are {found}; expected one of {', '.join(names)}")
    file = str(row[audio])
    return Utterance(
        str(row[name]) if name else file, path.parent / file, str(row[text]), str(row[group]) if group else ""
    )


def read_table(path: Path) -> Iterator[Utterance]:
    """TSV (quotes are ordinary characters there) or CSV with a row of column names."""
    delimiter = DELIMITERS[path.suffix.lower()]
    quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    rows = csv.DictReader(read_text(path).splitlines(keepends=True), delimiter=delimiter, quoting=quoting)
    try:
        for row in rows:
            yield utterance_of(row, path, rows.line_num)
    except csv.Error as error:
        raise OptionError(f"{path}, line {rows.line_num}: {error}") from None


def read_json_lines(path: Path) -> Iterator[Utterance]:
    """One JSON object a line."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise OptionError(f"{path}, line {number}: no JSON ({error})") from None
        if not isinstance(row, dict):
            raise OptionError(f"{path}, line {number}: expected a JSON object with a recording and a text")
        yield utterance_of(row, path, number)
