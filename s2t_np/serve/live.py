"""Live sound over a WebSocket: binary frames of samples in, JSON out.

    client  {"type": "start", "rate": 16000, "encoding": "pcm16" or "float32", "words": true}
    server  {"type": "ready"}
    client  binary frames of samples, mono, little endian; then {"type": "end"}
    server  {"type": "partial", ...} while a segment is open, {"type": "segment", ...} when it closes
            {"type": "done", "duration": ...} or {"type": "error", "error": {...}}, and it closes

A session has a thread of its own, as most of its time it waits for sound. Sound that comes faster than it is heard is
held back at the socket: at most BUFFER seconds lie here.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from ..audio.checks import HIGHEST_RATE, LOWEST_RATE
from ..audio.raw import ENCODINGS
from ..formats import to_json
from ..formats.records import seconds
from ..longform.options import StreamOptions
from ..longform.partial import Partial
from ..system.helpers import started
from ..system.threads import own_threads
from ..together import Cancelled
from .answers import said
from .desk import ClientGone, Desk, Emit
from .metrics import Metrics
from .parameters import Wanted
from .refusals import Refusal
from .replies import segment_record
from .settings import Limits, Settings

BUFFER = 10.0  # seconds
NAMES = {"pcm16": "s16le", "s16le": "s16le", "float32": "f32le", "f32le": "f32le"}
POLL = 0.02  # seconds between looks at a full buffer


class Start(NamedTuple):
    """The first message of a session."""

    rate: int  # Hz
    encoding: str  # a key of audio.raw.ENCODINGS
    words: bool
    partial: bool
    generation: dict  # as in S2T.generate


def start_of(text: str) -> Start:
    """The first message, checked. Raises Refusal."""
    found = message_of(text)
    if found.get("type") != "start":
        raise Refusal(400, 'the first message has to be {"type": "start", "rate": ..., "encoding": ...}')
    rate, encoding, lang = found.get("rate"), found.get("encoding", "pcm16"), found.get("lang")
    if isinstance(rate, bool) or not isinstance(rate, int) or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise Refusal(400, f"rate is {rate!r:.40}, expected {LOWEST_RATE} to {HIGHEST_RATE} Hz", "rate")
    if not isinstance(encoding, str) or encoding not in NAMES:
        raise Refusal(400, f"encoding is {encoding!r:.40}, expected pcm16 or float32", "encoding")
    if not isinstance(lang, str | None):
        raise Refusal(400, f"lang is {lang!r:.40}, expected a language", "lang")
    if unknown := sorted(found.keys() - {"type", "rate", "encoding", "words", "partial", "lang"}):
        raise Refusal(400, f"unknown parameter {unknown[0]!r:.60}; known are rate, encoding, words, partial, lang")
    return Start(
        rate,
        NAMES[encoding],
        bool(found.get("words")),
        bool(found.get("partial", True)),
        {"lang": lang} if lang else {},
    )


def message_of(text: str) -> dict:
    """A JSON object. Raises Refusal."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, "a text message has to be a JSON object")
    return found


class Pipe:
    """Sound between the socket, on the event loop, and the thread that hears it; it cancels as desk.Stop does."""

    def __init__(self, start: Start, longest: float):
        """`longest`: seconds of sound in a session."""
        self.encoding, self.rate, self.longest = ENCODINGS[start.encoding], start.rate, longest
        self.blocks, self.held, self.total = deque(), 0, 0
        self.changed, self.ended, self.cancelled = threading.Condition(), False, False
        self.rest = b""

    @property
    def is_full(self) -> bool:
        """True while more than BUFFER seconds wait to be heard."""
        return self.held > BUFFER * self.rate

    def write(self, data: bytes) -> None:
        """Bytes of samples; a sample may be split between two frames. Raises Refusal."""
        data = self.rest + data
        whole = len(data) - len(data) % self.encoding.width
        self.rest = data[whole:]
        samples = self.encoding.numbers(data[:whole])
        self.total += len(samples)
        if self.total > self.longest * self.rate:
            raise Refusal(413, f"the session is longer than {self.longest:g} s, the limit of this server")
        if not np.isfinite(samples).all():
            raise Refusal(400, "a sample is not a finite number; is the encoding right?")
        if len(samples):
            with self.changed:
                self.blocks.append(samples)
                self.held += len(samples)
                self.changed.notify()

    def end(self, cancelled: bool = False) -> None:
        """No more sound comes; `cancelled`: and no one waits for the text."""
        with self.changed:
            self.ended, self.cancelled = True, self.cancelled or cancelled
            self.changed.notify_all()

    def set(self) -> None:
        """As a threading.Event that cancels."""
        self.end(cancelled=True)

    def is_set(self) -> bool:
        """Return whether the computation has to stop."""
        return self.cancelled

    def __iter__(self) -> Iterator[np.ndarray]:
        """The blocks (n,), each when it is there. Raises Cancelled."""
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.blocks or self.ended)
                if self.cancelled:
                    raise Cancelled
                if not self.blocks:
                    return
                block = self.blocks.popleft()
                self.held -= len(block)
            yield block


class Session:
    """One conversation: a thread hears the pipe, and what it emits is sent."""

    def __init__(self, socket, hear, limits: Limits):
        """`socket`: accepted; `hear(start, pipe, emit)` runs on the thread."""
        self.socket, self.hear, self.limits = socket, hear, limits
        self.loop, self.events, self.left = asyncio.get_running_loop(), asyncio.Queue(), asyncio.Event()

    async def run(self) -> None:
        """From the first message to the last. Raises Refusal; ClientGone when the client has left."""
        start = start_of(await self.text())
        pipe = Pipe(start, self.limits.max_duration)
        if not started(threading.Thread(target=self.listen, args=(start, pipe), name="live session", daemon=True)):
            raise Refusal(503, "the server has no thread for another session; try again", code="no_threads")
        feeding = asyncio.ensure_future(self.feed(pipe))
        try:
            await self.say({"type": "ready"})
            while (event := await self.next_event(feeding)) is not None:
                if isinstance(event, BaseException):
                    raise event
                await self.say(event)
            await self.say({"type": "done", "duration": round(pipe.total / pipe.rate, 3)})
        finally:
            pipe.set()
            feeding.cancel()
            await self.left.wait()

    def listen(self, start: Start, pipe: "Pipe") -> None:
        """Hear everything, on the thread; the last event is None, or what went wrong."""
        last = None
        try:
            self.hear(start, pipe, self.emit)
        except BaseException as error:  # it is answered on the loop
            last = error
        with suppress(Cancelled, RuntimeError):  # RuntimeError: the loop has ended
            self.emit(last)
            self.loop.call_soon_threadsafe(self.left.set)

    def emit(self, event: Any) -> None:
        """Hand an event to the loop. Raises Cancelled when that has ended."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError as error:
            raise Cancelled from error

    async def next_event(self, feeding: asyncio.Task) -> Any:
        """The next event of the thread; an error of the socket if that comes first. Raises Refusal, ClientGone."""
        arrived = asyncio.ensure_future(self.events.get())
        waiting = {arrived} if feeding.done() else {arrived, feeding}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if feeding.done() and (error := feeding.exception()):
            arrived.cancel()
            raise error
        return await arrived

    async def feed(self, pipe: "Pipe") -> None:
        """Frames of the socket into the pipe; then wait until the client leaves. Raises Refusal, ClientGone."""
        while True:
            message = await self.message(None if pipe.ended else self.limits.idle_time)
            if (data := message.get("bytes")) is not None:
                pipe.write(data)
            elif message_of(message.get("text") or "").get("type") == "end":
                pipe.end()
            while pipe.is_full:
                await asyncio.sleep(POLL)

    async def message(self, seconds: float | None) -> dict:
        """The next message. Raises Refusal if none comes in time, ClientGone when the client has left."""
        try:
            message = await asyncio.wait_for(self.socket.receive(), seconds)
        except TimeoutError:
            raise Refusal(408, f"nothing came for {seconds:g} s, the limit of this server", code="idle") from None
        if message["type"] == "websocket.disconnect":
            raise ClientGone
        return message

    async def text(self) -> str:
        """The next message, as text. Raises Refusal, ClientGone."""
        return (await self.message(self.limits.idle_time)).get("text") or ""

    async def say(self, event: dict) -> None:
        """Send a message. Raises ClientGone."""
        from starlette.websockets import WebSocketDisconnect

        try:
            await self.socket.send_text(to_json(event))
        except (WebSocketDisconnect, RuntimeError, OSError) as error:  # RuntimeError: starlette's, after a close
            raise ClientGone from error


def tell(emit: Emit, words: Partial) -> None:
    """Emit partial results."""
    emit({"type": "partial", **asdict(words), "start": seconds(words.start), "end": seconds(words.end)})


class Live:
    """The sessions of a server."""

    def __init__(self, desk: Desk, settings: Settings, options: StreamOptions, generation: dict, metrics: Metrics):
        """`options`, `generation`: of every session, as in S2T.stream."""
        self.desk, self.limits, self.options, self.generation = desk, settings.limits, options, generation
        self.metrics, self.open = metrics, 0

    async def converse(self, scope, receive, send) -> None:
        """One session. Raises Refusal when there are too many."""
        from starlette.websockets import WebSocket

        if self.open >= self.limits.max_live:
            raise Refusal(429, f"{self.open} live sessions are open, the limit of this server", code="queue_full")
        self.open += 1
        socket = WebSocket(scope, receive, send)
        session = Session(socket, self.hear, self.limits)
        try:
            await socket.accept(subprotocol="s2t-np" if "s2t-np" in scope.get("subprotocols", ()) else None)
            await self.concluded(session)
        finally:
            self.open -= 1

    async def concluded(self, session: Session) -> None:
        """Run a session; what goes wrong is its last message."""
        code = 1000
        with suppress(ClientGone):
            try:
                await session.run()
            except Exception as error:
                if isinstance(error, ClientGone):
                    raise
                refusal = said(error)
                code = 1011 if refusal.status >= 500 else 1008
                await session.say({"type": "error", **refusal.record})
            await session.socket.close(code)

    def hear(self, start: Start, pipe: Pipe, emit: Emit) -> None:
        """The segments of live sound, on the session's thread."""
        options = replace(self.options, word_timestamps=self.options.word_timestamps or start.words)
        generation, asked = self.generation | start.generation, Wanted(words=start.words)
        model = self.desk.model_for(pipe)
        heard = model.stream(iter(pipe), start.rate, options, **generation)
        if start.partial:
            heard = model.stream_partials(iter(pipe), partial(tell, emit), start.rate, options, **generation)
        with own_threads(1):
            for segment in heard:
                emit({"type": "segment", **segment_record(segment, asked)})
                self.metrics.heard(segment.end - segment.start, 1)
