"""The utterances of a corpus as training pairs, which of them cannot be used and why, and their order in an epoch."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..audio import EVERYTHING, is_url
from ..batch.items import Failure
from ..errors import AudioError, OptionError
from ..evaluation import Utterance, read_corpus
from ..evaluation.text import collapse, words_only
from ..tokenizer import Tokenizer
from .recipe import ORDER, randomness
from .store import FeatureStore

LONGEST = 3000  # frames of an utterance, as in the published training: 30 s
BUCKET = 50  # batches whose utterances are sorted by length together
NORMALIZATIONS: dict[str, Callable[[str], str]] = {
    "lower": lambda text: collapse(text).lower(),  # LibriSpeech as fairseq prepares it
    "words": lambda text: words_only(text).lower(),  # and without punctuation
    "none": collapse,
}


class Example(NamedTuple):
    """One training pair; its features wait in the store."""

    id: str
    audio: Path
    text: str  # normalised
    labels: tuple[int, ...]  # EOS at the end
    frames: int  # T


class Limits(NamedTuple):
    """Bounds of what may be trained on."""

    tokens: int  # labels that the decoder can hold
    frames: int = LONGEST
    bad_rows: float = 0.05  # the share of rows that may be left out


class Writing(NamedTuple):
    """The way from a transcript to labels."""

    tokenizer: Tokenizer
    normalization: str | None = None  # a key of NORMALIZATIONS; None: what the vocabulary can spell
    lang: str | None = None  # the language of the texts, for a model that writes several

    def normalize(self, text: str) -> str:
        """The text in the form that is learned: in lower case, unless the vocabulary has letters in upper case."""
        kind = self.normalization or ("none" if has_upper_case(self.tokenizer) else "lower")
        return NORMALIZATIONS[kind](text)


def has_upper_case(tokenizer: Tokenizer) -> bool:
    """Return whether a vocabulary has a letter in upper case, special pieces aside."""
    pieces = enumerate(tokenizer.id_to_piece)
    return any(piece != piece.lower() for i, piece in pieces if i not in tokenizer.special_ids)


def example_of(row: Utterance, store: FeatureStore, writing: Writing, limits: Limits) -> Example | Failure:
    """The training pair of one row, or a Failure that says why it cannot be used. Raises OptionError, OSError."""
    if (row.selection, row.piece) != (EVERYTHING, None) or is_url(row.audio):
        return Failure(
            row.id, "training reads whole files only: cut this part out, or fetch it, into a file of its own"
        )
    text = writing.normalize(row.text)
    labels = writing.tokenizer.encode(text, writing.lang)
    if writing.tokenizer.unk_token_id in labels:
        return Failure(row.id, f"the vocabulary cannot spell {text!r:.60}")
    if len(labels) > limits.tokens:
        return Failure(row.id, f"its text has {len(labels)} tokens, expected at most {limits.tokens}")
    try:
        frames = len(store.get(row.audio))
    except AudioError as error:
        return Failure(row.id, str(error))
    if frames > limits.frames:
        return Failure(row.id, f"it has {frames} frames (10 ms each), expected at most {limits.frames}")
    return Example(row.id, row.audio, text, tuple(labels), frames)


def read_examples(
    corpus: str | Path,
    store: FeatureStore,
    writing: Writing,
    limits: Limits,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Example], list[Failure]]:
    """All training pairs of a corpus (as `read_corpus` takes it), and the rows that are left out.

    Computes the features of all recordings. Raises OptionError if more rows are bad than `limits` allows.
    """
    rows = read_corpus(corpus)
    examples, failures = [], list(rows.failures)
    for done, row in enumerate(rows.utterances, 1):
        found = example_of(row, store, writing, limits)
        (examples if isinstance(found, Example) else failures).append(found)
        progress(done, len(rows.utterances))
    check_bad_rows(corpus, len(examples), failures, limits.bad_rows)
    return examples, failures


def check_bad_rows(corpus: str | Path, good: int, failures: Sequence[Failure], most: float) -> None:
    """Raise OptionError if no row of a corpus is good, or more than a share `most` of them failed."""
    if not good or len(failures) / (good + len(failures)) > most:
        worst = "; ".join(f"{failure.path}: {failure.reason}" for failure in failures[:3])
        raise OptionError(
            f"{corpus}: {len(failures)} of {good + len(failures)} rows cannot be used, expected at most "
            f"{100 * most:g} % (--max-bad-rows): {worst}"
        )


def cut(order: Sequence[int], frames: Sequence[int], most: int) -> Iterator[list[int]]:
    """Neighbours in this order as batches of at most `most` frames; a longer utterance is a batch by itself."""
    batch, total = [], 0
    for index in order:
        if batch and total + frames[index] > most:
            yield batch
            batch, total = [], 0
        batch.append(index)
        total += frames[index]
    if batch:
        yield batch


def batches(frames: Sequence[int], most: int, seed: int, epoch: int, curriculum: int = 0) -> list[list[int]]:
    """The batches of an epoch (counted from 0) as indices: similar lengths together, all in an order of its own.

    The utterances are shuffled and dealt into buckets; each bucket is sorted by length and cut into batches, and the
    batches are shuffled. In the first `curriculum` epochs they run from short to long instead.
    """
    if epoch < curriculum:
        return list(cut(np.argsort(frames, kind="stable").tolist(), frames, most))
    rng = randomness(seed, ORDER, epoch)
    order = rng.permutation(len(frames)).tolist()
    found = []
    for bucket in cut(order, frames, BUCKET * most):
        found += cut(sorted(bucket, key=lambda index: frames[index]), frames, most)
    return [found[i] for i in rng.permutation(len(found))]
