"""Things that are costly to make and wanted again and again: what one user has given back is lent to the next."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from threading import Lock


class Pool:
    """Things by key, of which the least recently used are let go when there are more than `most`.

    Safe to use from several Python threads.
    """

    def __init__(self, most: int):
        self.most, self.kept, self.count, self.lock = most, OrderedDict(), 0, Lock()

    def take(self, key: Hashable):
        """The one of that key that was given back last, or None."""
        with self.lock:
            found = self.kept.get(key)
            self.count -= bool(found)
            return found.pop() if found else None

    def give(self, key: Hashable, thing) -> None:
        """Take a thing back."""
        with self.lock:
            self.kept.setdefault(key, deque()).append(thing)
            self.kept.move_to_end(key)
            self.count += 1
            while self.count > self.most:
                self._drop()

    def _drop(self) -> None:
        """Let one go of the key that was not asked for longest."""
        oldest, things = next(iter(self.kept.items()))
        if things:
            things.popleft()
            self.count -= 1
        if not things:
            del self.kept[oldest]
