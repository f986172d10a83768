"""Requests to a server of which one call fails: the server stays, and each request has a right answer or a true error.

The server runs in a process of its own with the library loaded. Only while a request is under way do its calls count.
Then its answer is looked at, and the server is asked once more, undisturbed. A server that has ended must have said why
in one line; it is started again.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .campaign import FAULTS
from .processes import ROOT
from .scenarios import DIGITS, RECORDINGS, TAKES
from .shim import Board, Fault, compiled
from .tally import CUT, ESCAPE, REFUSED, UNHARMED

ASKS = ("json", "large", "stream", "mp3", "live", "page", "explorer")  # kinds of requests
PATIENCE = 30.0  # s for an answer
KINDS_OF_ERROR = {"message", "type", "param", "code"}
OF_EACH_RUN = re.compile(rb'"(seconds|url|created)": ?("[^"]*"|[\d.e+-]+)')
READY = re.compile(r"is served at http://127\.0\.0\.1:(\d+)/")


class Answer(NamedTuple):
    """What came back."""

    status: int  # 0: nothing
    body: bytes

    @property
    def error(self) -> dict | None:
        """The error in it, in OpenAI's shape."""
        with contextlib.suppress(ValueError, AttributeError, TypeError, KeyError):
            found = json.loads(self.body.rpartition(b"event: error\ndata: ")[2])["error"]
            return found if found.keys() == KINDS_OF_ERROR else None
        return None


class Ask(NamedTuple):
    """A kind of request."""

    name: str
    send: Callable[[int], Answer]  # to a port
    under: Path  # the folder whose files it is about


def form(fields: dict[str, str], file: bytes, name: str) -> tuple[bytes, str]:
    """A form with a file: its bytes and its type."""
    edge = "s2tnpfaults"
    parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    parts += [f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n']
    return "".join(parts).encode() + file + f"\r\n--{edge}--\r\n".encode(), f"multipart/form-data; boundary={edge}"


def asked(port: int, method: str, path: str, body: bytes | None = None, kind: str = "") -> Answer:
    """One request and its answer; whatever breaks the connection ends it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    status, data = 0, b""
    try:
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        response = connection.getresponse()
        status = response.status
        while more := response.read1(1 << 16):
            data += more
        whole = response.length in (None, 0)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        whole = False
    finally:
        connection.close()
    return Answer(status, data) if whole else Answer(0, data)


def upload(file: bytes, name: str, path: str = "/v1/audio/transcriptions", **fields: str) -> Callable[[int], Answer]:
    """Sends a recording."""
    body, kind = form({"model": "digits", **fields}, file, name)
    return lambda port: asked(port, "POST", path, body, kind)


def live(samples: np.ndarray) -> Callable[[int], Answer]:
    """A conversation over a WebSocket: its messages, one a line, without partial results."""

    def send(port: int) -> Answer:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        lines, done = [], False
        try:
            with connect(f"ws://127.0.0.1:{port}/v1/live", open_timeout=PATIENCE, close_timeout=PATIENCE) as socket:
                socket.send(json.dumps({"type": "start", "rate": 16000, "encoding": "float32", "partial": False}))
                with contextlib.suppress(WebSocketException):  # an error is read below
                    for block in np.array_split(samples, 20):
                        socket.send(block.tobytes())
                    socket.send('{"type": "end"}')
                while not done:
                    lines.append(socket.recv(PATIENCE))
                    done = json.loads(lines[-1])["type"] in ("done", "error")
        except (OSError, WebSocketException):
            return Answer(0, "\n".join(lines).encode())
        failed = json.loads(lines[-1])["type"] == "error"
        return Answer(500, lines[-1].encode()) if failed else Answer(200, "\n".join(lines).encode())

    return send


def asks(work: Path) -> list[Ask]:
    """One request of each kind."""
    import io

    import soundfile

    take = RECORDINGS / f"{TAKES[0]}.flac"
    samples, rate = soundfile.read(take, dtype="float32")
    large, mp3 = io.BytesIO(), io.BytesIO()
    soundfile.write(large, np.repeat(samples, 12)[:, None] * np.ones(2), 12 * rate, format="WAV", subtype="FLOAT")
    soundfile.write(mp3, samples, rate, format="MP3")
    web = ROOT / "s2t_np" / "serve" / "web"
    return [
        Ask("json", upload(take.read_bytes(), "a.flac"), work),
        Ask("large", upload(large.getvalue(), "a.wav", response_format="verbose_json"), work),
        Ask("stream", upload(take.read_bytes(), "a.flac", stream="true"), work),
        Ask("mp3", upload(mp3.getvalue(), "a.mp3", response_format="srt"), work),
        Ask("live", live(samples), work),
        Ask("page", lambda port: asked(port, "GET", "/page.js"), web),
        Ask("explorer", upload(take.read_bytes(), "a.flac", "/explorer"), work),
    ]


class ServedCampaign:
    """A server and its disturbed requests."""

    def __init__(self, folder: Path):
        """`folder`: new."""
        self.folder, self.work = folder, folder / "work"
        self.work.mkdir()
        self.board, self.library, self.said = Board(folder / "order"), compiled(folder), folder / "stderr"
        self.server, self.port, self.descriptors = None, 0, 0
        self.asks = {ask.name: ask for ask in asks(self.work)}
        self.start()
        self.expected = {name: self.clean(ask.send(self.port)) for name, ask in self.asks.items()}
        if bad := [name for name, answer in self.expected.items() if answer.status != 200]:
            raise RuntimeError(f"serve: an undisturbed request {bad[0]!r} got {self.expected[bad[0]]}")
        self.descriptors = self.open_files()

    def start(self) -> None:
        """Start the server and wait until it answers. Raises RuntimeError."""
        command = [sys.executable, "-m", "s2t_np", "serve", "--model", str(DIGITS), "--name", "digits", "--port", "0"]
        command += ["--backend", "numpy", "--threads", "1", "--beams", "1", "--jobs", "2"]
        environment = self.board.environment(self.library) | {"TMPDIR": str(self.work), "OPENBLAS_NUM_THREADS": "1"}
        with open(self.said, "wb") as error:
            self.server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=error, stdout=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while not (found := READY.search(self.said.read_text(errors="replace"))):
            if self.server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {self.said.read_text(errors='replace')}")
            time.sleep(0.02)
        self.port = int(found[1])

    def close(self) -> int:
        """End the server by SIGTERM: its exit code."""
        self.board.arm(False)
        self.server.send_signal(signal.SIGTERM)
        return self.server.wait(PATIENCE)

    def clean(self, answer: Answer) -> Answer:
        """An answer without what differs from run to run."""
        return answer._replace(body=OF_EACH_RUN.sub(rb'"\1": 0', answer.body))

    def open_files(self) -> int:
        """How many files the server has open."""
        return len(os.listdir(f"/proc/{self.server.pid}/fd"))

    def one(self, name: str, fault: Fault) -> tuple[str, list[str]] | None:
        """One request with a fault: what became of it and what is wrong; None if there was no n-th call."""
        ask, before = self.asks[name], len(self.said.read_bytes())
        if fault.kind == "spawn":
            self.end_decoders()
        self.board.set(fault, ask.under)
        self.board.arm()
        try:
            answer = self.clean(ask.send(self.port))
        except TimeoutError:
            answer = None
        time.sleep(0.01)  # what comes after the answer: files are closed
        self.board.arm(False)
        if not self.board.struck:
            return None
        kind, wrong = self.judged(name, fault, answer)
        said = self.said.read_bytes()[before:].decode(errors="replace")
        wrong += self.after(name, said)
        where = f"serve, {name}, {fault} ({self.board.where})"
        return (ESCAPE, [f"{where}: {text}" for text in wrong]) if wrong else (kind, [])

    def end_decoders(self) -> None:
        """Kill the server's processes that wait for the next compressed file, so that it has to start one."""
        threads = Path(f"/proc/{self.server.pid}/task").glob("*/children")
        children = [pid for path in threads for pid in path.read_text().split()]
        for pid in children:
            os.kill(int(pid), signal.SIGKILL)

    def judged(self, name: str, fault: Fault, answer: Answer | None) -> tuple[str, list[str]]:
        """What an answer is, and what is wrong with it."""
        expected = self.expected[name]
        if answer is None:
            return ESCAPE, [f"no answer in {PATIENCE:.0f} s"]
        if answer == expected:
            return UNHARMED, []
        if answer.status == 0:
            torn = not expected.body.startswith(answer.body) or fault.kind not in ("network", "memory")
            return CUT, [f"the connection ended after {answer.body[-80:]!r}"] * torn
        if answer.error is not None and (answer.status >= 400 or name == "stream"):
            return REFUSED, []
        return ESCAPE, [f"status {answer.status} with {answer.body[:200]!r}"]

    def after(self, name: str, said: str) -> list[str]:
        """What is wrong with the server after a disturbed request."""
        if self.server.poll() is not None:
            code, lines = self.server.returncode, said.strip().splitlines()
            self.start()
            told = code > 0 and len(lines) == 1 and lines[0].startswith("s2t-np: ")
            return [] if told else [f"the server ended with {code} and said {said[-400:]!r}"]
        wrong = []
        try:
            if (again := self.clean(self.asks[name].send(self.port))) != self.expected[name]:
                wrong.append(f"asked again, the server gave {again.status} {again.body[:80]!r}")
        except TimeoutError:
            wrong.append("asked again, the server gave no answer")
        wrong += self.left_over()
        if "Exception ignored" in said or "Task exception" in said:
            wrong.append(f"it said {said[:300]!r}")
        if wrong:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.close()
            self.server.kill()
            self.server.wait()
            self.start()
        return wrong

    def left_over(self) -> list[str]:
        """Files that a request has left, on the disk and open, two seconds after it."""
        end, most = time.monotonic() + 2, self.descriptors + 4
        while (os.listdir(self.work) or self.open_files() > most) and time.monotonic() < end:
            time.sleep(0.02)
        left = [f"{name} is left" for name in os.listdir(self.work)]
        count = self.open_files()
        return left + [f"{count} files are open, before {self.descriptors}"] * (count > most)


HARMLESS = ("rename", "mkdir", "any")  # kinds of which a request has no call, and signals
SERVER_FAULTS = tuple(fault for fault in FAULTS if fault.kind not in HARMLESS)
