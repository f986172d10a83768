"""The public names, each once: `__init__.py` reads this file for where they live, and so do type checkers."""

from .audio.selection import Selection as Selection
from .errors import AudioError as AudioError
from .errors import BackendError as BackendError
from .errors import HubError as HubError
from .errors import IncompleteAudioError as IncompleteAudioError
from .errors import InputWarning as InputWarning
from .errors import ModelError as ModelError
from .errors import OptionError as OptionError
from .errors import S2TError as S2TError
from .hf import Speech2TextFeatureExtractor as Speech2TextFeatureExtractor
from .hf import Speech2TextForConditionalGeneration as Speech2TextForConditionalGeneration
from .hf import Speech2TextProcessor as Speech2TextProcessor
from .hf import Speech2TextTokenizer as Speech2TextTokenizer
from .loading import load as load
from .longform.options import StreamOptions as StreamOptions
from .longform.segment import Segment as Segment
from .longform.segment import Word as Word
from .model import DEFAULT_MODEL as DEFAULT_MODEL
from .model import S2T as S2T
from .model import Score as Score
from .model import Transcript as Transcript
from .search import Hypothesis as Hypothesis
from .system.threads import get_threads as get_threads
from .system.threads import own_threads as own_threads
from .system.threads import set_threads as set_threads
from .transcriber import Transcriber as Transcriber

__version__: str
