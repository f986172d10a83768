"""How good a model is: word and character error rates over a corpus with transcripts.

distance.py   two sequences -> their alignment and how many substitutions, deletions and insertions it takes
text.py       how references and hypotheses are written before they are compared
corpus.py     a LibriSpeech tree or a table -> recordings and what is said in them
report.py     results, one line of JSON an utterance, and the summary of them
"""

from .corpus import Utterance, read_corpus
from .distance import Errors, align, count_errors
from .text import NORMALIZERS

__all__ = ["NORMALIZERS", "Errors", "Utterance", "align", "count_errors", "read_corpus"]
