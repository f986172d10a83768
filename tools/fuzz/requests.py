"""Requests to the server as files, and an application that answers them in this process, through ASGI.

    POST /v1/audio/transcriptions          method and address
    host: localhost                        headers
                                           an empty line
    ...                                    the body

The method WS is a WebSocket. Its body is a row of messages: a line `text N` or `bytes N`, and N bytes.
"""

import asyncio
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from s2t_np.errors import OptionError

HEADER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)"
)  # what an HTTP parser passes on
MESSAGE = re.compile(rb"(text|bytes) (\d{1,9})\n")
CHUNK = 4096  # bytes of a body that come at a time
LIMITS = {"max_upload": 0.3, "max_duration": 20, "idle_time": 0.3, "upload_time": 5, "time_limit": 20, "max_live": 2}


class Request(NamedTuple):
    """A request, as far as the bytes of a file make one."""

    method: str
    address: str
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def parsed(cls, data: bytes) -> "Request":
        """From the bytes of a file; what no HTTP parser would pass on is left out."""
        head, _, body = data.partition(b"\n\n")
        first, *lines = head.split(b"\n")
        method, address, *_ = (*first.decode("latin-1").split(" "), "", "")
        found = (HEADER.fullmatch(line) for line in lines)
        return cls(method, address, [(match[1].lower(), match[2].strip()) for match in found if match], body)

    @property
    def scope(self) -> dict:
        """What ASGI's applications are called with."""
        path, _, query = self.address.partition("?")
        scope = {
            "type": "http",
            "method": self.method.upper(),
            "http_version": "1.1",
            "scheme": "http",
            "root_path": "",
        }
        if self.method == "WS":
            scope |= {"type": "websocket", "scheme": "ws", "subprotocols": []}
        where = {"path": unquote(path), "raw_path": path.encode("latin-1"), "query_string": query.encode("latin-1")}
        return scope | where | {"headers": self.headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}

    def messages(self) -> Iterator[dict]:
        """What the client sends, as ASGI's messages."""
        if self.method == "WS":
            yield {"type": "websocket.connect"}
            yield from frames(self.body)
            return
        for begin in range(0, max(1, len(self.body)), CHUNK):
            more = begin + CHUNK < len(self.body)
            yield {"type": "http.request", "body": self.body[begin : begin + CHUNK], "more_body": more}


def frames(body: bytes) -> Iterator[dict]:
    """The messages of a WebSocket; where no line begins one, the rest is a message of bytes."""
    while body:
        match = MESSAGE.match(body)
        kind, end = (match[1], match.end() + int(match[2])) if match else (b"bytes", len(body))
        data = body[match.end() if match else 0 : end]
        content = {"text": data.decode("utf-8", "replace")} if kind == b"text" else {"bytes": data}
        yield {"type": "websocket.receive", **content}
        body = body[end:]


async def exchange(app, request: Request) -> list[dict]:
    """Put a request to the application: the messages of its answer. A client leaves once it has its answer."""
    answer, waiting, answered = [], request.messages(), asyncio.Event()

    async def receive() -> dict:
        if (message := next(waiting, None)) is not None:
            return message
        await answered.wait()
        return {"type": f"{request.scope['type']}.disconnect", "code": 1000}

    async def send(message: dict) -> None:
        answer.append(message)
        if message["type"] in ("websocket.close", "http.response.body") and not message.get("more_body"):
            answered.set()

    await app(request.scope, receive, send)
    return answer


@functools.cache
def server() -> tuple:
    """(an event loop, the application of the bundled model)."""
    import s2t_np
    from s2t_np.longform.options import StreamOptions
    from s2t_np.serve.app import application
    from s2t_np.serve.settings import Limits, Settings

    settings = Settings(("digits",), limits=Limits(**LIMITS))
    return asyncio.new_event_loop(), application(
        s2t_np.load("digits", backend="numpy"), settings, StreamOptions(), {}, 1
    )


def end() -> None:
    """Close the server of this process, if there is one: its workers compute with one thread each while they live."""
    if not server.cache_info().currsize:
        return
    loop, app = server()
    events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> dict:
        return next(events)

    async def send(event: dict) -> None:
        assert "failed" not in event["type"], event

    loop.run_until_complete(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))
    loop.close()
    server.cache_clear()


def answer_ours(path: Path) -> int:
    """The status with which a request is answered. Raises OptionError for a refusal, AssertionError for no answer."""
    loop, app = server()
    request = Request.parsed(path.read_bytes())
    answer = loop.run_until_complete(exchange(app, request))
    status, message = (conversation if request.method == "WS" else reply)(answer)
    if status >= 400:
        raise OptionError(f"{path.name}: {status} {message}")
    return status


def reply(answer: list[dict]) -> tuple[int, str]:
    """The status of an answer over HTTP, and what a refusal says. Raises AssertionError for one that is not whole."""
    kinds = [message["type"] for message in answer]
    assert kinds[:1] == ["http.response.start"] and set(kinds[1:]) == {"http.response.body"}, f"answered {kinds}"
    status, body = answer[0]["status"], b"".join(message["body"] for message in answer[1:])
    return status, refusal(status, json.loads(body)) if status >= 400 else ""


def conversation(answer: list[dict]) -> tuple[int, str]:
    """The same of a WebSocket, whose last message says how it ended."""
    texts = [json.loads(message["text"]) for message in answer if message["type"] == "websocket.send"]
    closed = [message for message in answer if message["type"] == "websocket.close"]
    assert len(closed) == 1 and closed[0].get("code") != 1011, f"ended with {answer[-1]}"
    if not texts:
        return 403, closed[0].get("reason", "")
    assert texts[-1]["type"] in ("done", "error"), f"ended with {texts[-1]}"
    return (400, refusal(400, texts[-1])) if texts[-1]["type"] == "error" else (101, "")


def refusal(status: int, record: dict) -> str:
    """The message of an error in OpenAI's shape. Raises AssertionError for another shape, and for a fault of ours."""
    error = record["error"]
    assert error.keys() == {"message", "type", "param", "code"}, f"an error in another shape: {record}"
    assert status < 500 and error["type"] != "server_error", f"answered with {status}: {error['message']}"
    assert "Traceback" not in error["message"], f"tells how it is made: {error['message']}"
    return error["message"]
