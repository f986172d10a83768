"""Corpora with transcripts: LibriSpeech's tree, or a table with a column of files and one of texts.

LibriSpeech (Panayotov et al. 2015) has folders SPEAKER/CHAPTER with recordings and SPEAKER-CHAPTER.trans.txt, with a
line per utterance: its id, a space, the text. Tables are those of batch/manifests.py (Common Voice, NeMo, fairseq S2T,
LibriVox), with a column of texts. One bad row does not stop an evaluation: it is a Failure among the results.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..audio import EVERYTHING, Selection, is_url
from ..batch.inputs import Failure
from ..batch.manifests import SUFFIXES, Row, bad_row, lacking, read_manifest, read_text, value_of
from ..errors import OptionError
from ..system.names import legible, local_name

TEXT_COLUMNS = ("text", "transcript", "sentence", "reference", "tgt_text", "transcription")
GROUP_COLUMNS = ("group", "subset", "split")
LIBRISPEECH_SUFFIXES = (".flac", ".wav", ".mp3", ".ogg", ".opus")


class Utterance(NamedTuple):
    """One recording, or a part of one, and its reference transcript."""

    id: str  # valid Unicode, as the other texts are: results are stored as JSON and compared with them
    audio: Path | str  # a file, or an address
    text: str
    group: str = ""  # the part of the corpus it is counted with: test-clean, test-other, ...
    selection: Selection = EVERYTHING  # the part of the recording that it is
    piece: tuple[int, int] | None = None  # the bytes of a zip file, or the samples, that it is (batch/manifests.py)


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
    elif path.suffix.lower() in SUFFIXES:
        rows = map(utterance_of, read_manifest(path))
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
        elif not is_url(row.audio) and not os.path.isfile(row.audio):
            failures.append(Failure(f"{row.audio!s:.500}", "no such file"))
        else:
            utterances[row.id] = row
    if utterances:
        return Corpus(list(utterances.values()), failures)
    reason = "no *.trans.txt below it has a line" if path.is_dir() else "it is empty"
    if failures:
        reason = f"none of its {len(failures)} rows can be used ({': '.join(failures[0])})"
    raise OptionError(f"{path}: no transcribed recordings in it: {reason}")


def read_tree(folder: Path) -> Iterator[Utterance | Failure]:
    """Every line of every *.trans.txt below a folder, sorted by file; a folder that cannot be read is a Failure."""
    unreadable: list[OSError] = []
    walk = os.walk(folder, onerror=unreadable.append)
    found = sorted(Path(here, name) for here, _, files in walk for name in files if name.endswith(".trans.txt"))
    for error in unreadable:
        yield Failure(str(error.filename), f"cannot be read ({error.strerror})")
    for transcripts in found:
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
    place = recording(transcripts.parent / local_name(name))
    return Utterance(name, place, text, legible(subset_of(transcripts)))


def subset_of(transcripts: Path) -> str:
    """.../test-clean/1089/134686/1089-134686.trans.txt -> test-clean; "" where the folders are not laid out so."""
    parents = transcripts.absolute().parents
    return parents[2].name if transcripts.name.startswith(f"{parents[1].name}-{parents[0].name}.") else ""


def recording(stem: Path) -> Path:
    """The file of an utterance: FLAC as released, or a format that it was converted to."""
    candidates = [stem.with_name(stem.name + suffix) for suffix in LIBRISPEECH_SUFFIXES]
    return next((path for path in candidates if os.path.isfile(path)), candidates[0])


def utterance_of(row: Row | Failure) -> Utterance | Failure:
    """One row of a table; a Failure if it has no text."""
    if isinstance(row, Failure):
        return row
    text = value_of(row.columns, TEXT_COLUMNS)
    if text is None:
        return Failure(row.place, lacking(row.columns, "text", TEXT_COLUMNS))
    group = value_of(row.columns, GROUP_COLUMNS) or ""
    return Utterance(legible(row.id), row.audio, legible(text), legible(group), row.selection, row.piece)
