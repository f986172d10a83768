"""Find the folder of a model: bundled, on disk, in the local Hugging Face cache, or downloaded into that cache.

    hub_cache.py      the files in the cache, read without any extra package
    hub_download.py   downloading, through huggingface_hub (`pip install huggingface_hub`)
    digests.py        the checksums of files, compared with those announced

`find` asks the network only for a hub id that is not cached. Cached files are used as they are, even when the hub has a
newer commit: the same name gives the same model every day, and the hub does not learn what is run here. `download`
always asks the hub. `verify` compares the files of a model with their checksums.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import HubError, InputWarning, ModelError, OptionError
from ..settings.hub_places import BUNDLED_MODELS as MODELS
from ..settings.hub_places import default_cache, download_again
from . import digests, folders
from .hub_cache import Source, cached, files_in, only_snapshot, state
from .hub_download import FOLDER_INSTEAD, UnreachableError, fetch, offline
from .sharded import INDEXES, shard_names

BUNDLED = ("digits",)

ID = re.compile(r"(?!.*(--|\.\.|\.git$))(\w([\w.-]{0,94}\w)?)/(\w([\w.-]{0,94}\w)?)", re.ASCII)  # as upstream's
REVISION = re.compile(r"(?!.*\.\.)[^\s~^:?*\[\\/]+(/[^\s~^:?*\[\\/]+)*")  # as git has it; never a way out of refs/


def find(
    name: str | os.PathLike,
    revision: str | None = None,
    *,
    download: bool = True,
    token: str | bool | None = None,
    progress: bool | None = None,
    cache_dir: str | os.PathLike | None = None,
) -> Path:
    """The folder that holds a model's files.

    name: "digits" (bundled; a folder of that name is "./digits"), else a folder, else a hub id "owner/name", taken from
    the local cache or else downloaded. A Path object is always a folder. revision: branch, tag or commit of a hub id.
    download: False never asks the network, nor does a truthy HF_HUB_OFFLINE. cache_dir: the cache to use instead of
    Hugging Face's. token, progress: as in `download`. Raises HubError if the model cannot be had, OptionError for a
    revision of a folder (but "main", which every program writes).
    """
    folder = local_folder(name)
    if folder is not None:
        if revision not in (None, "main"):
            raise OptionError(f"revision {revision!r:.80} was given for the folder {folder}; only hub ids have one")
        return folder
    source = hub_source(name, revision, cache_dir)
    if (found := cached(source)) is not None:
        return found
    if (offline() or not download) and (found := only_snapshot(source)) is not None:
        return without_refs(source, found)
    check_download_allowed(source, download)
    try:
        return fetch(source, token, progress)
    except UnreachableError as error:
        if (found := only_snapshot(source)) is None:
            raise
        return without_refs(source, found, f" ({error})")


def without_refs(source: Source, snapshot: Path, why: str = "") -> Path:
    """The snapshot, with an InputWarning: it may not be the commit that the hub has under main."""
    told = f"{source}: the cache has no refs/main; its only snapshot is used, {snapshot}{why}"
    warnings.warn(told, InputWarning, stacklevel=3)
    return snapshot


def download(
    name: str,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    progress: bool | None = None,
    force: bool = False,
    cache_dir: str | os.PathLike | None = None,
) -> Path:
    """Ask the hub for a model and bring the files it needs into the local cache; returns the folder there.

    token: a Hugging Face token, False for none; None takes HF_TOKEN or the stored login. progress: False shows no bar;
    otherwise there is one when stderr is a terminal. force: fetch again what is there already (it may be damaged).
    HF_ENDPOINT, HF_TOKEN and the variables of `default_cache` are honoured. Raises HubError.
    """
    source = hub_source(name, revision, cache_dir)
    check_download_allowed(source)
    return fetch(source, token, progress, force)


def verify(folder: Path) -> dict[str, bool]:
    """Compare each file of a model with the checksum announced for it: {file: whether one was announced}.

    `folder`: as `find` returns it. Reads every byte of the weights. Raises ModelError, naming the first file that
    differs, with what to do.
    """
    folder = Path(folder)
    files = files_in(folder)
    for index in files & set(INDEXES):
        files |= set(shard_names(folder / index))
    return {file: digests.verify_file(folder / file, download_again(folder / file)) for file in sorted(files)}


@contextmanager
def naming_damage(folder: Path) -> Iterator[None]:
    """Within this context, a ModelError over files of `folder` names the one whose checksum shows that it is damaged.

    A file that is damaged seldom says so: a bit of config.json makes another width, and the weights do not fit it.
    """
    try:
        yield
    except HubError:
        raise
    except ModelError as error:
        if download_again(folder) not in str(error):
            try:
                verify(folder)
            except ModelError as damage:
                raise ModelError(f"{damage} (it was found by this: {error})") from error
        raise


def local_folder(name: str | os.PathLike) -> Path | None:
    """The folder, or fairseq's .pt, that `name` means on this machine; None for a hub id. Raises HubError otherwise."""
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise OptionError(f"model is {name!r:.80}, expected a folder, 'digits', or a hub id")
    if isinstance(name, str) and name in BUNDLED:
        return MODELS / name
    path = os.path.expanduser(name)
    if os.path.isdir(path) or (os.path.isfile(path) and path.endswith(".pt")):
        return Path(path)
    if isinstance(name, str) and ID.fullmatch(name) and not os.path.lexists(path):
        return None
    expected = f"expected a folder, a bundled model ({', '.join(BUNDLED)}), or a hub id (owner/name)"
    found = folders.describe_file(Path(path)) if os.path.isfile(path) else folders.describe_name(name)
    raise HubError(f"model {str(name)!r:.200} {found}; {expected}")


def hub_source(name: str, revision: str | None = None, cache_dir=None) -> Source:
    """Hold a hub id and a revision to their forms, so that neither leads out of the cache. Raises HubError."""
    if not isinstance(name, str) or not ID.fullmatch(name):
        raise HubError(f"model {str(name)!r:.200}: not a hub id, expected owner/name (letters, digits, . _ -)")
    if revision is not None and not (isinstance(revision, str) and REVISION.fullmatch(revision)):
        raise HubError(f"model {name}: revision {revision!r:.80} is not a branch, tag or commit")
    return Source(
        name, revision, Path(os.path.abspath(os.path.expanduser(cache_dir))) if cache_dir else default_cache()
    )


def check_download_allowed(source: Source, download: bool = True) -> None:
    """Raise HubError where the caller or the environment wants no network."""
    if offline():
        why = "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set: unset it"
    elif not download:
        why = f"downloading was not asked for: run `s2t-np download {source.name}`"
    else:
        return
    raise HubError(f"{state(source)}, and {why}, {FOLDER_INSTEAD}")
