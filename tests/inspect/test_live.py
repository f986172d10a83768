"""The page's JavaScript against Python in node: the same experiments, the same weights; and what a page carries."""

import base64
import dataclasses
import json
import re
import shutil
import subprocess
import zlib

import numpy as np
import pytest

import s2t_np
from s2t_np.config import GenerationConfig
from s2t_np.inspect.experiments import Experiment, compare, subject
from s2t_np.inspect.explorer import STAGES, page
from s2t_np.inspect.explorer.live import NETWORK_PROGRAM, fragment, page_record, read
from s2t_np.inspect.trace import trace
from s2t_np.search import begin, run
from s2t_np.search.port import next_token
from tests.support.paths import DIGITS, ROOT

RECORDINGS = DIGITS.parent.parent / "recordings"
RECORDING = RECORDINGS / "two-nine-three-four-zero.flac"
NODE = shutil.which("node") or shutil.which("nodejs")
needs_node = pytest.mark.skipif(NODE is None, reason="needs node: runs the page's JavaScript")
DESCRIPTIONS = [
    {},
    {"muted_heads": ["decoder.layers.2.encoder_attn/0"]},
    {"muted_heads": ["encoder.layers.0.self_attn/3", "encoder.layers.5.self_attn/1", "decoder.layers.0.self_attn/2"]},
    {"muted_layers": ["encoder.layers.3"]},
    {"muted_layers": ["decoder.layers.0", "encoder.layers.5"]},
    {"dropped_positions": ["encoder"]},
    {"dropped_positions": ["decoder"]},
    {"masked_bins": [0, 40]},
    {"masked_seconds": [0.505, 1.2], "masked_bins": [70, 80]},
    {"num_beams": 1},
    {"num_beams": 2, "length_penalty": -2.0},
    {"num_beams": 8, "length_penalty": 3.0, "muted_layers": ["encoder.layers.1"]},
    {"num_beams": 3, "length_penalty": 0.0, "dropped_positions": ["decoder"]},
]


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


def in_float16(weights):
    """Weights rounded to float16, computed with in float32: those of the page."""
    if isinstance(weights, np.ndarray):
        return weights.astype(np.float16).astype(np.float32)
    if weights is None:
        return None
    return type(weights)(*map(in_float16, weights)) if hasattr(weights, "_fields") else tuple(map(in_float16, weights))


def in_node(record: dict, block: str, descriptions: list[dict]) -> list[dict]:
    """The comparisons by the page's program."""
    driver = ROOT / "tests" / "inspect" / "live_driver.js"
    program = "\n".join([*map(read, NETWORK_PROGRAM), driver.read_text(encoding="utf-8")])
    told = json.dumps({"record": record, "block": block, "descriptions": descriptions})
    done = subprocess.run([NODE, "-e", program], input=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@needs_node
@pytest.mark.parametrize("name", ["two-nine-three-four-zero.flac", "five-five.flac"])
def test_javascript_gives_pythons_logits_and_texts(model, name):
    seen = trace(model, RECORDINGS / name, ["features.cmvn", "log_probs"])
    found = in_node(*page_record(seen, model), DESCRIPTIONS)
    same = dataclasses.replace(model, weights=in_float16(model.weights))
    before = subject(same, seen["features.cmvn"])
    changes = []
    for description, done in zip(DESCRIPTIONS, found, strict=True):
        expected = compare(before, Experiment.from_json(description))
        np.testing.assert_allclose(
            np.array(done["logits"]).reshape(expected.logits_after.shape), expected.logits_after, rtol=1e-5, atol=1e-4
        )
        record = expected.record()
        assert (done["before"]["text"], done["after"]["text"]) == (record["before"]["text"], record["after"]["text"])
        assert done["after"]["pieces"] == list(record["after"]["pieces"])
        assert done["after"]["score"] == pytest.approx(record["after"]["score"], rel=1e-5, abs=1e-4)
        np.testing.assert_allclose(done["after"]["probabilities"], record["after"]["probabilities"], atol=1e-4)
        for ours, theirs in zip(done["steps"], record["steps"], strict=True):
            assert ours["piece"] == theirs["piece"]
            assert ours["after"] == pytest.approx(theirs["after"], rel=1e-5, abs=1e-4)
            assert ours["change"] == pytest.approx(theirs["change"], rel=1e-5, abs=1e-4)
        assert done["largest_change"] == pytest.approx(record["largest_change"], rel=1e-5, abs=1e-4)
        changes.append(record["largest_change"])
    assert changes[0] == 0 and min(changes[1:9]) > 0.05  # the experiments do something


@needs_node
def test_the_page_is_near_the_model_as_loaded(model):
    seen = trace(model, RECORDING, ["features.cmvn", "log_probs", "lm_head"])
    (done,) = in_node(*page_record(seen, model), [{}])
    assert done["before"]["text"] == "two nine three four zero"
    assert np.abs(np.array(done["logits"]) - seen["lm_head"].ravel()).max() < 5e-3


TABLE_DECODER = """
/* A decoder whose logits are a row of a table, chosen by the tokens so far. */
const { table, cases } = JSON.parse(require("fs").readFileSync(0, "utf8"));
decoder.startCache = (model, memory, beams) => ({ rows: Array.from({ length: beams }, () => []) });
decoder.reorder = (cache, parents) => { cache.rows = parents.map((parent) => [...cache.rows[parent]]); };
decoder.step = (model, tokens, cache) => {
  const logits = tokens.map((token, k) => {
    cache.rows[k].push(token);
    return table[cache.rows[k].reduce((sum, t, i) => sum + (i + 1) * (t + 1), 0) % table.length];
  });
  return matrix(tokens.length, table[0].length, Float32Array.from(logits.flat()));
};
console.log(JSON.stringify(cases.map((options) => search.run(null, null, options))));
"""


class TableCache:
    def __init__(self, table, beams):
        self.table, self.rows = table, [[] for _ in range(beams)]

    def reorder(self, parents):
        self.rows = [list(self.rows[parent]) for parent in parents]

    def step(self, tokens, cache):
        for row, token in zip(cache.rows, tokens.tolist(), strict=True):
            row.append(token)
        places = [sum((i + 1) * (t + 1) for i, t in enumerate(row)) % len(self.table) for row in cache.rows]
        return next_token(self.table[places])


@needs_node
def test_the_search_is_pythons_whatever_the_decoder_says():
    rng = np.random.default_rng(5)
    table = rng.normal(0, 1.5, (61, 7)).astype(np.float32)
    table[:, 2] += 0.5  # EOS is likely, and texts of all lengths compete
    fixed = {"max_length": 9, "eos_token_id": 2, "decoder_start_token_id": 2, "pad_token_id": 1}
    cases = [
        fixed | {"num_beams": beams, "early_stopping": rule, "length_penalty": power, "decoder_start_token_id": start}
        for beams in (1, 2, 3, 5)
        for rule in (True, False, "never")
        for power in (-1.0, 0.0, 1.0, 2.5)
        for start in (0, 2, 4)
    ]
    program = "\n".join([*map(read, NETWORK_PROGRAM), TABLE_DECODER])
    told = json.dumps({"table": table.tolist(), "cases": cases})
    done = subprocess.run([NODE, "-e", program], input=told, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lengths = set()
    for options, found in zip(cases, json.loads(done.stdout), strict=True):
        begun = begin(lambda beams: TableCache(table, beams), GenerationConfig(**options), [])
        best = run(begun, lambda tokens, cache: cache.step(tokens, cache))[0]
        assert found["tokens"] == list(best.tokens), options
        assert found["score"] == pytest.approx(best.score, rel=1e-5)
        np.testing.assert_allclose(found["logProbs"], best.token_log_probs, rtol=1e-5)
        lengths.add(len(best.tokens))
    assert len(lengths) > 3


def parts(document: str) -> tuple[dict, str]:
    """Description and block of the experiments in a page."""
    data = re.search(r'<script type="application/json" id="live-data">(.*?)</script>', document, re.S)
    block = re.search(r'<script type="text/plain" id="live-block">(.*?)</script>', document, re.S)
    return json.loads(data[1]), block[1]


def test_a_page_of_digits_carries_its_weights_and_stays_below_10_mb(model):
    longest = RECORDINGS / "synthetic-nine-eight-seven-six-five.flac"
    document = page(trace(model, longest, STAGES), model)
    record, block = parts(document)
    assert record["kind"] == "page" and len(document) < 10e6
    halves = np.frombuffer(zlib.decompress(base64.b64decode(block)), np.uint8).reshape(2, -1)
    numbers = (halves[0].astype(np.uint16) << 8 | halves[1]).view(np.float16)
    entry = record["tensors"]["decoder.layers.1.fc2.weight"]
    at, weight = entry["offset"], model.weights.decoder.layers[1].fc2.weight
    np.testing.assert_array_equal(numbers[at : at + weight.size].reshape(entry["shape"]), weight.astype(np.float16))
    assert record["tensors"]["lm_head.weight"] == record["tensors"]["decoder.embed_tokens.weight"]  # there once


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"repetition_penalty": 1.5}, "repetition_penalty"),
        ({"prefix": [4]}, "a prefix"),
        ({"min_length": 3}, "min_length"),
    ],
)
def test_a_search_that_the_page_does_not_know_is_not_pretended(model, options, reason):
    record, block = parts(fragment(trace(model, RECORDING, ["features.cmvn", "log_probs"], **options), model))
    assert record["kind"] == "none" and reason in record["why"] and block == ""


def test_a_large_model_is_not_packed_into_a_page(model, monkeypatch):
    monkeypatch.setattr("s2t_np.inspect.explorer.live.MOST_WEIGHTS", 1000)
    record, block = parts(fragment(trace(model, RECORDING, ["features.cmvn", "log_probs"]), model))
    assert record["kind"] == "none" and "too large" in record["why"] and block == ""


def test_a_served_page_asks_the_server(model):
    record, block = parts(fragment(trace(model, RECORDING, ["features.cmvn", "log_probs"]), model, asking=True))
    assert (record["kind"], block) == ("server", "")
    assert (record["encoder_layers"], record["decoder_heads"], record["num_beams"]) == (6, 4, 5)
