"""Addresses as inputs of `transcribe`: named, listed, resumed."""

import pytest

from s2t_np.audio import remote
from tests.support.loopback_files import LoopbackFiles
from tests.support.paths import RECORDINGS

pytest.importorskip("soundfile")
fsspec = pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")

FIVE = (RECORDINGS / "five-five.flac").read_bytes()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "PAUSES", (0.01,))
    fsspec.filesystem("http").clear_instance_cache()
    with LoopbackFiles(five__flac=FIVE, other__flac=FIVE) as server:
        yield server


def test_one_address_is_printed_like_one_file(run, server):
    code, out, err = run("transcribe", "--model", "digits", f"{server.url}/five.flac?token=a*b")
    assert (code, out, err) == (0, "five five\n", "")


def test_several_have_names_of_their_own_and_failures_are_named(run, server, tmp_path):
    addresses = [f"{server.url}/{name}" for name in ("five.flac?x=1", "other.flac", "gone.flac")]
    code, _, err = run("transcribe", "--model", "digits", *addresses, "-o", tmp_path)
    assert code == 1
    assert {path.name for path in tmp_path.glob("*.txt")} == {"five.txt", "other.txt"}
    assert f"{server.url}/gone.flac: cannot be read (there is no such file)" in err


def test_resume_asks_the_server_for_the_version(run, server, tmp_path):
    options = ("transcribe", "--model", "digits", f"{server.url}/five.flac", "-o", tmp_path, "--resume")
    assert run(*options)[0] == 0
    sent = server.sent
    assert "1 of 1 are done already" in run(*options)[2]
    assert server.sent == sent
    server.files["/five.flac"] = (RECORDINGS / "synthetic-one-two-three.flac").read_bytes()
    fsspec.filesystem("http").clear_instance_cache()
    assert run(*options)[0] == 0
    assert (tmp_path / "five.txt").read_text() == "one two three\n"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_connection_that_is_lost_leaves_the_text_before_it_marked(run, server, tmp_path, ranges):
    """The first of two digits has come; the file is shorter than a piece."""
    server.ranges, server.breaks_off = ranges, int(0.75 * len(FIVE))
    code, out, err = run("transcribe", "--model", "digits", f"{server.url}/five.flac", "-o", tmp_path)
    assert (code, out) == (1, "")
    assert f"{server.url}/five.flac: cannot be read" in err and "written and marked as incomplete" in err
    text = (tmp_path / "five.txt").read_text().splitlines()
    assert text[0].startswith("five") and text[1].startswith("[incomplete: cannot be read")


def test_patterns_and_folders(run):
    memory = fsspec.filesystem("memory")
    for name in ("a.flac", "b.flac", "deep/c.flac", "notes.txt"):
        memory.pipe(f"/box/{name}", FIVE)
    code, out, _ = run("transcribe", "--model", "digits", "memory://box/*.flac")
    assert code == 0 and [line.split("\t")[0] for line in out.splitlines()] == [
        "memory:///box/a.flac",
        "memory:///box/b.flac",
    ]
    code, out, _ = run("transcribe", "--model", "digits", "memory://box/")
    assert code == 0 and len(out.splitlines()) == 3
    code, _, err = run("transcribe", "--model", "digits", "memory://empty/*.flac")
    assert code == 1 and "no recording is there" in err
