"""How good a model is: word and character error rates over a corpus with transcripts.

distance.py   two sequences -> their alignment, and its substitutions, deletions and insertions
text.py       how references and hypotheses are written before they are compared
corpus.py     a LibriSpeech tree or a table -> recordings with reference transcripts
run.py        utterances through the model, compared with the references
report.py     results, one line of JSON per utterance, and their summary
"""

from .corpus import Utterance, read_corpus
from .distance import Errors, align, count_errors
from .text import NORMALIZERS

__all__ = ["NORMALIZERS", "Errors", "Utterance", "align", "count_errors", "read_corpus"]
