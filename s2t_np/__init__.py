"""s2t-np: the S2T speech-to-text transformer in numpy, without PyTorch.

    import s2t_np
    model = s2t_np.load("digits")
    print(model.transcribe("recording.wav").text)

To read how it works, begin with `model.py` and follow the imports downward; README.md has the map.
"""

from .errors import AudioError, BackendError, HubError, InputWarning, ModelError, OptionError, S2TError
from .model import DEFAULT_MODEL, S2T, Score, Transcript, load
from .search import Hypothesis
from .threads import get_threads, own_threads, set_threads

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MODEL",
    "S2T",
    "AudioError",
    "BackendError",
    "HubError",
    "Hypothesis",
    "InputWarning",
    "ModelError",
    "OptionError",
    "S2TError",
    "Score",
    "Speech2TextFeatureExtractor",
    "Speech2TextForConditionalGeneration",
    "Speech2TextProcessor",
    "Speech2TextTokenizer",
    "Transcript",
    "get_threads",
    "load",
    "own_threads",
    "set_threads",
]


def __getattr__(name: str):
    """The classes named as in transformers live in `hf` and are imported when somebody asks for them."""
    if name in __all__:
        from . import hf

        return getattr(hf, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
