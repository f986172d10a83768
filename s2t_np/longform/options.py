"""The options of a stream: how a recording is cut, what is not speech, when a text is doubtful."""

from dataclasses import dataclass, field, replace

from ..config import UtteranceConfig
from ..settings.fields import bounded_number, is_real, rule
from .quality import QualityOptions
from .speech_check import SpeechCheckOptions
from .vad import SHORTEST_BETWEEN_OVERLAPS, VadOptions

MODEL = "model"  # the value of an option that is left to the model's own folder
MOST_SPEECH, MARGIN = 28.0, 2.0  # seconds: a segment, padded and cut late, stays below the longest utterance


def models_own(help: str, low: float = 0.0, optional: bool = False):
    """A number from `low` on, or "model" (the default): what s2t_np.json in the model's folder states."""
    checked = rule(
        MODEL, f'a number of at least {low:g} or "{MODEL}"', lambda v: v == MODEL or (is_real(v) and v >= low), optional
    )
    return field(default=MODEL, metadata={**checked.metadata, "help": help})


@dataclass(frozen=True)
class StreamOptions(VadOptions, SpeechCheckOptions, QualityOptions):
    """These options say how a recording is cut, what is not speech, when a text is doubtful, what else is reported."""

    word_timestamps: bool = field(default=False, metadata={"help": "find out when each word was said"})
    vad_filter: bool = field(
        default=True, metadata={"help": "leave out what is not speech (--no-vad-filter: hear it as well)"}
    )
    partial_interval: float = bounded_number(
        0.5, "seconds of speech after which partial results are renewed, if there are any", 0.05
    )
    max_whole_duration: float | str = models_own("longest recording, in seconds, that is heard whole; not a live one")
    max_speech_duration: float | str = models_own("seconds of a segment; a longer one is cut at its widest pause")
    logprob_threshold: float | str | None = models_own(
        "average log-probability per token below which a text is doubtful", -1000, True
    )

    def resolve(self, known: UtteranceConfig) -> "StreamOptions":
        """The same options, with the numbers that the model's folder states in place of "model"."""
        changes = {}
        if self.max_whole_duration == MODEL:
            changes["max_whole_duration"] = known.longest_utterance
        if self.logprob_threshold == MODEL:
            changes["logprob_threshold"] = known.logprob_threshold
        if self.max_speech_duration == MODEL:
            longest = min(MOST_SPEECH, known.longest_utterance - MARGIN)
            changes["max_speech_duration"] = longest
            changes["cut_overlap"] = min(self.cut_overlap, (longest - SHORTEST_BETWEEN_OVERLAPS) / 2)
        return replace(self, **changes)
