"""Finding a model: bundled, a folder, the local cache. Nothing here downloads (test_hub_download.py does)."""

import errno
import importlib.util
import os
import re
import runpy
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from s2t_np.checkpoint import hub, hub_cache, hub_download, sharded
from s2t_np.errors import HubError, InputWarning, OptionError
from s2t_np.settings.hub_places import default_cache
from tests.support.paths import DIGITS

ID = "owner/model"
NEW, OLD, LIKE_OLD = "a" * 40, "b1" * 20, "b1b1" + "c" * 36
CONTENTS = {
    name: f"contents of {name}".encode() * 99 for name in (*hub_cache.NEEDED, *hub_cache.OPTIONAL, *sharded.WEIGHTS)
}
CLIENT = importlib.util.find_spec("huggingface_hub")
needs_client = pytest.mark.skipif(CLIENT is None, reason="needs huggingface_hub, the real client")
VARIABLES = ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE")
VARIABLES += ("TRANSFORMERS_OFFLINE", "HF_ENDPOINT", "HF_TOKEN")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache that this process reads, and a guarantee that nothing is downloaded."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "fetch", lambda *args: pytest.fail(f"asked the network: {args}"))
    return tmp_path / "hub"


def add_snapshot(cache: Path, commit: str, names, links: bool = False, refs=()) -> Path:
    """Put a snapshot of owner/model into a cache, as links into blobs/ or as plain files, with refs to it."""
    repo = cache / "models--owner--model"
    snapshot = repo / "snapshots" / commit
    snapshot.mkdir(parents=True)
    for number, name in enumerate(names):
        place = repo / "blobs" / f"{commit[:4]}{number}" if links else snapshot / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(CONTENTS[name])
        if links:
            (snapshot / name).symlink_to(Path("../../blobs") / place.name)
    for ref in refs:
        (repo / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (repo / "refs" / ref).write_text(commit)
    return snapshot


def test_a_pointer_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        hub_cache.write_ref(tmp_path / "refs" / "main", NEW)
    assert os.listdir(tmp_path / "refs") == []


def test_bundled_model_is_found_from_anywhere(tmp_path, monkeypatch, cache):
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert hub.find("digits") == DIGITS
    assert hub.find("./digits").resolve() == hub.find(Path("digits")).resolve() == tmp_path / "digits"


def test_a_folder_is_taken_as_it_is(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub.find("owner/model") == Path("owner/model")
    assert hub.find("~/owner") == hub.find(tmp_path / "owner") == tmp_path / "owner"
    assert hub.find(tmp_path, "main") == tmp_path
    for other in ("v1", "", 7):
        with pytest.raises(OptionError, match=f"revision {other!r} was given for the folder"):
            hub.find(tmp_path, other)


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("weights", sharded.WEIGHTS)
def test_cached_snapshot(cache, links, weights):
    snapshot = add_snapshot(cache, NEW, [*hub_cache.NEEDED, weights], links, refs=["main"])
    assert hub.find(ID) == hub.find(ID, "main", download=False) == hub.find(ID, NEW) == snapshot
    assert (snapshot / weights).read_bytes() == CONTENTS[weights]


@pytest.mark.parametrize("lost", [*hub_cache.NEEDED, "pytorch_model.bin"])
def test_incomplete_snapshot_does_not_count(cache, lost):
    snapshot = add_snapshot(cache, NEW, [*hub_cache.NEEDED, "pytorch_model.bin"], links=True, refs=["main"])
    (snapshot / lost).resolve().unlink()  # the link stays and leads nowhere
    with pytest.raises(HubError, match=rf"lacks .*{lost}.*`s2t-np download owner/model`"):
        hub.find(ID, download=False)


def test_revisions(cache):
    new = add_snapshot(cache, NEW, CONTENTS, refs=["main", "v1.0", "refs/pr/1", "feature/x"])
    old = add_snapshot(cache, OLD, CONTENTS, refs=["cafe"])
    assert {hub.find(ID, r) for r in (None, "main", "v1.0", "refs/pr/1", "feature/x", NEW, "aaaa", NEW[:39])} == {new}
    assert {hub.find(ID, r) for r in ("cafe", OLD, "b1b1b")} == {old}
    add_snapshot(cache, LIKE_OLD, CONTENTS)
    with pytest.raises(HubError, match="b1b1 is the start of several commits"):
        hub.find(ID, "b1b1")
    for unknown in ("dev", "c" * 40, "dddd", "aaa", NEW.upper()):
        with pytest.raises(HubError, match=rf"revision {unknown} is not in the local cache"):
            hub.find(ID, unknown, download=False)


@pytest.mark.parametrize("text", [b"", b"main", b"../elsewhere", b"\xff\xfe", b"a" * 39, b"a" * 41, NEW[:20].encode()])
def test_damaged_ref_does_not_count(cache, text):
    snapshot = add_snapshot(cache, NEW, CONTENTS, refs=["main"])
    shutil.copytree(snapshot, cache / "models--owner--model" / "elsewhere")
    (cache / "models--owner--model" / "refs" / "main").write_bytes(text)
    with pytest.raises(HubError, match="not in the local cache"):
        hub.find(ID, download=False)


@pytest.mark.parametrize(
    "name",
    [
        *"nosuchfolder digits/ ../x /no/such a/b/c owner/ /model a--b/c a/b--c a..b/c owner/.hidden -a/b a/b.".split(
            " "
        ),
        *"a/b.git a\\b ownér/model a/b\n hf://a/b https://huggingface.co/a/b a/b@main a:b/c a\0/b".split(" "),
        *("my model/x", f"{'a' * 97}/b", "x" * 100_000),
    ],
)
def test_malformed_names(cache, name):
    with pytest.raises(HubError) as caught:
        hub.find(name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    with pytest.raises(HubError, match="not a hub id"):
        hub.download(name)


@pytest.mark.parametrize(
    "revision", ["", "..", "../main", "a/../b", "/main", "main/", "a//b", "a b", "a\\b", "a:b", "x\n", 7]
)
def test_malformed_revisions(cache, revision):
    add_snapshot(cache, NEW, CONTENTS, refs=["main"])
    for ask in (hub.find, hub.download):
        with pytest.raises(HubError, match="is not a branch, tag or commit"):
            ask(ID, revision)


@pytest.mark.parametrize("name", [None, 3, "", b"owner/model", ["a"]])
def test_names_of_another_type(cache, name):
    with pytest.raises(OptionError, match="expected a folder, 'digits', or a hub id"):
        hub.find(name)


def test_bundled_and_folders_are_not_downloaded(cache, tmp_path):
    for name in ("digits", str(tmp_path), tmp_path):
        with pytest.raises(HubError, match="not a hub id"):
            hub.download(name)


def test_a_snapshot_without_refs_serves_offline(cache, monkeypatch):
    snapshot = add_snapshot(cache, NEW, CONTENTS)
    with pytest.raises(pytest.fail.Exception, match="asked the network"):
        hub.find(ID)  # the hub may have another commit under main
    with pytest.warns(InputWarning, match=f"no refs/main; its only snapshot is used, .*{NEW}"):
        assert hub.find(ID, download=False) == snapshot
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.warns(InputWarning):
        assert hub.find(ID, "main") == snapshot
    with pytest.raises(HubError, match="revision v1 is not in the local cache"):
        hub.find(ID, "v1")
    (snapshot / "vocab.json").unlink()
    with pytest.raises(HubError, match="not in the local cache"):
        hub.find(ID)


@pytest.mark.parametrize("other", ["a second snapshot", "a ref to another revision"])
def test_no_snapshot_is_guessed(cache, other):
    add_snapshot(cache, NEW, CONTENTS, refs=["v1"] if "ref" in other else [])
    if "snapshot" in other:
        add_snapshot(cache, OLD, CONTENTS)
    with pytest.raises(HubError, match="not in the local cache"):
        hub.find(ID, download=False)


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_offline(cache, monkeypatch, variable):
    monkeypatch.setenv(variable, "yes")
    for ask in (hub.find, hub.download):
        with pytest.raises(HubError, match=r"owner/model is not in the local cache .* HF_HUB_OFFLINE .* is set"):
            ask(ID)
    snapshot = add_snapshot(cache, NEW, CONTENTS, refs=["main"])
    assert hub.find(ID) == snapshot


def test_without_huggingface_hub(cache, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setenv("HF_HUB_CACHE", str(cache))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        HubError, match=r"pip install huggingface_hub, or give the folder .* model.safetensors"
    ) as caught:
        hub.find(ID)
    assert "\n" not in str(caught.value)
    snapshot = add_snapshot(cache, NEW, CONTENTS)
    with pytest.warns(InputWarning, match="only snapshot is used, .*pip install huggingface_hub"):
        assert hub.find(ID) == snapshot


@pytest.mark.parametrize(
    "error, expected",
    [
        (
            OSError(errno.EMFILE, "Too many open files", "/c/refs/main"),
            "/c/refs/main: Too many open files; this is not",
        ),
        (OSError(errno.EIO, "Input/output error"), "hub: Input/output error; this is not the hub's fault"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), None),
    ],
)
def test_a_disk_that_fails_is_not_taken_for_a_hub_without_an_answer(cache, monkeypatch, error, expected):
    """A snapshot without refs stands in for a hub that gives no answer, not for files that could not be compared."""
    snapshot = add_snapshot(cache, NEW, CONTENTS)

    def failing(*_):
        raise RuntimeError("what a client makes of it") from error

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(hub, "fetch", hub_download.fetch)
    monkeypatch.setattr(hub_download, "import_hub", lambda source: None)
    monkeypatch.setattr(hub_download, "bars", lambda *_: nullcontext())
    monkeypatch.setattr(hub_download, "fetch_files", failing)
    if expected is None:
        with pytest.warns(InputWarning, match="only snapshot is used"):
            assert hub.find(ID) == snapshot
        return
    with pytest.raises(HubError, match=re.escape(expected)):
        hub.find(ID)


def test_a_message_never_shows_a_token():
    token = "hf_" + "Ab1" * 12
    for text in (f"Illegal header value b'Bearer {token}\\nx'", f"cannot send {token}", "Bearer something-else"):
        line = hub_download.explain(OSError(text), hub.hub_source(ID))
        assert "(token)" in line and "Ab1" not in line and "something" not in line


ENVIRONMENTS = [
    {},
    {"HF_HOME": "/h"},
    {"XDG_CACHE_HOME": "/x"},
    {"XDG_CACHE_HOME": "~/x"},
    {"HF_HOME": "~/h", "XDG_CACHE_HOME": "/x"},
    {"HF_HOME": "$BASE/h"},
    {"HUGGINGFACE_HUB_CACHE": "/legacy"},
    {"HUGGINGFACE_HUB_CACHE": "~/legacy", "HF_HOME": "/h"},
    {"HF_HUB_CACHE": "/c", "HUGGINGFACE_HUB_CACHE": "/legacy", "HF_HOME": "/h", "XDG_CACHE_HOME": "/x"},
    {"HF_HUB_CACHE": "~/${BASE}/c"},
    {"HF_HUB_CACHE": "relative"},
    {"HF_HUB_CACHE": ""},
    {"HF_HOME": ""},
    *({"HF_HUB_OFFLINE": value} for value in ("1", "ON", "yes", "True", "0", "off", "2", "")),
    {"TRANSFORMERS_OFFLINE": "1"},
    {"TRANSFORMERS_OFFLINE": "1", "HF_HUB_OFFLINE": "0"},
    {"TRANSFORMERS_OFFLINE": "true", "HF_HUB_OFFLINE": ""},
]


@needs_client
@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
def test_environment_is_read_as_upstream_reads_it(cache, monkeypatch, environment):
    monkeypatch.delenv("HF_HUB_CACHE")
    for name, value in ({"HOME": "/home/somebody", "BASE": "base"} | environment).items():
        monkeypatch.setenv(name, value)
    upstream = runpy.run_path(str(Path(CLIENT.submodule_search_locations[0]) / "constants.py"))
    assert default_cache() == Path(upstream["HF_HUB_CACHE"]).absolute()
    assert hub_download.offline() == upstream["HF_HUB_OFFLINE"]


@needs_client
def test_ids_are_those_upstream_takes():
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    for name in (
        "a/b",
        "A_1/b.c-d",
        "_a/b_",
        "a/b.git",
        "a--b/c",
        "a/b-",
        "a-/b",
        "a/b.",
        "1/2",
        "a/" + "b" * 97,
    ):
        try:
            validate_repo_id(name)
            taken = True
        except HFValidationError:
            taken = False
        assert bool(hub.ID.fullmatch(name)) == taken, name
