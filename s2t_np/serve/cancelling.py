"""A model whose work can be stopped between two steps: by a client that has gone, or by a time limit."""

from collections.abc import Callable
from dataclasses import replace
from threading import Event

from ..model import S2T
from ..together.workers import Cancelled

STOPPED = ("fbank", "encode", "step", "step_together")  # the whole calls of a Backend


def cancellable(model: S2T, cancel: Event) -> S2T:
    """The same model, which raises Cancelled at its next call of the backend once `cancel` is set."""

    def checked(function: Callable) -> Callable:
        def call(*args, **kwargs):
            if cancel.is_set():
                raise Cancelled
            return function(*args, **kwargs)

        return call

    own = {name: checked(getattr(model.backend, name)) for name in STOPPED}
    return replace(model, backend=model.backend._replace(**own))
