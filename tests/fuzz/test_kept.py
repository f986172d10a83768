"""Files that once escaped, each small, with the outcome that is right: kept/FORMAT/NAME, and OUTCOMES."""

import hashlib
import json
from pathlib import Path

import pytest

from tools.fuzz import seeds
from tools.fuzz.formats import FORMATS
from tools.fuzz.judge import judge
from tools.fuzz.seeds import RESULT

KEPT = Path(__file__).parent / "kept"
OUTCOMES = {  # the kind of verdict (without the other reader: "read"), and what the message says
    "features/bad-type.npy": ("refused", "is not an array"),  # numpy raises SyntaxError, which was not caught
    "mpeg/damaged-first-frame.mpeg": ("equal", ""),  # half of it was gone without a word
    "mpeg/junk-after-first-frame.mpeg": ("equal", ""),
    "safetensors/half-a-surrogate-pair.safetensors": ("refused", "surrogate"),  # was read, which safetensors refuses
    "torch-legacy/unknown-device.bin": ("laxer", ""),  # the numbers are all that counts; torch wants to put them there
    "torch-zip/unknown-device.bin": ("laxer", ""),
    "torch-zip/folder-attribute.bin": ("laxer", ""),  # of the system that made it, which no reader needs
    "torch-zip/folder-attribute-of-numbers.bin": ("laxer", ""),  # torch gives what its memory held before
}


@pytest.mark.parametrize("name", OUTCOMES)
def test_outcome(name, tmp_path):
    kind = FORMATS[name.split("/", 1)[0]]
    kind.prepare(tmp_path)
    path = tmp_path / Path(name).name
    path.write_bytes((KEPT / name).read_bytes())
    verdict, (expected, words) = judge(path, kind.read, kind.reference), OUTCOMES[name]
    if kind.reference is None and expected in ("equal", "laxer"):
        expected = "read"
    assert verdict.kind == expected and words in verdict.what, verdict


@pytest.mark.parametrize("name", [name for name in OUTCOMES if name.startswith("torch")])
def test_what_torch_refuses_and_is_read_has_its_numbers(name):
    arrays = FORMATS[name.split("/", 1)[0]].read(KEPT / name)
    if name.endswith("of-numbers.bin"):
        assert arrays["num_batches_tracked"] == 7 and arrays["none"].shape == (0, 4)
    else:
        (array,) = arrays.values()
        assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_every_kept_file_has_an_outcome():
    assert {path.relative_to(KEPT).as_posix() for path in KEPT.rglob("*.*")} == set(OUTCOMES)


DEEP = b"[" * 50_000 + b"]" * 50_000
HUGE = b"1" + b"0" * 400
NOTE = {"input": "a.wav", "path": "/a.wav", "with": "x", "end": 16, "result": hashlib.sha256(RESULT).hexdigest()}
RESULTS = [  # line, field, value, what the message says
    (1, "group", ["a"], "not a results file"),
    (1, "id", 3, "not a results file"),
    (1, "duration", "1", "not a results file"),
    (2, "seconds", 10**400, "not a results file"),
    (2, "words", {"hits": 10**400}, "not a results file"),
    (2, "characters", {"hits": -1}, "not a results file"),
    (1, "words", {"hits": True}, "not a results file"),
    (0, "s2t-np evaluate", {"model": [1] * 9000}, "was made with model"),
]
REQUESTS = [  # line, ..., what the answer says
    ("GET /v1/audio/transcriptions", "host: localhost", "405 the method is GET, expected POST"),
    ("DELETE /v1/models", "host: localhost", "405 the method is DELETE, expected GET or HEAD"),
    ("GET *", "host: localhost", "404 there is nothing at this address"),
    ("GET /health", "host: localhost", "origin: http://[", "403 web pages of 'http://[' may not ask"),
]
DOORS = [("host: localhost\norigin: http://[", "403"), ("host: [::1", "403"), ("host: localhost\ncookie: \xe9", "400")]


def npy(shape: str) -> bytes:
    """The header of an array that is not there."""
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head.encode()


def changed(line: int, field: str, value) -> bytes:
    """The file of an evaluation with one value exchanged."""
    lines = seeds.result_lines()["results.jsonl"].splitlines()
    lines[line] = json.dumps(json.loads(lines[line]) | {field: value}).encode()
    return b"\n".join([*lines, b""])


def request(*lines: str) -> bytes:
    """The head of a request."""
    return "\n".join([*lines, "", ""]).encode("latin-1")


LONG_NAME = b"bpe_tokenizer: {bpe: sentencepiece, sentencepiece_model: spm.model}\nvocab_filename: dict" + b"0" * 400
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
    ("fairseq-text", "config.yaml", LONG_NAME, "refused", "vocab_filename is"),
    ("features", "features.npy", b"\x93NUMPY\1\0\x10\0{'shape': (3,80),,", "refused", "is not an array"),
    ("features", "features.npy", npy(f"({2**63}, 80)"), "refused", "is not an array"),
    ("features", "features.npy", npy("(1000000000000000, 80)"), "refused", "is not an array"),
    *(("results", "results.jsonl", changed(*change), "refused", words) for *change, words in RESULTS),
    *(("requests", "models.http", request(*lines), "refused", words) for *lines, words in REQUESTS),
    *(("requests", "live.ws", request("WS /v1/live", line), "refused", words) for line, words in DOORS),
]
MADE = [made for made in MADE if made[0] in FORMATS]  # requests need the packages of the server


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
