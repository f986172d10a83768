"""Servers for the tests: real ones, on a free port of this machine, in a thread of the test process."""

import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest

import s2t_np
from s2t_np import audio
from s2t_np.longform.options import StreamOptions
from s2t_np.serve.settings import Limits, Settings
from tests.support.paths import DIGITS

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE, TWO = RECORDINGS / "five-five.flac", RECORDINGS / "two-nine-three-four-zero.flac"


@dataclass
class Running:
    """A server that runs."""

    port: int
    app: object

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def live_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/live"

    def metric(self, name: str) -> float:
        """The value of a line of /metrics, found by how it begins."""
        import httpx

        text = httpx.get(f"{self.url}/metrics").text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name))


@contextmanager
def served(model, generation=None, jobs=2, limits=None, **settings):
    """A server of this model for the duration of the context."""
    uvicorn = pytest.importorskip("uvicorn", reason="needs uvicorn (.[serve]): a real server")
    pytest.importorskip("starlette", reason="needs starlette (.[serve]): a real server")
    pytest.importorskip("httpx", reason="needs httpx: a client")
    from s2t_np.serve.app import application

    settings = Settings(settings.pop("names", ("digits",)), limits=Limits(**limits or {}), **settings)
    app = application(model, settings, StreamOptions(), generation or {}, jobs)
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    config = uvicorn.Config(app, log_level="warning", ws="websockets-sansio", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Running(listening.getsockname()[1], app)
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listening.close()
        assert not thread.is_alive()


@pytest.fixture(scope="session")
def digits():
    """The bundled model, computing in numpy."""
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="session")
def long_sound():
    """Twelve takes of five-five with pauses, about 25 s: (N,) float32 at 16 kHz."""
    one = audio.load(FIVE, 16000)
    return np.concatenate([part for _ in range(12) for part in (one, np.zeros(9600, np.float32))])


@pytest.fixture(scope="module")
def server(digits):
    """A server of the bundled model."""
    with served(digits) as running:
        yield running
