"""A model whose work can be stopped between two steps: by a client that has gone, or by a time limit."""

from dataclasses import replace
from threading import Event

from ..model import S2T
from ..together import cancellable

STOPPED = ("fbank", "encode", "step", "step_together")  # the whole calls of a Backend


def cancellable_model(model: S2T, cancel: Event) -> S2T:
    """The same model, which raises Cancelled at its next call of the backend once `cancel` is set."""
    own = {name: cancellable(getattr(model.backend, name), cancel) for name in STOPPED}
    return replace(model, backend=model.backend._replace(**own))
