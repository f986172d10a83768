"""The local Hugging Face cache: which files of which model are there. Read without any extra package.

The layout is huggingface_hub's (docs: "Understand caching"):

    <cache>/models--owner--name/refs/main                    one line: the commit that the branch pointed to
    <cache>/models--owner--name/snapshots/<commit>/<file>    a link into blobs/, or a plain file on Windows
    <cache>/models--owner--name/blobs/<digest>               the contents, named after their checksum (digests.py)
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from ..errors import HubError
from ..settings.hub_places import COMMIT, read_ref
from ..system.atomic_files import atomic_file
from .sharded import INDEXES, WEIGHTS, shard_names

NEEDED = ("config.json", "preprocessor_config.json", "vocab.json", "sentencepiece.bpe.model")
INSTEAD = {"preprocessor_config.json": "processor_config.json"}  # what transformers 5 writes
OPTIONAL = (*INSTEAD.values(), "generation_config.json", "tokenizer_config.json", "special_tokens_map.json")
OPTIONAL += ("s2t_np.json",)  # ours (config.UtteranceConfig)

SHORT_COMMIT = re.compile(r"[0-9a-f]{4,39}")


class Source(NamedTuple):
    """A model of the hub, and the cache that it is looked for in."""

    name: str  # owner/name
    revision: str | None  # branch, tag or commit; None for main
    cache: Path

    @property
    def folder(self) -> Path:
        """The folder of this model in the cache."""
        return self.cache / f"models--{self.name.replace('/', '--')}"

    @property
    def ref(self) -> Path:
        """The file that holds the commit of the revision."""
        return self.folder / "refs" / (self.revision or "main")

    def __str__(self) -> str:
        return f"model {self.name}" + (f" revision {self.revision}" if self.revision else "")


def cached(source: Source) -> Path | None:
    """The snapshot of a revision, None unless it holds every file that is needed. Raises HubError."""
    snapshot = find_snapshot(source)
    return snapshot if snapshot is not None and not missing(files_in(snapshot)) else None


def find_snapshot(source: Source) -> Path | None:
    """The snapshot folder of a revision, complete or not: by branch or tag, by commit, by the start of a commit.

    Raises HubError for the start of several commits.
    """
    revision, snapshots = source.revision or "main", source.folder / "snapshots"
    commit = read_ref(source.ref)
    if commit is None and SHORT_COMMIT.fullmatch(revision):
        commit = complete_commit(snapshots, revision)
    elif commit is None and COMMIT.fullmatch(revision):
        commit = revision
    return snapshots / commit if commit else None


def complete_commit(snapshots: Path, start: str) -> str | None:
    """The one commit in the cache that begins with `start`. Raises HubError if several do."""
    commits = [name for name in commits_in(snapshots) if name.startswith(start)]
    if len(commits) > 1:
        raise HubError(f"revision {start} is the start of several commits in {snapshots}: {', '.join(commits)}")
    return commits[0] if commits else None


def commits_in(snapshots: Path) -> list[str]:
    """The commits that have a snapshot folder."""
    return sorted(filter(COMMIT.fullmatch, os.listdir(snapshots))) if os.path.isdir(snapshots) else []


def only_snapshot(source: Source) -> Path | None:
    """The one complete snapshot in a cache that no branch or tag points to, as a copied or pruned cache may have it.

    None if there are refs (another revision is another model), or several snapshots.
    """
    if source.revision not in (None, "main") or any(path.is_file() for path in (source.folder / "refs").rglob("*")):
        return None
    snapshots = [source.folder / "snapshots" / commit for commit in commits_in(source.folder / "snapshots")]
    whole = [snapshot for snapshot in snapshots if not missing(files_in(snapshot))]
    return whole[0] if len(whole) == 1 else None


def files_in(snapshot: Path) -> set[str]:
    """The files of a model that are there (a link may lead nowhere); an index counts only with all its shards."""
    there = {file for file in NEEDED + OPTIONAL + WEIGHTS + INDEXES if os.path.isfile(snapshot / file)}
    return {file for file in there if file not in INDEXES or shards_are_there(snapshot / file)}


def shards_are_there(index: Path) -> bool:
    """Return whether every file that an index names is in its folder. Raises ModelError for a damaged index."""
    return all(os.path.isfile(index.parent / shard) for shard in shard_names(index))


def missing(present: set[str]) -> list[str]:
    """The needed files that are not among `present`."""
    lacking = [file for file in NEEDED if not {file, INSTEAD.get(file)} & present]
    return lacking if present & {*WEIGHTS, *INDEXES} else [*lacking, " or ".join(WEIGHTS)]


def state(source: Source) -> str:
    """Return how much of a model is cached, in words."""
    snapshot = find_snapshot(source)
    if snapshot is None or not (present := files_in(snapshot)):
        return f"{source} is not in the local cache {source.cache}"
    lacking = ", ".join(missing(present))
    return f"{source} is in the local cache {snapshot}" + (f" but lacks {lacking}" if lacking else "")


def write_ref(ref: Path, commit: str) -> None:
    """Let a branch or tag point to a commit, in one step; a commit needs no pointer."""
    if ref.name == commit:
        return
    ref.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(ref) as file:
        file.write(commit.encode("ascii"))
