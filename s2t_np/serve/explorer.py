"""Pages of the explorer: made of a recording on request, kept for a while under a name that cannot be guessed.

The explorer needs the readable backend; the same model is loaded once more with it when the first page is asked for.
"""

import secrets
import threading
from collections import OrderedDict
from time import monotonic

import numpy as np

from .. import audio
from ..backend import choose
from ..errors import AudioError
from ..loading import load_folder
from ..model import S2T
from .refusals import Refusal, is_of_this_machine, refusal_of

KEPT, KEPT_SECONDS = 8, 600.0  # pages of 3 to 15 MB each


class Explorer:
    """The pages of one model."""

    POLICY = (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
        "img-src data: blob:; media-src blob:; worker-src blob:"
    )

    def __init__(self, model: S2T):
        self.served, self.lock = model, threading.Lock()
        self.readable = model if model.backend.name == "numpy" else None
        self.pages: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def model(self) -> S2T:
        """The model with the readable backend. Raises OptionError for one that cannot be followed."""
        from ..inspect.trace.plan import check_arrangement

        check_arrangement(self.served)  # an ensemble has the folder of its first model, which is not all of it
        with self.lock:
            if self.readable is None:
                self.readable = load_folder(self.served.folder, choose("numpy", "float32"), np.float32)
            return self.readable

    def make(self, file, generation: dict) -> str:
        """The page of the recording in a binary file object, as HTML. Raises Refusal."""
        from ..inspect.explorer import STAGES, page
        from ..inspect.trace import trace

        model, longest = self.model(), self.served.utterance_config.longest_utterance
        rate = model.feature_config.sampling_rate
        try:
            blocks, failure = audio.take_until(audio.blocks(file, rate), longest * rate)
            if failure and (not blocks or is_of_this_machine(failure)):
                raise failure
            samples = audio.concat(blocks, "the recording")
        except AudioError as error:
            raise refusal_of(error, audio.name_of(file)) from error
        if len(samples) > longest * rate:
            raise Refusal(413, f"a page shows one utterance of at most {longest:g} s; send a part", "file")
        return page(trace(model, samples, STAGES, sampling_rate=rate, **generation), model)

    def keep(self, html: str) -> str:
        """A page is kept; returns its name."""
        name = secrets.token_urlsafe(24)
        with self.lock:
            self.pages[name] = monotonic(), html
            while len(self.pages) > KEPT:
                self.pages.popitem(last=False)
        return name

    def find(self, name: str) -> str:
        """The page of that name. Raises Refusal."""
        with self.lock:
            made, html = self.pages.get(name, (-KEPT_SECONDS, ""))
        if monotonic() - made > KEPT_SECONDS or not html:
            raise Refusal(404, "this page is not kept any longer; make it again")
        return html
