"""BLEU and chrF of a translation, computed by sacrebleu on plain text, with the signature that makes them comparable.

Post 2018, "A Call for Clarity in Reporting BLEU Scores". Texts are compared as the model's tokenizer writes them, and
sacrebleu cuts them into words itself: fairseq evaluates the published S2T translation models in the same way, with
sacrebleu's default tokenizer 13a.
"""

from collections.abc import Sequence

from ..errors import OptionError


class TranslationMetric:
    """A corpus-level metric: `key` names it in a report, `heading` in a table."""

    def __init__(self, key: str, heading: str, scorer):
        """`scorer`: sacrebleu's BLEU() or CHRF()."""
        self.key, self.heading, self.scorer = key, heading, scorer
        self.score([""], [""])  # sacrebleu knows its signature only after a first score

    @property
    def signature(self) -> str:
        """sacrebleu's own words for how the score was computed, its version included."""
        return str(self.scorer.get_signature())

    def score(self, hypotheses: Sequence[str], references: Sequence[str]) -> float:
        """The score of a corpus, 0 to 100; 0 for an empty one."""
        if not hypotheses:
            return 0.0
        return float(self.scorer.corpus_score(list(hypotheses), [list(references)]).score)


def translation_metric(key: str) -> TranslationMetric:
    """The metric "bleu" or "chrf". Raises OptionError where sacrebleu is not installed."""
    try:
        from sacrebleu.metrics import BLEU, CHRF
    except ImportError:
        raise OptionError(
            f"--metric {key} needs sacrebleu, which is not installed: pip install 's2t-np[translation]'"
        ) from None
    return TranslationMetric("bleu", "BLEU", BLEU()) if key == "bleu" else TranslationMetric("chrf", "chrF2", CHRF())
