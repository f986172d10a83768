"""How good a model is: error rates over a corpus with transcripts, BLEU and chrF over one with translations.

distance.py     two sequences -> their alignment, and its substitutions, deletions and insertions
text.py         how references and hypotheses are written before they are compared
corpus.py       a LibriSpeech tree or a table -> recordings with reference transcripts
run.py          utterances through the model, compared with the references
report.py       results, one line of JSON per utterance
translation.py  BLEU and chrF, by sacrebleu
summary.py      the figures of each part of a corpus, as records and as a table
"""

from .corpus import Utterance, read_corpus
from .distance import Errors, align, count_errors
from .text import NORMALIZERS

__all__ = ["NORMALIZERS", "Errors", "Utterance", "align", "count_errors", "read_corpus"]
