"""Bring a model from the hub into the local cache, through huggingface_hub, which alone talks to the network.

Every file is compared with the checksum that the hub announced for it (digests.py) before the revision points to it;
one that differs is removed. Whatever goes wrong becomes a HubError of one line that says what to do.
"""

import errno
import os
import re
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from ..errors import HubError
from ..system.helpers import NO_THREADS, is_lack_of_threads
from . import digests
from .hub_cache import COMMIT, NEEDED, OPTIONAL, Source, missing, state, write_ref
from .sharded import INDEXES, WEIGHTS, shard_names

DEFAULT_ENDPOINT = "https://huggingface.co"
TIMEOUT = 30  # seconds to wait for the hub's answer about a model
INSTALL = "pip install huggingface_hub"

MESSAGES = {  # exception of huggingface_hub -> what to tell
    "GatedRepoError": "is gated: accept its conditions on {endpoint}/{name}, then set HF_TOKEN",
    "RevisionNotFoundError": "has no revision {revision!r} on {endpoint}: take one of its branches, tags or commits",
    "RepositoryNotFoundError": "is not on {endpoint}, or private: check the spelling, or set HF_TOKEN",
    "DisabledRepoError": "has been disabled by its owner on {endpoint}: take another model",
    "OfflineModeIsEnabled": "cannot be downloaded: huggingface_hub is in offline mode; unset HF_HUB_OFFLINE",
}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)
OF_THIS_MACHINE = (errno.EIO, errno.EMFILE, errno.ENFILE)  # also where an error names no file
FOLDER_INSTEAD = "or give the folder that holds its files"
UNTRUSTED = (
    "its certificate is not trusted here: let SSL_CERT_FILE (REQUESTS_CA_BUNDLE with huggingface_hub below 1.0) name "
    f"the certificates of your network, {FOLDER_INSTEAD}"
)
UNREACHABLE = (
    "check the connection, HTTPS_PROXY if your network has a proxy, and HF_ENDPOINT; complete files are kept, so try "
    f"again, {FOLDER_INSTEAD}"
)


class UnreachableError(HubError):
    """The hub was not asked, or gave no answer: what the cache holds is all there is."""


def offline() -> bool:
    """Return whether the environment forbids the network, spelled as upstream reads it."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in ("1", "ON", "YES", "TRUE")


def endpoint() -> str:
    """The hub to ask."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def import_hub(source: Source):
    """The huggingface_hub package. Raises HubError, with what to do instead, where it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise UnreachableError(
            f"{state(source)}, and downloading needs huggingface_hub ({error}): {INSTALL}, {FOLDER_INSTEAD} "
            f"({', '.join(NEEDED)} and {' or '.join(WEIGHTS)})"
        ) from None
    return huggingface_hub


def fetch(source: Source, token, progress, force: bool = False) -> Path:
    """Download what a model needs; the snapshot folder. Every way in which this can fail becomes a HubError."""
    hub = import_hub(source)
    check_home(source)
    try:
        with bars(hub, progress):
            return fetch_files(hub, source, token, force)
    except HubError:
        raise
    except Exception as error:  # what huggingface_hub and its HTTP client raise differs from version to version
        told = explain(error, source)
        raise (UnreachableError if told.endswith(UNREACHABLE) else HubError)(told) from error


def check_home(source: Source) -> None:
    """Raise HubError where the cache would be in the user's home and there is none: in a folder called "~" instead."""
    if os.path.expanduser("~") == "~" and source.cache.is_relative_to(os.path.abspath("~")):
        raise HubError(f"model {source.name}: this user has no home for a cache; let HF_HOME name a folder")


def is_of_cache(name, source: Source) -> bool:
    """Return whether a path is that of the cache, of something in it, or of a folder that leads to it."""
    path = os.path.abspath(os.fsdecode(name)) if isinstance(name, str | bytes) else os.curdir
    return source.cache.is_relative_to(path) or Path(path).is_relative_to(source.cache)


def fetch_files(hub, source: Source, token, force: bool) -> Path:
    """Bring one commit's files into the cache, the weights last, and only then let the revision point to it.

    So an interrupted or damaged download never hides the complete older commit that the revision pointed to before.
    """
    where = {"endpoint": endpoint(), "token": token}
    info = hub.HfApi(**where).model_info(source.name, revision=source.revision, timeout=TIMEOUT, files_metadata=True)
    if not COMMIT.fullmatch(str(info.sha)):
        what = f"names no commit ({str(info.sha)!r:.60}); is it a Hugging Face hub?"
        raise HubError(f"model {source.name}: {endpoint()} {what}")
    options = {"revision": info.sha, "cache_dir": source.cache, "force_download": force, **where}
    offered = {sibling.rfilename: announced_by_hub(sibling) for sibling in info.siblings or ()}

    def bring(file: str) -> Path:
        path = Path(hub.hf_hub_download(source.name, file, **options))
        check_arrived(path, offered.get(file), source)
        return path

    *_, last = bring_all(choose_files(set(offered), source), bring)
    write_ref(source.ref, info.sha)
    return last.parent


def announced_by_hub(sibling) -> str | None:
    """The digest in the hub's list of files: of large files the SHA-256, else git's object id, None if not given."""
    large = getattr(sibling, "lfs", None)
    found = getattr(large, "sha256", None) if large else getattr(sibling, "blob_id", None)
    return found if isinstance(found, str) and digests.DIGEST.fullmatch(found) else None


def check_arrived(path: Path, listed: str | None, source: Source) -> None:
    """Compare a file with the digests announced for it, and remove it from the cache if it has another.

    Raises HubError.
    """
    for expected in {listed, digests.announced(path)} - {None}:
        if not digests.is_as_announced(path, expected):
            blob = os.path.realpath(path)
            for file in {path, Path(blob)}:
                file.unlink(missing_ok=True)
            raise HubError(
                f"model {source.name}: {path.name} is not what {endpoint()} announced (checksum {expected[:16]}...); "
                f"it was removed from the cache; try again: `s2t-np download {source.name} --force`"
            )


def bring_all(files: list[str], bring) -> Iterable[Path]:
    """Bring each file, and after an index the shards it names."""
    for file in files:
        yield (path := bring(file))
        if file in INDEXES:
            yield from map(bring, shard_names(path))


def choose_files(offered: set[str], source: Source) -> list[str]:
    """The files to download from those of a repository. Raises HubError if it is not an S2T model."""
    if lacking := missing(offered):
        what = f"{endpoint()} has it without {', '.join(lacking)}; is it a speech_to_text model?"
        raise HubError(f"model {source.name}: {what}")
    weights = next(file for pair in zip(WEIGHTS, INDEXES, strict=True) for file in pair if file in offered)
    return [*(file for file in NEEDED + OPTIONAL if file in offered), weights]


@contextmanager
def bars(hub, progress):
    """Without huggingface_hub's progress bars if `progress` is False; otherwise it shows them on a terminal.

    It also warns of what harms nothing (a list of files that cannot be kept); that is left out unless it was asked for.
    """
    from huggingface_hub.utils import logging

    silence = progress is False and not hub.utils.are_progress_bars_disabled()
    if silence:
        hub.utils.disable_progress_bars()
    verbosity = logging.get_verbosity()
    if verbosity == logging.WARNING:
        logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if silence:
            hub.utils.enable_progress_bars()


def explain(error: BaseException, source: Source) -> str:
    """One line about a failed download: what happened and what to do."""
    chain, model = causes(error), f"model {source.name}"
    for kind, message in MESSAGES.items():
        if any(type(e).__name__ == kind for e in chain):
            words = {"endpoint": endpoint(), "name": source.name, "revision": source.revision or "main"}
            return f"{model} {message.format(**words)}"
    if here := of_this_machine(chain, source):
        return f"{model}: {here}"
    status = {getattr(getattr(e, "response", None), "status_code", None) for e in chain}
    if status & {401, 403}:
        return f"{model}: {endpoint()} refused access; check that HF_TOKEN is valid and may read this model"
    advice = UNTRUSTED if "CERTIFICATE" in " ".join(map(str, chain)).upper() else UNREACHABLE
    return f"{model}: download from {endpoint()} failed ({reason(chain)}); {advice}"


def of_this_machine(chain: list[BaseException], source: Source) -> str | None:
    """Return what this machine lacks, and what to do; None if the hub or the way to it is to blame."""
    if any(map(is_lack_of_threads, chain)):
        return f"{NO_THREADS}; try again"
    errors = [e for e in chain if isinstance(e, OSError)]
    if any(e.errno in DISK_FULL for e in errors):
        return f"there is no room in {source.cache}; free some, or let HF_HOME name a folder on another disk"
    if any(e.filename and (e.errno in NOT_WRITABLE or is_of_cache(e.filename, source)) for e in errors):
        return f"{source.cache} cannot be written; let HF_HOME name a folder that can"
    if local := next((e for e in errors if e.filename or e.errno in OF_THIS_MACHINE), None):
        return f"{local.filename or source.cache}: {local.strerror}; this is not the hub's fault: try again"
    return None


def causes(error: BaseException | None) -> list[BaseException]:
    """An exception and what led to it, latest first."""
    chain = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def reason(chain: list[BaseException]) -> str:
    """The root of a chain of exceptions in one short line that never shows a token."""
    text = " ".join(str(chain[-1]).split()) or type(chain[-1]).__name__
    return re.sub(r"Bearer.*|hf_[A-Za-z0-9]{20,}", "(token)", text)[:160]
