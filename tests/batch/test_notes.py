"""What identifies a recording, and everything else that decides a result."""

import builtins
import hashlib
import io
import json
import os
import shutil
from types import SimpleNamespace

import numpy as np

from s2t_np.batch.items import Input
from s2t_np.batch.notes import SAMPLE_BYTES, SAMPLES, identity, is_same, noted, sampled_digest, stamp


def test_a_stamp_changes_with_the_recording(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    first = stamp(Input(str(path), "a"), "me")
    assert stamp(Input(os.path.relpath(path), "a"), "me") == first
    path.write_bytes(b"three")
    second = stamp(Input(str(path), "a"), "me")
    os.utime(path, ns=(1, 1))
    assert len({json.dumps(s) for s in (first, second, stamp(Input(str(path), "a"), "me"))}) == 3


def test_a_recording_that_cannot_be_looked_at_keeps_its_path_and_has_no_state(tmp_path, monkeypatch):
    """Its result is found by its path when it is made again: it is replaced, and not there twice."""
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    monkeypatch.chdir(tmp_path)
    seen = stamp(Input("a.wav", "a"), "me")

    def failing(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", failing)
    unseen = stamp(Input("a.wav", "a"), "me")
    monkeypatch.undo()
    assert unseen == {"input": "a.wav", "path": str(path), "with": "me"}
    assert seen == unseen | {"size": 5, "mtime_ns": path.stat().st_mtime_ns}
    assert not is_same(noted(unseen, None), seen, by_content=False)
    assert not is_same(noted(unseen, None), unseen, by_content=True)
    assert stamp(Input("-", "-"), "me")["path"] == "-"


def test_a_recording_is_the_same_in_another_place(tmp_path):
    old, new = tmp_path / "a.wav", tmp_path / "moved" / "a.wav"
    old.write_bytes(b"sound")
    note = noted(stamp(Input(str(old), "a"), "me"), None)
    new.parent.mkdir()
    shutil.copy2(old, new)
    assert is_same(note, stamp(Input(str(new), "a"), "me"), by_content=False)
    assert not is_same(note, stamp(Input(str(new), "b"), "me"), by_content=False)


def test_by_content_the_time_of_change_does_not_count_and_the_content_does(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"sound")
    note = noted(stamp(Input(str(path), "a"), "me"), None)
    os.utime(path, ns=(1, 1))
    touched = stamp(Input(str(path), "a"), "me")
    assert [is_same(note, touched, by_content) for by_content in (False, True)] == [False, True]
    path.write_bytes(b"SOUND")
    os.utime(path, ns=(touched["mtime_ns"], note["mtime_ns"]))
    other = stamp(Input(str(path), "a"), "me")
    assert [is_same(note, other, by_content) for by_content in (False, True)] == [True, False]


def test_an_identity_changes_with_everything_that_decides_the_text(tmp_path):
    (tmp_path / "model").write_bytes(b"weights")

    def name(version="1", backend="numpy", dtype=np.float32, settings=(("beams", 5),)):
        model = SimpleNamespace(places=(tmp_path,), backend=SimpleNamespace(name=backend), dtype=dtype)
        return identity(model, version, dict(settings))

    assert name() == name()
    others = [name("2"), name(backend="numba"), name(dtype=np.float64), name(settings=[("beams", 4)])]
    (tmp_path / "model").write_bytes(b"WEIGHTS")
    assert len({name(), *others}) == 5


def test_a_model_that_was_downloaded_again_is_the_same(tmp_path):
    (tmp_path / "model").write_bytes(bytes(range(256)) * 4096)
    model = SimpleNamespace(places=(tmp_path,), backend=SimpleNamespace(name="numpy"), dtype=np.float32)
    first = identity(model, "1", {})
    os.utime(tmp_path / "model", ns=(1, 1))
    assert identity(model, "1", {}) == first
    (tmp_path / "model").write_bytes(bytes(range(256)) * 4095 + bytes(256))
    assert identity(model, "1", {}) != first


def test_a_checkpoint_of_fairseq_is_its_file_and_those_beside_it(tmp_path):
    """Other .pt files in the folder belong to other models, and an ensemble is known by all of its own."""
    for file in ("model.pt", "other.pt", "config.yaml"):
        (tmp_path / file).write_bytes(file.encode())

    def name(*files):
        model = SimpleNamespace(
            places=tuple(tmp_path / file for file in files), backend=SimpleNamespace(name="numpy"), dtype=np.float32
        )
        return identity(model, "1", {})

    first, both = name("model.pt"), name("model.pt", "other.pt")
    (tmp_path / "other.pt").write_bytes(b"changed")
    assert name("model.pt") == first and name("model.pt", "other.pt") != both != first
    (tmp_path / "config.yaml").write_bytes(b"changed")
    assert name("model.pt") != first


def test_a_small_file_is_read_once_and_a_large_one_in_parts(tmp_path, monkeypatch):
    reads, path = [], tmp_path / "file"

    class Counted(io.FileIO):
        def read(self, size=-1):
            reads.append(size)
            return super().read(size)

    monkeypatch.setattr(builtins, "open", Counted)
    limit = SAMPLE_BYTES * SAMPLES
    for size in (0, 1, SAMPLE_BYTES + 1, limit):
        data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        path.write_bytes(data)
        reads.clear()
        assert sampled_digest(path) == hashlib.sha256(str(size).encode() + data).hexdigest()
        assert len(reads) == 1
    path.write_bytes(bytes(range(256)) * (limit // 256 + 1))
    reads.clear()
    before = sampled_digest(path)
    assert reads == [SAMPLE_BYTES] * SAMPLES
    with io.FileIO(path, "r+") as file:  # its last byte
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    assert sampled_digest(path) != before
