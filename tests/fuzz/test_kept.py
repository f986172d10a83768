"""Files that once escaped, each small, with the outcome that is right: kept/FORMAT/NAME, and OUTCOMES."""

import hashlib
import json
from pathlib import Path

import pytest

from tools.fuzz.formats import FORMATS
from tools.fuzz.judge import judge
from tools.fuzz.seeds import RESULT

KEPT = Path(__file__).parent / "kept"
OUTCOMES = {  # the kind of verdict, and what the message says
    "mpeg/damaged-first-frame.mpeg": ("equal", ""),  # half of it was gone without a word
    "mpeg/junk-after-first-frame.mpeg": ("equal", ""),
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(name, tmp_path):
    kind = FORMATS[name.split("/", 1)[0]]
    kind.prepare(tmp_path)
    path = tmp_path / Path(name).name
    path.write_bytes((KEPT / name).read_bytes())
    verdict = judge(path, kind.read, kind.reference)
    assert verdict.kind == OUTCOMES[name][0] and OUTCOMES[name][1] in verdict.what, verdict


def test_every_kept_file_has_an_outcome():
    assert {path.relative_to(KEPT).as_posix() for path in KEPT.rglob("*.*")} == set(OUTCOMES)


DEEP = b"[" * 50_000 + b"]" * 50_000
HUGE = b"1" + b"0" * 400
NOTE = {"input": "a.wav", "path": "/a.wav", "with": "x", "end": 16, "result": hashlib.sha256(RESULT).hexdigest()}
MADE = [  # too plain to be kept as files: format, name, content, kind, what the message says
    ("journal", ".out.jsonl.s2t-np-done.jsonl", DEEP, "read", ""),
    ("journal", ".s2t-np-done.jsonl", DEEP, "read", ""),
    ("journal", ".out.jsonl.s2t-np-done.jsonl", json.dumps(NOTE | {"end": "16"}).encode(), "refused", "damaged"),
    ("journal", ".out.jsonl.s2t-np-done.jsonl", json.dumps(NOTE | {"end": -1}).encode(), "refused", "damaged"),
    ("journal", ".out.jsonl.s2t-np-done.jsonl", b'{"cut": "0"}', "refused", "damaged"),
    ("journal", ".out.jsonl.s2t-np-done.jsonl", json.dumps(NOTE | {"path": [1]}).encode(), "refused", "damaged"),
    ("manifest", "nemo.json", b'{"audio_filepath": "%s", "text": "a"}' % (b"a" * 5000), "refused", "no such file"),
    ("manifest", "table.csv", b"id,audio,text " + b"x" * 9000 + b"\n1,0.wav,a\n", "refused", "no text"),
    ("manifest", "nemo.json", b'{"audio_filepath": "0.wav", "text": "a", "offset": %s}' % HUGE, "refused", "offset"),
    ("kernels", "cache.kernels", None, "refused", ""),
]


@pytest.mark.parametrize(("name", "file", "data", "kind", "words"), MADE)
def test_outcome_of_what_is_made_here(name, file, data, kind, words, tmp_path):
    FORMATS[name].prepare(tmp_path)
    (tmp_path / file).write_bytes(forged_kernels() if data is None else data)
    verdict = judge(tmp_path / file, FORMATS[name].read, FORMATS[name].reference)
    assert verdict.kind == kind and words in verdict.what, verdict


def forged_kernels() -> bytes:
    """A checksum that fits, and nested brackets where the table of contents should be."""
    from s2t_np_kernels.build.cache import MAGIC

    return MAGIC + hashlib.sha256(DEEP).digest() + DEEP
