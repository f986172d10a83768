"""The places of models on this machine, Hugging Face's cache and the bundled ones; how a damaged file is replaced.

A path in the cache says which model and which commit it is of (checkpoint/hub_cache.py has the layout), so that an
error about a file there can say the command that fetches it again.
"""

import os
import re
from pathlib import Path

SNAPSHOT = re.compile(
    r"(?P<cache>.*?)[/\\]models--(?P<owner>[^/\\]+?)--(?P<name>[^/\\]+)[/\\]snapshots[/\\](?P<commit>[^/\\]*)"
)
COMMIT = re.compile(r"[0-9a-f]{40}")
BUNDLED_MODELS = Path(__file__).parents[1] / "models"


def default_cache() -> Path:
    """Return where huggingface_hub keeps what it downloads, by the same variables in the same order as its
    constants.py.
    """

    def expand(path):
        return os.path.expandvars(os.path.expanduser(path))

    env = os.environ.get
    home = env("HF_HOME", os.path.join(env("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "huggingface"))
    hub = env("HF_HUB_CACHE", env("HUGGINGFACE_HUB_CACHE", os.path.join(expand(home), "hub")))
    return Path(os.path.abspath(expand(hub)))


def read_ref(ref: Path) -> str | None:
    """The commit that a branch or tag points to in the cache."""
    try:
        with open(ref, "rb") as file:
            text = file.read(100).decode("ascii", "replace").strip()
    except OSError:  # most often there is none; whatever the reason, the cache does not have this revision
        return None
    return text if COMMIT.fullmatch(text) else None


def place_in_cache(path: Path | str) -> re.Match | None:
    """The parts of the path of a file, or a snapshot folder, in a Hugging Face cache, by its shape."""
    return SNAPSHOT.match(os.path.abspath(path) + os.sep)


def download_again(path: Path | str) -> str:
    """Return how to replace a damaged file: by the command, where one is known."""
    command = replacing_command(path)
    return f"`{command}` replaces it" if command else "download it again"


def replacing_command(path: Path | str) -> str | None:
    """The command that replaces a file of the hub's cache or of a bundled model; None for another file."""
    if found := place_in_cache(path):
        return download_command(found)
    bundled = BUNDLED_MODELS in Path(os.path.abspath(path)).parents
    return "pip install --force-reinstall s2t-np" if bundled else None


def download_command(found: re.Match) -> str:
    """The command that downloads the snapshot of a place in the cache again, whatever revision and cache it is of."""
    cache, name, commit = found["cache"], f"{found['owner']}/{found['name']}", found["commit"]
    main = read_ref(Path(cache, f"models--{found['owner']}--{found['name']}", "refs", "main"))
    revision = f" --revision {commit}" if COMMIT.fullmatch(commit) and main != commit else ""
    import shlex

    variable = "" if Path(cache) == default_cache() else f"HF_HUB_CACHE={shlex.quote(cache)} "
    return f"{variable}s2t-np download {name}{revision} --force"
