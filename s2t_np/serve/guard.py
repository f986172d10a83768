"""The door of the server: every request passes here before anything else looks at it.

    Host      localhost, an address in numbers, or a name that was allowed. A page of another site whose name was made
              to point here (DNS rebinding) comes with its own name, and is turned away.
    Origin    absent (curl, programs), the server's own, or allowed: other web pages may not use a visitor's server.
    key       compared in constant time; the page, its parts and /health are open.
    upload    counted as it comes, whatever its header says.

It is written against ASGI itself, so that it also holds for WebSockets and for what is not found.
"""

import hmac
import ipaddress
import json
from collections.abc import Callable, Mapping
from time import monotonic
from urllib.parse import urlsplit

from .metrics import Metrics
from .refusals import LIMIT_STATUS, Refusal
from .settings import Settings

OPEN_PATHS = {"/", "/page.js", "/page.css", "/microphone.js", "/subtitles.js", "/favicon.ico", "/health"}
KEY_PROTOCOL = "s2t-np-key."  # a browser cannot set headers of a WebSocket; its subprotocol carries the key
FORM_BYTES = 1 << 16  # bytes of a form beside the file in it
SAFE_HEADERS = {"x-content-type-options": "nosniff", "referrer-policy": "no-referrer", "cache-control": "no-store"}
ENDPOINTS = {"/v1/audio/transcriptions", "/v1/audio/translations", "/v1/models", "/v1/live", "/explorer", "/metrics"}


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: Callable, settings: Settings, metrics: Metrics):
        self.app, self.settings, self.metrics = app, settings, metrics

    async def __call__(self, scope, receive, send):
        """As ASGI calls it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        answer = Answer(scope, send, self.cors(headers_of(scope)), self.metrics)
        try:
            self.check(scope)
            if scope["type"] == "http" and scope["method"] == "OPTIONS":
                await answer.preflight()
                return
            await self.app(scope, counted(receive, self.settings.limits.upload_bytes + FORM_BYTES), answer.send)
        except Refusal as refusal:
            await answer.refuse(refusal)
        finally:
            answer.count()

    def check(self, scope) -> None:
        """Raises Refusal for a request that may not enter."""
        headers = headers_of(scope)
        self.check_host(headers.get("host", ""))
        self.check_origin(headers)
        if scope.get("method") != "OPTIONS":
            self.check_key(scope["path"], headers)
        length = headers.get("content-length", "0")
        most = self.settings.limits.upload_bytes + FORM_BYTES
        if length.isascii() and length.isdigit() and (len(length) > len(str(most)) + 9 or int(length) > most):
            raise too_large(self.settings.limits.upload_bytes)

    def check_host(self, host: str) -> None:
        """Raises Refusal for a name that is neither this machine's nor allowed."""
        name = hostname(host)
        if name not in ("localhost", *self.settings.hosts) and not is_address(name):
            raise Refusal(403, f"host {name!r:.80} is not allowed here (s2t-np serve --allow-host {name:.80})")

    def check_origin(self, headers: Mapping[str, str]) -> None:
        """Raises Refusal for a web page of another server, unless it is allowed."""
        origin = headers.get("origin")
        if origin is not None and not self.is_own(origin, headers) and origin not in self.settings.origins:
            raise Refusal(403, f"web pages of {origin!r:.80} may not ask here (s2t-np serve --allow-origin)")

    def is_own(self, origin: str, headers: Mapping[str, str]) -> bool:
        """Return whether a page came from here: its host and port are those that the request was sent to."""
        try:
            return urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""
        except ValueError:  # http://[
            return False

    def check_key(self, path: str, headers: Mapping[str, str]) -> None:
        """Raises Refusal for a request without the key, where it needs one."""
        if self.settings.api_key is None or path in OPEN_PATHS or path.startswith("/explorer/"):
            return
        given = key_of(headers)
        if given is None:
            raise Refusal(401, "this server needs an API key: Authorization: Bearer KEY", code="missing_api_key")
        if not hmac.compare_digest(given.encode(), self.settings.api_key.encode()):
            raise Refusal(401, "the API key is wrong", code="invalid_api_key")

    def cors(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers that let a page of an allowed origin read the answer."""
        origin = headers.get("origin")
        return {"access-control-allow-origin": origin, "vary": "Origin"} if origin in self.settings.origins else {}


class Answer:
    """One answer on its way out: it gets the headers that all have, and is counted."""

    def __init__(self, scope, send: Callable, headers: dict[str, str], metrics: Metrics):
        self.scope, self.out, self.headers, self.metrics = scope, send, headers, metrics
        self.status, self.begun = 0, monotonic()

    async def send(self, message) -> None:
        """As ASGI's send."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            present = {name for name, _ in message.get("headers", ())}
            more = [(k.encode(), v.encode()) for k, v in (SAFE_HEADERS | self.headers).items()]
            own = [(name, value) for name, value in more if name not in present]
            message = {**message, "headers": [*message.get("headers", ()), *own]}
        elif message["type"] == "websocket.accept":
            self.status = 101
        await self.out(message)

    async def refuse(self, refusal: Refusal) -> None:
        """Answer with an error; one that is answered already is cut off."""
        if self.scope["type"] == "websocket":
            self.status = self.status or refusal.status
            await self.out({"type": "websocket.close", "code": 1008, "reason": str(refusal)[:100]})
        elif not self.status:
            headers = {"content-type": "application/json", **refusal.headers}
            headers |= {"connection": "close"} if refusal.status == LIMIT_STATUS else {}
            await self.whole(refusal.status, headers, json.dumps(refusal.record).encode())

    async def preflight(self) -> None:
        """Tell a browser what a page of an allowed origin may send."""
        allowed = {"access-control-allow-methods": "GET, POST", "access-control-max-age": "600"}
        await self.whole(204, allowed | {"access-control-allow-headers": "authorization, content-type"}, b"")

    async def whole(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send everything at once."""
        headers |= {"content-length": str(len(body))} if status != 204 else {}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})
        await self.out({"type": "http.response.body", "body": body})

    def count(self) -> None:
        """Count it, under a label that no request can choose."""
        path = self.scope["path"]
        label = path if path in ENDPOINTS | OPEN_PATHS else "other"
        self.metrics.answered(label, self.status or 499, monotonic() - self.begun)  # 499: gone before the answer


def headers_of(scope) -> dict[str, str]:
    """The headers of a request by their lower-case names."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def hostname(host: str) -> str:
    """The name in a Host header, without its port, in lower case."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    return name.lower().rstrip(".")


def is_address(name: str) -> bool:
    """Return whether it is an IP address, which no name server can redirect."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def key_of(headers: Mapping[str, str]) -> str | None:
    """The key that a request brings, in its Authorization header or as a subprotocol."""
    kind, _, key = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and key:
        return key.strip()
    offered = [protocol.strip() for protocol in headers.get("sec-websocket-protocol", "").split(",")]
    return next((name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)), None)


def too_large(limit: int) -> Refusal:
    """The answer to an upload beyond the limit."""
    return Refusal(
        LIMIT_STATUS, f"the upload is larger than {limit / 1e6:g} MB, the limit of this server", "file", "too_large"
    )


def counted(receive: Callable, limit: int) -> Callable:
    """ASGI's receive, which raises Refusal once a body has more bytes than that."""
    total = 0

    async def receive_counted():
        nonlocal total
        message = await receive()
        if message["type"] == "http.request":
            total += len(message.get("body", b""))
            if total > limit:
                raise too_large(limit - FORM_BYTES)
        return message

    return receive_counted
