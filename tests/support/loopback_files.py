"""A file server on 127.0.0.1, with and without byte ranges, and in the ways in which servers fail."""

import contextlib
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class LoopbackFiles:
    """The server, used as a context manager: `files` by path, served below `url`."""

    def __init__(self, **files):
        self.files = {f"/{name.replace('__', '.')}": data for name, data in files.items()}
        self.ranges = True  # whether it gives pieces
        self.status: dict[str, int] = {}  # path -> the error that is answered
        self.failures = 0  # how many of the next pieces are answered with 503
        self.stall = 0.0  # seconds before each answer to GET
        self.breaks_off: int | None = None  # bytes of a file after which the connection is dropped, again and again
        self.sent = 0  # bytes of all files
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.owner = True, self
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing is printed."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        time.sleep(self.server.owner.stall)
        self.answer(body=True)

    def refuse(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer(self, body):
        owner, path = self.server.owner, urlsplit(self.path).path
        if path not in owner.files:
            return self.refuse(404)
        if path in owner.status:
            return self.refuse(owner.status[path])
        if body and owner.failures:
            owner.failures -= 1
            return self.refuse(503)
        data = owner.files[path]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")) if owner.ranges else None
        piece = data[int(wanted[1]) : int(wanted[2] or len(data)) + 1] if wanted else data
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", f'"{hash(data)}"')
        if owner.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if wanted:
            self.send_header("Content-Range", f"bytes {wanted[1]}-{int(wanted[1]) + len(piece) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(piece)))
        self.end_headers()
        if body:
            begin = int(wanted[1]) if wanted else 0
            there = len(piece) if owner.breaks_off is None else max(0, owner.breaks_off - begin)
            with contextlib.suppress(ConnectionError):  # a client may leave early
                self.wfile.write(piece[:there])
            owner.sent += len(piece[:there])
            self.close_connection = self.close_connection or there < len(piece)
        return None
