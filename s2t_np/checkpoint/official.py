"""The twenty released checkpoints: what each does, from which language, into which, and how well by its publishers.

A checkpoint's files do not say what the model does, but for the target languages of a multilingual one; its name does.
Figures: LibriSpeech from the model cards, MuST-C and CoVoST 2 from fairseq's examples/speech_to_text/docs.
"""

import os
from pathlib import Path
from typing import NamedTuple

LANGUAGES = {
    **{"ca": "Catalan", "de": "German", "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian"},
    **{"fr": "French", "it": "Italian", "nl": "Dutch", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian"},
}
WER = "WER {} (test-clean / test-other)"
LIBRISPEECH = {"small": "4.3 / 9.0", "medium": "3.4 / 7.9", "large": "3.2 / 7.5"}
MUSTC = {"de": 22.7, "es": 27.2, "fr": 32.9, "it": 22.7, "nl": 27.3, "pt": 28.1, "ro": 21.9, "ru": 15.3}
MUSTC_MULTILINGUAL = {"de": 24.5, "es": 28.2, "fr": 34.9, "it": 24.6, "nl": 28.6, "pt": 31.1, "ro": 23.8, "ru": 16.0}
COVOST = {
    **{("ca", "en"): 19.3, ("de", "en"): 17.7, ("es", "en"): 23.1, ("fr", "en"): 27.2},
    **{("en", "ca"): 21.6, ("en", "de"): 16.1, ("en", "et"): 12.8, ("en", "fa"): 12.9},
}


class Official(NamedTuple):
    """One released checkpoint."""

    id: str  # on the hub
    source: str  # code of the spoken language
    targets: tuple[str, ...]  # codes of the languages that it writes
    published: str  # its score, as published

    @property
    def task(self) -> str:
        """One phrase, such as "translation of English speech into German text"."""
        return task_of(self.source, self.targets)


def task_of(source: str, targets: tuple[str, ...]) -> str:
    """The task of a model that hears `source` and writes `targets`, codes of LANGUAGES."""
    if targets == (source,):
        return f"transcription of {LANGUAGES[source]} speech"
    written = LANGUAGES[targets[0]] if len(targets) == 1 else f"one of {', '.join(targets)} (--lang)"
    return f"translation of {LANGUAGES[source]} speech into {written}{' text' * (len(targets) == 1)}"


def official() -> dict[str, Official]:
    """All of them by id."""
    bleu = ", ".join(f"{code} {score}" for code, score in MUSTC_MULTILINGUAL.items())
    every = [
        *(Official(f"s2t-{size}-librispeech-asr", "en", ("en",), WER.format(w)) for size, w in LIBRISPEECH.items()),
        *(Official(f"s2t-small-mustc-en-{code}-st", "en", (code,), f"BLEU {s}") for code, s in MUSTC.items()),
        Official("s2t-medium-mustc-multilingual-st", "en", tuple(MUSTC_MULTILINGUAL), f"BLEU {bleu}"),
        *(Official(f"s2t-small-covost2-{a}-{b}-st", a, (b,), f"BLEU {s}") for (a, b), s in COVOST.items()),
    ]
    return {f"facebook/{one.id}": one._replace(id=f"facebook/{one.id}") for one in every}


def recognised(folder: str | os.PathLike) -> Official | None:
    """The released checkpoint that a folder holds by its name or by its place in the hub's cache, else None."""
    parts = Path(folder).parts
    for one in official().values():
        name = one.id.partition("/")[2]
        if name in parts or f"models--facebook--{name}" in parts:
            return one
    return None
