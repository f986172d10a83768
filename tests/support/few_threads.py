"""A system that gives only a few more threads, as under `ulimit -u`."""

import threading


def give_threads(monkeypatch, count: int, name: str = "") -> list[threading.Thread]:
    """Let `count` more threads begin, and then none, of those named `name`...: the list of those begun."""
    start, begun = threading.Thread.start, []

    def limited(thread):
        if thread.name.startswith(name):
            if len(begun) == count:
                raise RuntimeError("can't start new thread")
            begun.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    return begun
