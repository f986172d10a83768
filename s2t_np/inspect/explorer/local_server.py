"""A local server for one page: it sends the page of a recording, and answers the questions that the page asks.

It needs the standard library only, listens on 127.0.0.1, and lets in nothing but its own page:

    the path     begins with a token that no one can guess; the address with it is printed on the terminal
    Host         127.0.0.1 or localhost with the port, so that a name of another site that points here is turned away
    Origin       absent, or this server's own, so that no page of another site can ask
    the body     JSON of at most 64 KB, declared as such, which a form of another site cannot send
"""

import hmac
import json
import secrets
import select
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer

from ...errors import OptionError, S2TError
from ...model import S2T
from ...system.helpers import is_lack_of_threads
from ..experiments import traced_subject
from ..trace import Trace
from .questions import Gradients, Questions
from .search import words_of

HOST = "127.0.0.1"
MOST_BYTES = 1 << 16  # that a request's body may have
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "media-src blob:; worker-src blob:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class LocalServer(ThreadingHTTPServer):
    """The server of one page; `address` is the page's URL."""

    daemon_threads = True

    def __init__(self, html: str, answers: Mapping[str, Callable[[dict], dict]], port: int = 0):
        """`answers`: the name of a question -> the function from the JSON that the page sends to that of the answer.

        They are called one at a time. `port`: 0 takes any that is free. Raises OptionError where it cannot listen.
        """
        self.html, self.answers, self.lock = html.encode("utf-8", "backslashreplace"), answers, threading.Lock()
        self.token = secrets.token_urlsafe(18)
        try:
            super().__init__((HOST, port), Handler)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise OptionError(f"--port {port}: cannot listen there ({reason}); expected a free port or 0") from None

    def process_request(self, request, client_address) -> None:
        """Answer a request in a thread of its own; here, one after the other, where the system gives no more."""
        try:
            super().process_request(request, client_address)
        except RuntimeError as error:
            if not is_lack_of_threads(error):
                raise
            HTTPServer.process_request(self, request, client_address)

    @property
    def address(self) -> str:
        """The URL of the page, token and all."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    @property
    def hosts(self) -> tuple[str, str]:
        """The values of the Host header that are this server's own."""
        return f"{HOST}:{self.server_port}", f"localhost:{self.server_port}"


class Refused(Exception):
    """A request that is not answered: the status and the reason."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: LocalServer
    server_version, sys_version = "s2t-np", ""
    timeout = 60  # seconds that a client may take to send its request

    def do_GET(self) -> None:
        """Send the page."""
        self.guarded(self.page)

    def do_POST(self) -> None:
        """Answer a question."""
        self.guarded(self.question)

    def guarded(self, action: Callable[[], None]) -> None:
        """Let a request in and answer it, or say why not."""
        try:
            self.check()
            action()
        except Refused as refused:
            self.send_json(refused.status, {"error": str(refused)})
        except S2TError as error:
            self.send_json(400, {"error": str(error)})

    def check(self) -> None:
        """Raise Refused for a request that does not come from the page."""
        host, origin = self.headers.get("Host", ""), self.headers.get("Origin")
        if host not in self.server.hosts:
            raise Refused(403, f"host {host!r:.80} is not this server")
        if origin is not None and origin not in [f"http://{own}" for own in self.server.hosts]:
            raise Refused(403, "pages of other sites may not ask")
        token = self.path.split("/")[1] if self.path.startswith("/") else ""
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.server.token.encode()):
            raise Refused(404, "the address is not complete; copy all of it from the terminal")

    def page(self) -> None:
        """Send the page, whose path is the token alone."""
        self.known({"": None})
        self.send(200, "text/html; charset=utf-8", self.server.html)

    def question(self) -> None:
        """Answer the question in the body, unless the page has stopped waiting for it meanwhile."""
        answer, data = self.known(self.server.answers), self.body()
        with self.server.lock:
            if self.has_gone():
                self.close_connection = True
                return
            found = answer(data)
        self.send_json(200, found)

    def known(self, names: Mapping):
        """What the name after the token stands for. Raises Refused for one that is not there."""
        name = self.path.removeprefix(f"/{self.server.token}/")
        if name not in names:
            raise Refused(404, "there is nothing at this address")
        return names[name]

    def has_gone(self) -> bool:
        """Whether the client has closed the connection."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        try:
            return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""
        except ConnectionResetError:
            return True

    def body(self):
        """The JSON that was sent. Raises Refused."""
        length = self.headers.get("Content-Length", "")
        if self.headers.get_content_type() != "application/json":
            raise Refused(415, "expected JSON, declared as application/json")
        if not (length.isascii() and length.isdigit()) or int(length) > MOST_BYTES:
            raise Refused(413, f"expected a body of at most {MOST_BYTES} bytes, with its length")
        try:
            return json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
            raise Refused(400, "the body is not valid JSON") from None

    def send_json(self, status: int, data: dict) -> None:
        """Send an answer."""
        self.send(status, "application/json", json.dumps(data).encode())

    def send(self, status: int, kind: str, body: bytes) -> None:
        """Send headers and a body; a client that has gone is let go."""
        try:
            self.send_response(status)
            for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *_) -> None:
        """Keep quiet: the terminal shows the address, not every request."""


def served(trace: Trace, model: S2T, gradients: Gradients | None = None, port: int = 0, **generation) -> LocalServer:
    """A server of the page of a Trace that holds STAGES. `gradients` as in `page`, computed when the page asks;
    `generation` as it was traced with. Raises OptionError.
    """
    from . import Asked, page

    words = tuple(word["tokens"] for word in words_of(trace, model.tokenizer))
    subject = traced_subject(model, trace, **generation)
    questions = Questions(subject, words, lambda names: trace.arrays, gradients)
    return LocalServer(page(trace, model, Asked("", gradients is not None, True)), questions.answers(), port)
