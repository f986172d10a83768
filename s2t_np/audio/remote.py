"""Recordings at an address: https://, s3://, gs://, hf:// and whatever else fsspec reads.

Needs fsspec (`pip install "s2t-np[remote]"`), and for some kinds of address a package of their own, which the error
names. A file is read in pieces of a megabyte, of which a few are kept: only those that are needed cross the network,
and memory does not grow. A server that gives no pieces is read from beginning to end; when its connection breaks, what
had come until then is sound, too.
"""

import contextlib
import re
import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit, urlunsplit

from ..errors import AudioError

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters or more: C:// is a drive
INSTALL = 'pip install "fsspec[http]"'
CONNECT, ANSWER = 15.0, 60.0  # seconds to wait for a connection, and for each piece
PIECE, KEPT = 1 << 20, 16  # bytes of a piece, and how many pieces are kept
PAUSES = (0.5, 2.0)  # seconds before a piece is asked for again
FINAL = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    ImportError,
    NotImplementedError,
)


def is_url(source) -> bool:
    """Return whether it is an address, and not a path."""
    return isinstance(source, str) and SCHEME.match(source) is not None


def name_in_messages(url: str) -> str:
    """The address without what may be secret in it: a password, a signature in the query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def file_name(url: str) -> str:
    """The last part of an address: https://host/a/talk%201.mp3?token=x -> talk 1.mp3."""
    return unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2] or urlsplit(url).netloc


def file_system(url: str):
    """fsspec's file system of an address, and the path in it. Raises AudioError."""
    try:
        import fsspec

        options = {}
        if url.lower().startswith(("http://", "https://")):
            from aiohttp import ClientTimeout

            options = {"client_kwargs": {"timeout": ClientTimeout(sock_connect=CONNECT, sock_read=ANSWER)}}
        return fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        install = f": {INSTALL}" if error.name in ("fsspec", "aiohttp") else ""
        raise AudioError(f"{name_in_messages(url)}: reading it needs another package ({error}){install}") from error
    except Exception as error:  # an unknown kind of address, credentials that are missing: each in its own way
        raise AudioError(f"{name_in_messages(url)}: cannot be read ({trouble(error)})") from error


def trouble(error: BaseException) -> str:
    """Return what went wrong, on one line."""
    if isinstance(error, FileNotFoundError) and error.__cause__ and getattr(error.__cause__, "status", 0) != 404:
        return trouble(error.__cause__)  # fsspec calls it so, too, when no server answers
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "access is denied"
    if isinstance(error, TimeoutError):
        return f"no answer within {ANSWER:g} s"
    if status := getattr(error, "status", None):
        return f"the server answers {status} {getattr(error, 'message', '')}".rstrip()
    return " ".join(str(error).split()) or type(error).__name__


class RemoteFile:
    """A binary file at an address; every error is an OSError of one line."""

    def __init__(self, url: str):
        """Raises AudioError, OSError."""
        system, path = file_system(url)
        cache = {"block_size": PIECE, "cache_type": "blockcache", "cache_options": {"maxblocks": KEPT}}
        file = persistent(lambda: in_pieces_or_whole(system, path, cache))
        self.whole, self.given = lambda: Stream(system.open(path, "rb", block_size=0)), False
        self.file = file if gives_pieces(file) else Stream(file)
        self.name = name_in_messages(url)

    def __enter__(self) -> "RemoteFile":
        return self

    def __exit__(self, *_) -> None:
        self.file.close()

    def seekable(self) -> bool:
        """Return whether the server gives pieces; then it says how long the file is."""
        return gives_pieces(self.file)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of any file."""
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self.file.tell()

    def read(self, count: int = -1) -> bytes:
        """As of any file. Raises OSError.

        Where not one piece could be had, the file is a stream afterwards: from its beginning, some may come.
        """
        if not self.seekable():
            return self.file.read(count)
        at = self.file.tell()

        def attempt() -> bytes:
            self.file.seek(at)
            return self.file.read(count)

        try:
            data = persistent(attempt)
        except OSError as error:
            if not self.given and not is_final(error.__cause__):
                with contextlib.suppress(Exception):
                    self.file = self.whole()
            raise
        self.given = self.given or bool(data)
        return data


class Stream:
    """A file of fsspec's that is read once, from its beginning; what was read cannot be asked for again.

    Of a connection that breaks, aiohttp gives its error and keeps to itself what has come before: that is given first.
    """

    def __init__(self, file):
        self.file, self.rest, self.failure = file, b"", None
        self.close, self.tell, self.seek = file.close, file.tell, file.seek

    def seekable(self) -> bool:
        return False

    def read(self, count: int = -1) -> bytes:
        """As of any file. Raises OSError."""
        if self.failure is None:
            try:
                return once(lambda: self.file.read(count))
            except OSError as error:
                self.failure, self.rest = error, received(self.file)
        data, self.rest = (self.rest, b"") if count < 0 else (self.rest[:count], self.rest[count:])
        if not data:
            raise self.failure
        return data


def received(file) -> bytes:
    """The bytes of a response that had come when its connection broke; none where another client has read it."""
    content = getattr(getattr(file, "r", None), "content", None)
    try:
        content.set_exception(None)
        return content.read_nowait()
    except Exception:  # another client, or another version of aiohttp: what it holds is lost
        return b""


def gives_pieces(file) -> bool:
    """Return whether a file of fsspec's can be read in pieces; then its server says how long it is."""
    return getattr(file, "size", 0) is not None and file.seekable()


def in_pieces_or_whole(system, path: str, cache: dict):
    """fsspec's file: one that is read in pieces or, from a server that turns out to give none, from its beginning."""
    file = system.open(path, "rb", **cache)
    size = getattr(file, "size", None)
    if size is None or size <= PIECE or not file.seekable():
        return file
    try:
        file.seek(size - 1)  # the search for joined recordings reads the last piece, too
        file.read(1)
    except ValueError:  # fsspec's word for an answer with more than the piece
        file.close()
        return system.open(path, "rb", block_size=0)
    except Exception:
        pass
    file.seek(0)
    return file


def once(action: Callable):
    """Call it; every error is an OSError of one line."""
    try:
        return action()
    except Exception as error:  # aiohttp's, botocore's and others', which are not imported here
        raise OSError(trouble(error)) from error


def persistent(action: Callable):
    """The same; what may be a passing trouble of the network is tried again, PAUSES later."""
    for pause in PAUSES:
        try:
            return action()
        except Exception as error:  # as in `once`
            if is_final(error):
                raise OSError(trouble(error)) from error
            time.sleep(pause)
    return once(action)


def is_final(error: BaseException | None) -> bool:
    """Return whether asking again is vain."""
    return isinstance(error, FINAL) or 400 <= getattr(error, "status", 0) < 500


def state(url: str) -> dict:
    """The size of a file, and what its server calls its version; empty where that cannot be told."""
    try:
        system, path = file_system(url)
        known = system.info(path)
    except Exception:  # it is a guess whether a file is the same: without an answer it is not
        return {}
    version = next((known[k] for k in ("ETag", "etag", "LastModified", "mtime", "created") if known.get(k)), None)
    return {"size": known.get("size"), "version": str(version)} if version is not None else {}


def is_several(url: str) -> bool:
    """Return whether an address is a pattern (*), or a folder (it ends in /)."""
    return "*" in urlsplit(url).path or url.endswith("/")


def listing(url: str) -> list[str]:
    """The addresses that match a pattern (*), or are below a folder (its address ends in /), sorted.

    Raises AudioError.
    """
    system, path = file_system(url)
    try:
        found = system.glob(path) if "*" in path else system.find(path)
    except Exception as error:  # as in `once`
        raise AudioError(f"{name_in_messages(url)}: cannot be listed ({trouble(error)})") from error
    return sorted(system.unstrip_protocol(name) for name in found)
