"""A stand-in for huggingface.co on 127.0.0.1, as much of it as huggingface_hub asks for when it downloads a model.

    GET      /api/models/{id}[/revision/{rev}]    the commit and the names of the files
    HEAD GET /{id}/resolve/{rev}/{file}           a file; ETag, X-Repo-Commit, Content-Length, Range
    errors   401, 403, 404 with X-Error-Code      as the hub names them

Files under `lfs` are answered as the hub answers large files: a redirect (X-Linked-Etag, X-Linked-Size) to another
host, here the same server under the name "localhost". Requests are recorded with their Authorization header. A file can
be told to break off, or to stand still midway.
"""

import hashlib
import json
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """The files of one model, the same at every commit that `revisions` names unless `files_at` says otherwise."""

    files: dict[str, bytes]
    revisions: dict[str, str] = field(default_factory=lambda: {"main": "a" * 40})  # branch or tag -> commit
    files_at: dict[str, dict[str, bytes]] = field(default_factory=dict)  # commit -> its own files
    lfs: frozenset = frozenset()  # names of the files that live on the other host
    token: str | None = None  # private: only this token may read it
    gated: bool = False


@dataclass
class Request:
    """What a client sent."""

    method: str
    host: str
    path: str
    authorization: str | None
    range: str | None


class Server(ThreadingHTTPServer):
    """A server that says nothing of clients that break the connection."""

    def handle_error(self, request, client_address) -> None:
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class LoopbackHub:
    """The server, used as a context manager; `url` is its HF_ENDPOINT."""

    def __init__(self, **repositories: Repository):
        self.repositories = {name.replace("__", "/"): repo for name, repo in repositories.items()}
        self.requests: list[Request] = []
        self.broken: dict[str, int] = {}  # file -> bytes to send before the connection is cut; then status 500
        self.altered: dict[str, bytes] = {}  # file -> what is sent in place of what was announced
        self.stalled: dict[str, int] = {}  # file -> bytes to send before standing still until `resume` is set
        self.halfway, self.resume = threading.Event(), threading.Event()
        self.lists_digests = True  # a mirror may list names only
        self.bad_tokens: set[str] = set()
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.hub = self
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.other_host = f"http://localhost:{self.server.server_port}"

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc) -> None:
        self.resume.set()
        self.server.shutdown()
        self.server.server_close()

    def asked(self, method: str, part: str) -> list[Request]:
        """The recorded requests of one method whose path holds `part`."""
        return [r for r in self.requests if r.method == method and part in r.path]


class Handler(BaseHTTPRequestHandler):
    """One connection; `self.server.hub` holds the state."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args) -> None:
        """Say nothing on stderr."""

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Record the request and send it to whoever knows the path."""
        path = unquote(urlsplit(self.path).path).strip("/")
        get = self.headers.get
        self.server.hub.requests.append(Request(self.command, get("Host"), path, get("Authorization"), get("Range")))
        if path.startswith("cdn/"):
            self.send_lfs(path.removeprefix("cdn/"))
        elif path.startswith("api/models/"):
            name, _, revision = path.removeprefix("api/models/").partition("/revision/")
            self.send_model(name, revision or "main")
        elif "/resolve/" in path:
            name, _, rest = path.partition("/resolve/")
            self.send_resolved(name, *rest.rsplit("/", 1))
        else:
            self.refuse(404, "", "Not here")

    def send_model(self, name: str, revision: str) -> None:
        """What model_info asks for."""
        if (found := self.permitted(name, revision)) is not None:
            commit, files = found
            info = {"id": name, "modelId": name, "sha": commit, "siblings": self.listed(name, files)}
            info |= {"private": False, "tags": [], "downloads": 0, "likes": 0, "_id": "0"}
            self.send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def listed(self, name: str, files: dict[str, bytes]) -> list[dict]:
        """The files with their metadata, as `?blobs=true` asks for them."""
        hub = self.server.hub
        if not hub.lists_digests:
            return [{"rfilename": file} for file in files]
        large = hub.repositories[name].lfs
        return [listing(file, data, file in large) for file, data in files.items()]

    def send_resolved(self, name: str, revision: str, file: str) -> None:
        """A file, or for a large one where it lies."""
        found = self.permitted(name, revision)
        if found is None:
            return
        commit, files = found
        if file not in files:
            self.refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        elif file in self.server.hub.repositories[name].lfs:
            self.redirect(f"{name}/{commit}/{file}", files[file], commit)
        else:
            self.send_file(file, files[file], {"X-Repo-Commit": commit})

    def redirect(self, where: str, data: bytes, commit: str) -> None:
        headers = {"X-Repo-Commit": commit, "Location": f"{self.server.hub.other_host}/cdn/{where}"}
        headers |= {"X-Linked-Etag": etag(data, True), "X-Linked-Size": str(len(data))}
        self.send(302, b"", headers)

    def send_lfs(self, path: str) -> None:
        """The other host: it knows files by commit and asks for no token."""
        name, commit, file = path.rsplit("/", 2)
        repo = self.server.hub.repositories[name]
        self.send_file(file, repo.files_at.get(commit, repo.files)[file], {}, large=True)

    def permitted(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit and files of a revision, or None once the refusal has been sent."""
        hub, token = self.server.hub, (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        repo = hub.repositories.get(name)
        if token in hub.bad_tokens:
            return self.refuse(401, "", "Invalid credentials in Authorization header")
        if repo is None or repo.token not in (None, token):
            return self.refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        if repo.gated:
            return self.refuse(403 if token else 401, "GatedRepo", "Access to this model is restricted")
        commit = repo.revisions.get(revision, revision if revision in repo.revisions.values() else None)
        if commit is None:
            return self.refuse(404, "RevisionNotFound", "Invalid rev id")
        return commit, repo.files_at.get(commit, repo.files)

    def refuse(self, status: int, code: str, message: str, headers=None) -> None:
        self.send(status, b"", {"X-Error-Code": code, "X-Error-Message": message} | (headers or {}))

    def send_file(self, file: str, data: bytes, headers: dict, large: bool = False) -> None:
        """A file or the rest of it; broken off or standing still where the hub was told to."""
        hub, start = self.server.hub, self.range_start()
        headers = headers | {"ETag": etag(data, large), "Accept-Ranges": "bytes"}
        data = hub.altered.get(file, data)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        if self.command == "GET" and file in hub.broken:
            self.break_off(data, hub.broken, file, headers)
        elif self.command == "GET" and file in hub.stalled:
            self.stall(data, hub.stalled.pop(file), headers)
        else:
            self.send(206 if start else 200, data[start:], headers)

    def break_off(self, data: bytes, broken: dict[str, int], file: str, headers: dict) -> None:
        """Announce the whole file, send part of it, cut; whoever asks again gets status 500."""
        if (size := broken[file]) < 0:
            return self.refuse(500, "", "Internal error")
        broken[file] = -1
        self.send(200, data, headers, size)
        self.close_connection = True
        return None

    def stall(self, data: bytes, size: int, headers: dict) -> None:
        self.send(200, data, headers, size)
        self.wfile.flush()
        self.server.hub.halfway.set()
        self.server.hub.resume.wait(30)
        self.close_connection = True

    def range_start(self) -> int:
        return int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])

    def send(self, status: int, body: bytes, headers: dict, size: int | None = None) -> None:
        """An answer whose Content-Length is that of the body, of which `size` bytes are sent."""
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:size])


def etag(data: bytes, large: bool) -> str:
    return f'"{sha256(data) if large else git_object_id(data)}"'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_object_id(data: bytes) -> str:
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


def listing(file: str, data: bytes, large: bool) -> dict:
    """One entry of `siblings`: git holds a pointer of a large file, whose own checksum stands under "lfs"."""
    entry = {"rfilename": file, "size": len(data), "blobId": git_object_id(b"pointer" if large else data)}
    return entry | ({"lfs": {"size": len(data), "sha256": sha256(data), "pointerSize": 7}} if large else {})
