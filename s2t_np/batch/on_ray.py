"""Many recordings on a Ray cluster: the results of `transcribe_all`, in its order; Ray repeats what a lost worker had.

Only the name of the model travels (sending.py); each worker loads it once. Files must lie at the same path on every
machine, or at an address.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace

from .. import audio
from ..errors import BackendError, OptionError
from ..longform.segment import Recording
from ..system.threads import own_threads
from .items import STDIN, Failure, Input
from .run import Task, transcribe_all

AHEAD = 2  # shares for every core that are under way; the next is there when one ends
PER_WIDTH = 2  # a share has this many recordings for every utterance decoded together
Results = list[Recording | Failure]


def connect(address: str):
    """The module ray, connected: "local" starts a cluster of this machine's cores, "auto" finds a running one.

    Raises BackendError.
    """
    try:
        import ray
    except ImportError:
        raise BackendError("--ray needs Ray: pip install ray") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except Exception as error:  # ConnectionError, ValueError, RuntimeError and others, by the kind of address
        raise BackendError(f"no Ray cluster at {address!r:.200} ({' '.join(str(error).split()):.200})") from error
    return ray


def share_results(task: Task, inputs: Sequence[Input]) -> Results:
    """The results of one share, in a worker: one thread computes, since Ray counts one core for it."""
    with own_threads(1):
        return list(transcribe_all(task._replace(sharing=task.sharing._replace(workers=1)), inputs))


def transcribe_on_ray(address: str, task: Task, inputs: Sequence[Input]) -> Iterator[Recording | Failure]:
    """Every input's recording or failure, in order, each share as soon as it and those before it are there.

    Raises BackendError where there is no cluster, or where it cannot go on; OptionError.
    """
    if any(item.path == STDIN for item in inputs):
        raise OptionError('"-" cannot be sent to a cluster; give a file')
    ray = connect(address)
    try:
        yield from in_shares(ray, task, inputs)
    finally:
        ray.shutdown()


def in_shares(ray, task: Task, inputs: Sequence[Input]) -> Iterator[Recording | Failure]:
    """The same on the cluster to which the module is connected."""
    remote, sent = ray.remote(share_results), ray.put(task)
    size, most = PER_WIDTH * task.sharing.width, AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    under_way: deque = deque()
    for at in range(0, len(inputs), size):
        share = inputs[at : at + size]
        under_way.append((share, remote.remote(sent, [located(item) for item in share])))
        if len(under_way) == most:
            yield from collected(ray, *under_way.popleft())
    while under_way:
        yield from collected(ray, *under_way.popleft())


def collected(ray, share: Sequence[Input], result) -> Results:
    """The results of one share, under the paths that were given. Raises BackendError, OptionError."""
    try:
        found = ray.get(result)
    except OptionError:
        raise
    except ray.exceptions.RayError as error:
        cause = str(error).strip().splitlines()[-1]
        where = f"{share[0].path!r:.200} and those after it"
        raise BackendError(f"the Ray cluster could not transcribe {where}: {cause}") from error
    return [under_path(one, item.path) for one, item in zip(found, share, strict=True)]


def located(item: Input) -> Input:
    """The input as a process in another folder finds it."""
    return item if audio.is_url(item.path) else item._replace(path=os.path.abspath(item.path))


def under_path(result: Recording | Failure, path: str) -> Recording | Failure:
    """A result under the path as it was given."""
    return result._replace(path=audio.name_of(path)) if isinstance(result, Failure) else replace(result, path=path)
