"""Find the folder of a model: bundled, on disk, in the local Hugging Face cache, or downloaded into that cache.

The cache is read without any extra package. Its layout is huggingface_hub's (docs: "Understand caching"):

    <cache>/models--owner--name/refs/main                    one line: the commit that the branch pointed to
    <cache>/models--owner--name/snapshots/<commit>/<file>    a link into blobs/, or a plain file on Windows

Downloading needs huggingface_hub (the extra `hub`), which alone talks to the network, and `find` asks it only for a hub
id that is not cached. What is cached is used as it is, even when the hub has a newer commit: the same name gives the
same model every day, and nobody is told what is run here. `download` always asks the hub.
"""

import errno
import os
import re
import uuid
from contextlib import contextmanager
from pathlib import Path

from ..errors import HubError, OptionError

MODELS = Path(__file__).parents[1] / "models"
BUNDLED = ("digits",)
NEEDED = ("config.json", "preprocessor_config.json", "vocab.json", "sentencepiece.bpe.model")
INSTEAD = {"preprocessor_config.json": "processor_config.json"}  # what transformers 5 writes
OPTIONAL = (*INSTEAD.values(), "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
OPTIONAL += ("s2t_np.json",)  # ours (config.UtteranceConfig)
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # one of them, the first if there are both

ID = re.compile(r"(?!.*(--|\.\.|\.git$))(\w([\w.-]{0,94}\w)?)/(\w([\w.-]{0,94}\w)?)", re.ASCII)  # as upstream's
REVISION = re.compile(r"(?!.*\.\.)[^\s~^:?*\[\\/]+(/[^\s~^:?*\[\\/]+)*")  # as git has it; never a way out of refs/
COMMIT = re.compile(r"[0-9a-f]{40}")
SHORT_COMMIT = re.compile(r"[0-9a-f]{4,39}")

DEFAULT_ENDPOINT = "https://huggingface.co"
TIMEOUT = 30  # seconds to wait for the hub's answer about a model
INSTALL = "pip install huggingface_hub"

SAYS = {  # exception of huggingface_hub -> what to tell
    "GatedRepoError": "is gated: accept its conditions on {endpoint}/{name}, then set HF_TOKEN",
    "RevisionNotFoundError": "has no revision {revision!r} on {endpoint}: take one of its branches, tags or commits",
    "RepositoryNotFoundError": "is not on {endpoint}, or private: check the spelling, or set HF_TOKEN",
    "DisabledRepoError": "has been disabled by its owner on {endpoint}: take another model",
    "OfflineModeIsEnabled": "cannot be downloaded: huggingface_hub is in offline mode; unset HF_HUB_OFFLINE",
}
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def find(
    name: str | os.PathLike, revision: str | None = None, *, download: bool = True, token=None, progress=None
) -> Path:
    """The folder that holds a model's files.

    name: "digits" (bundled; a folder of that name is "./digits"), else a folder, else a hub id "owner/name", taken from
    the local cache or else downloaded. A Path object is always a folder. revision: branch, tag or commit of a hub id.
    download: False never asks the network, nor does a truthy HF_HUB_OFFLINE. token, progress: as in `download`.
    Raises HubError if the model cannot be had, OptionError for a revision of something that has none.
    """
    folder = local_folder(name)
    if folder is not None:
        if revision is not None:
            raise OptionError(f"revision {revision!r:.80} means nothing for the folder {folder}; it is for hub ids")
        return folder
    check_id(name, revision)
    found = cached(name, revision)
    if found is None:
        check_download_allowed(name, revision, download)
        found = fetch(name, revision, token, progress)
    return found


def download(
    name: str, revision: str | None = None, *, token: str | bool | None = None, progress=None, force: bool = False
) -> Path:
    """Ask the hub for a model and bring its files, those that are needed, into the local cache; the folder there.

    token: a Hugging Face token, False for none; None takes HF_TOKEN or the stored login. progress: False shows no bar;
    otherwise there is one when stderr is a terminal. force: fetch again what is there already (it may be damaged).
    HF_ENDPOINT, HF_TOKEN and the variables of `cache_folder` are honoured. Raises HubError.
    """
    check_id(name, revision)
    check_download_allowed(name, revision)
    return fetch(name, revision, token, progress, force)


def local_folder(name: str | os.PathLike) -> Path | None:
    """The folder that `name` means on this machine, None for a hub id. Raises HubError if it can be neither."""
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise OptionError(f"model is {name!r:.80}, expected a folder, 'digits', or a hub id")
    if isinstance(name, str) and name in BUNDLED:
        return MODELS / name
    path = os.path.expanduser(name)
    if os.path.isdir(path):
        return Path(path)
    if isinstance(name, str) and ID.fullmatch(name):
        return None
    expected = f"expected a folder, a bundled model ({', '.join(BUNDLED)}), or a hub id (owner/name)"
    raise HubError(f"model {str(name)!r:.200} is no folder here; {expected}")


def check_id(name: str, revision: str | None) -> None:
    """Hold a hub id and a revision to their forms, so that neither leads out of the cache. Raises HubError."""
    if not isinstance(name, str) or not ID.fullmatch(name):
        raise HubError(f"model {str(name)!r:.200}: not a hub id, expected owner/name (letters, digits, . _ -)")
    if revision is not None and not (isinstance(revision, str) and REVISION.fullmatch(revision)):
        raise HubError(f"model {name}: revision {revision!r:.80} is not a branch, tag or commit")


def cache_folder() -> Path:
    """Where huggingface_hub keeps what it downloads, by the same variables in the same order as its constants.py."""

    def expand(path):
        return os.path.expandvars(os.path.expanduser(path))

    env = os.environ.get
    home = env("HF_HOME", os.path.join(env("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "huggingface"))
    hub = env("HF_HUB_CACHE", env("HUGGINGFACE_HUB_CACHE", os.path.join(expand(home), "hub")))
    return Path(os.path.abspath(expand(hub)))


def offline() -> bool:
    """Whether the environment forbids the network, spelled as upstream reads it."""
    value = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return value.upper() in ("1", "ON", "YES", "TRUE")


def endpoint() -> str:
    """The hub to ask."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def repo_folder(name: str) -> Path:
    """The folder of one model in the cache."""
    return cache_folder() / f"models--{name.replace('/', '--')}"


def cached(name: str, revision: str | None = None) -> Path | None:
    """The snapshot of a hub id in the local cache, None unless it holds every file that is needed. Raises HubError."""
    snapshot = find_snapshot(name, revision)
    return snapshot if snapshot is not None and not missing(files_in(snapshot)) else None


def find_snapshot(name: str, revision: str | None) -> Path | None:
    """The snapshot folder of a revision, complete or not: by branch or tag, by commit, by the start of a commit."""
    repo = repo_folder(name)
    revision = revision or "main"
    commit = read_ref(repo / "refs" / revision)
    if commit is None and SHORT_COMMIT.fullmatch(revision):
        commit = complete_commit(repo / "snapshots", revision)
    elif commit is None and COMMIT.fullmatch(revision):
        commit = revision
    return repo / "snapshots" / commit if commit else None


def read_ref(ref: Path) -> str | None:
    """The commit that a file under refs/ names; None if there is no such file or it holds something else."""
    try:
        with open(ref, "rb") as file:
            text = file.read(100).decode("ascii", "replace").strip()
    except OSError:  # most often there is none; whatever the reason, this revision is not to be had from the cache
        return None
    return text if COMMIT.fullmatch(text) else None


def complete_commit(snapshots: Path, start: str) -> str | None:
    """The one commit in the cache that begins with `start`. Raises HubError if several do."""
    names = os.listdir(snapshots) if os.path.isdir(snapshots) else []
    commits = sorted(n for n in names if n.startswith(start) and COMMIT.fullmatch(n))
    if len(commits) > 1:
        raise HubError(f"revision {start} is the start of several commits in {snapshots}: {', '.join(commits)}")
    return commits[0] if commits else None


def files_in(snapshot: Path) -> set[str]:
    """Which of the files we use are really there (a link may lead nowhere)."""
    return {file for file in NEEDED + OPTIONAL + WEIGHTS if os.path.isfile(snapshot / file)}


def missing(present: set[str]) -> list[str]:
    """What a model still lacks that has these files."""
    lacking = [file for file in NEEDED if not {file, INSTEAD.get(file)} & present]
    return lacking if present & set(WEIGHTS) else [*lacking, " or ".join(WEIGHTS)]


def cache_state(name: str, revision: str | None) -> str:
    """How much of a model is cached, in words."""
    snapshot = find_snapshot(name, revision)
    wanted = f"model {name}" + (f" revision {revision}" if revision else "")
    if snapshot is None or not (present := files_in(snapshot)):
        return f"{wanted} is not in the local cache {cache_folder()}"
    lacking = ", ".join(missing(present))
    return f"{wanted} is in the local cache {snapshot}" + (f" but lacks {lacking}" if lacking else "")


def check_download_allowed(name: str, revision: str | None, download: bool = True) -> None:
    """Raise HubError where the caller or the environment wants no network."""
    if offline():
        why = "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set: unset it"
    elif not download:
        why = f"downloading was not asked for: run `s2t-np download {name}`"
    else:
        return
    raise HubError(f"{cache_state(name, revision)}, and {why}, or give the folder that holds its files")


def import_hub(name: str, revision: str | None):
    """The huggingface_hub package. Raises HubError, with what to do instead, where it is not installed."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise HubError(
            f"{cache_state(name, revision)}, and downloading needs huggingface_hub ({error}): {INSTALL}, or give the "
            f"folder that holds its files ({', '.join(NEEDED)} and {' or '.join(WEIGHTS)})"
        ) from None
    return huggingface_hub


def fetch(name: str, revision: str | None, token, progress, force: bool = False) -> Path:
    """Download through huggingface_hub; every way this can fail becomes a HubError of one line."""
    hub = import_hub(name, revision)
    try:
        with bars(hub, progress):
            return fetch_files(hub, name, revision, token, force)
    except HubError:
        raise
    except Exception as error:  # what huggingface_hub and its HTTP client raise differs from version to version
        raise HubError(explain(error, name, revision)) from error


def fetch_files(hub, name: str, revision: str | None, token, force: bool) -> Path:
    """Bring one commit's files into the cache, the weights last, and only then let the revision point to it.

    So an interrupted download never hides the complete older commit that the revision pointed to before.
    """
    where = {"endpoint": endpoint(), "token": token}
    info = hub.HfApi(**where).model_info(name, revision=revision, timeout=TIMEOUT)
    if not COMMIT.fullmatch(str(info.sha)):
        raise HubError(f"model {name}: {endpoint()} names no commit ({str(info.sha)!r:.60}); is it a Hugging Face hub?")
    for file in choose_files({s.rfilename for s in info.siblings or ()}, name):
        path = hub.hf_hub_download(
            name, file, revision=info.sha, cache_dir=cache_folder(), force_download=force, **where
        )
    write_ref(repo_folder(name) / "refs" / (revision or "main"), info.sha)
    return Path(path).parent


def choose_files(offered: set[str], name: str) -> list[str]:
    """The files to download from those of a repository. Raises HubError if it is no S2T model."""
    if lacking := missing(offered):
        raise HubError(f"model {name}: {endpoint()} has it without {', '.join(lacking)}; is it a speech_to_text model?")
    weights = next(file for file in WEIGHTS if file in offered)
    return [*(file for file in NEEDED + OPTIONAL if file in offered), weights]


def write_ref(ref: Path, commit: str) -> None:
    """Let a branch or tag point to a commit, at one stroke; a commit needs no pointer."""
    if ref.name == commit:
        return
    ref.parent.mkdir(parents=True, exist_ok=True)
    draft = ref.with_name(f"{ref.name}.{uuid.uuid4().hex[:8]}.tmp")
    draft.write_text(commit, encoding="ascii")
    os.replace(draft, ref)


@contextmanager
def bars(hub, progress):
    """Without huggingface_hub's progress bars if `progress` is False; else as it does, on a terminal only."""
    silence = progress is False and not hub.utils.are_progress_bars_disabled()
    if silence:
        hub.utils.disable_progress_bars()
    try:
        yield
    finally:
        if silence:
            hub.utils.enable_progress_bars()


def explain(error: BaseException, name: str, revision: str | None) -> str:
    """One line about a failed download: what happened and what to do."""
    chain = causes(error)
    for kind, says in SAYS.items():
        if any(type(e).__name__ == kind for e in chain):
            return f"model {name} " + says.format(endpoint=endpoint(), name=name, revision=revision or "main")
    numbers = {getattr(e, "errno", None) for e in chain}
    if numbers & set(DISK_FULL):
        return f"model {name}: no room in {cache_folder()}; free some, or let HF_HOME name a folder on another disk"
    if any(getattr(e, "errno", None) in NOT_WRITABLE and getattr(e, "filename", None) for e in chain):
        return f"model {name}: {cache_folder()} cannot be written; let HF_HOME name a folder that can"
    status = {getattr(getattr(e, "response", None), "status_code", None) for e in chain}
    if status & {401, 403}:
        return f"model {name}: {endpoint()} refused access; check that HF_TOKEN is valid and may read this model"
    return f"model {name}: download from {endpoint()} failed ({reason(chain)}); try again, complete files are kept"


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
