"""Many utterances that share every step of the decoder, so that its weights are read once for all of them.

    scheduler.py   continuous batching: who takes part in the next step
    workers.py     several schedulers side by side, one a Python thread
    ordering.py    results in the order of the utterances; the utterances of many recordings
    width.py       how many utterances run at a time

An utterance is a generator that asks (`search.Asking`): it yields an `Ask`, is sent a `NextToken`, and returns its
result. This room knows nothing else of it. A search is one; so is a segment with its features, its memory, its search
and, if its text is doubtful, a second search. Each has a cache of its own, so its result does not depend on the others.
"""

from .ordering import Group, attempts, by_group, ordered
from .scheduler import StepTogether, together
from .width import check_length, check_memory, width_of
from .workers import ALONE, Cancelled, Sharing, cancellable, dealt, side_by_side, workers_of

__all__ = [
    "ALONE",
    "Cancelled",
    "Group",
    "Sharing",
    "StepTogether",
    "attempts",
    "by_group",
    "cancellable",
    "check_length",
    "check_memory",
    "dealt",
    "ordered",
    "side_by_side",
    "together",
    "width_of",
    "workers_of",
]
