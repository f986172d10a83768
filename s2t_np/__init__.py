"""s2t-np: the S2T speech-to-text transformer in numpy, without PyTorch.

    import s2t_np
    model = s2t_np.load("digits")
    print(model.transcribe("recording.wav").text)

To read how it works, begin with `model.py` and follow the imports downward; README.md has the map.
"""

TYPE_CHECKING = False  # that of `typing` would cost the command 10 ms
if TYPE_CHECKING:
    from .errors import (
        AudioError,
        BackendError,
        HubError,
        IncompleteAudioError,
        InputWarning,
        ModelError,
        OptionError,
        S2TError,
    )
    from .hf import (
        Speech2TextFeatureExtractor,
        Speech2TextForConditionalGeneration,
        Speech2TextProcessor,
        Speech2TextTokenizer,
    )
    from .longform.options import StreamOptions
    from .longform.segment import Segment, Word
    from .model import DEFAULT_MODEL, S2T, Score, Transcript, load
    from .search import Hypothesis
    from .system.threads import get_threads, own_threads, set_threads

__version__ = "0.1.0"

__all__ = [
    "DEFAULT_MODEL",
    "S2T",
    "AudioError",
    "BackendError",
    "HubError",
    "Hypothesis",
    "IncompleteAudioError",
    "InputWarning",
    "ModelError",
    "OptionError",
    "S2TError",
    "Score",
    "Segment",
    "Speech2TextFeatureExtractor",
    "Speech2TextForConditionalGeneration",
    "Speech2TextProcessor",
    "Speech2TextTokenizer",
    "StreamOptions",
    "Transcript",
    "Word",
    "get_threads",
    "load",
    "own_threads",
    "set_threads",
]


HOMES = {
    "errors": tuple(name for name in __all__ if name.endswith(("Error", "Warning"))),
    "model": ("DEFAULT_MODEL", "S2T", "Score", "Transcript", "load"),
    "search": ("Hypothesis",),
    "longform.segment": ("Segment", "Word"),
    "longform.options": ("StreamOptions",),
    "system.threads": ("get_threads", "own_threads", "set_threads"),
    "hf": tuple(name for name in __all__ if name.startswith("Speech2Text")),
}


def __getattr__(name: str):
    """Names are imported when somebody asks for them: the command can be interrupted before numpy is there."""
    import importlib.util

    for module, names in HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f".{module}", __name__), name)
    if importlib.util.find_spec(f"{__name__}.{name}"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
