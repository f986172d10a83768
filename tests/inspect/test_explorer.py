"""The explorer's page as a text: what is in it, what its numbers mean, and that nothing in it can break out of it."""

import base64
import json
import re
import zlib

import numpy as np
import pytest

import s2t_np
from s2t_np.cli import main
from s2t_np.inspect.explorer import PROGRAM, STAGES, Asked, fill, page, read
from s2t_np.inspect.explorer.carried import BUDGET, carried, columns_of, is_derived
from s2t_np.inspect.explorer.pictures import Pictures, keys_of, quantized
from s2t_np.inspect.explorer.sections import SECTIONS
from s2t_np.inspect.trace import trace
from tests.support.paths import DIGITS

RECORDING = DIGITS.parent.parent / "recordings" / "two-nine-three-four-zero.flac"


@pytest.fixture(scope="module")
def model():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture(scope="module")
def seen(model):
    return trace(model, RECORDING, STAGES, num_beams=3)


@pytest.fixture(scope="module")
def document(seen, model):
    return page(seen, model)


def parts(document: str) -> tuple[dict, bytes]:
    """The data and the block of a page."""
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', document, re.S)
    block = re.search(r'<script type="text/plain" id="block">(.*?)</script>', document, re.S)
    return json.loads(data[1]), zlib.decompress(base64.b64decode(block[1]))


def numbers(entry: dict, block: bytes) -> np.ndarray:
    """A picture's values, as the page computes them."""
    count = int(np.prod(entry["shape"]))
    if entry["bytes"] == 4:
        planes = np.frombuffer(block, np.uint8, 4 * count, entry["offset"]).reshape(4, count)
        return np.ascontiguousarray(planes.T).view("<f4").reshape(entry["shape"])
    kind = np.uint8 if entry["bytes"] == 1 else np.dtype("<u2")
    integers = np.frombuffer(block, kind, count, entry["offset"]).reshape(entry["shape"])
    return entry["low"] + entry["step"] * integers


def test_every_array_of_a_short_recording_is_carried_exactly(model, seen):
    data, block = parts(page(seen, model, Asked("", False, True)))  # without the weights, which take some of the room
    stages = {key: entry for key, entry in data["arrays"].items() if ":" not in key}
    assert {key.split("/")[0] for key in stages} | {name for name in seen if is_derived(name)} == set(seen)
    for key, entry in stages.items():
        stage, *place = key.split("/")
        array = np.atleast_2d(seen[stage][tuple(map(int, place))]).astype(np.float32)
        np.testing.assert_array_equal(numbers(entry, block), array, key)


def test_gains_and_offsets_of_the_normalisations_are_carried(document, model):
    data, block = parts(document)
    norm = model.weights.encoder.layers[2].final_layer_norm
    entry = data["arrays"]["weight:encoder.layers.2.final_layer_norm.weight"]
    np.testing.assert_array_equal(numbers(entry, block)[0], norm.weight)


def test_a_budget_keeps_the_pictures_and_chooses_what_is_exact(seen):
    drawn = ["features.cmvn", "encoder.layers.0.output"]
    seen = {name: seen[name] for name in (*drawn, "encoder.layers.0.fc1")}
    least = sum(seen[name].size for name in drawn)
    assert carried(seen, drawn, 0) == dict.fromkeys(drawn, 1)
    some = carried(seen, drawn, least + 3 * seen["features.cmvn"].size + seen["encoder.layers.0.output"].size)
    assert some == {"features.cmvn": 4, "encoder.layers.0.output": 2}
    everything = carried(seen, drawn, BUDGET)
    assert set(everything.values()) == {4} and not any(map(is_derived, everything))


def test_steps_hold_an_array_within_half_a_step(seen):
    pictures, array = Pictures(), seen["features.cmvn"]
    for width in (1, 2):
        pictures.index.clear()
        entry = pictures.index[pictures.add("x", array, width)[0]]
        error = np.abs(numbers(entry, b"".join(pictures.parts)) - array).max()
        assert error <= 0.5001 * entry["step"]


def test_of_a_large_vocabulary_only_the_shown_pieces_are_carried():
    assert columns_of(np.zeros((2, 30)), {1}) is None
    assert columns_of(np.zeros((2, 10000)), [7, 1, 7]).tolist() == [1, 7]


def test_every_stage_of_the_model_has_its_section(document, seen):
    data, _ = parts(document)
    told = {stage["name"]: stage for section in data["sections"] for stage in section["stages"]}
    assert set(seen) == told.keys()
    for name, stage in told.items():
        assert tuple(stage["shape"]) == seen[name].shape
    assert all(section["sources"] for section in data["sections"])
    glu = next(s for section in data["sections"] for s in section["sources"] if s["name"] == "ops.glu")
    assert "def glu(" in glu["source"]


def test_tokens_alternatives_and_tree_are_the_searchs_own(document, seen, model):
    data, _ = parts(document)
    best = seen.transcript.hypotheses[0]
    assert [token["id"] for token in data["tokens"]] == list(best.generated)
    np.testing.assert_allclose([t["probability"] for t in data["tokens"]], np.exp(best.token_log_probs), rtol=1e-5)
    for options, token in zip(data["alternatives"], best.generated, strict=True):
        assert [o["id"] for o in options if o["chosen"]] == [token]
        assert options[0]["probability"] == max(o["probability"] for o in options)
    assert sum(map(len, data["tree"]["steps"])) == sum(np.isfinite(c.score) for c in seen.tree.candidates)


def test_the_page_is_alone_and_knows_no_place_of_this_machine(document, model):
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|@import|url\(", document)
    assert str(model.folder.parent) not in document


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", "a & b <i>", "{{BLOCK}}", "\ud800.wav"])
def test_a_strange_name_stays_a_name(name):
    html = fill("<title>{{TITLE}}</title>{{DATA}}|{{BLOCK}}", {"about": {"audio": name}}, "QUJD")
    title, rest = html.split("</title>", 1)
    assert "<script" not in html and title.count("<") == 1
    data, block = rest.rsplit("|", 1)
    assert json.loads(data)["about"]["audio"] == name
    assert block == "QUJD"


def test_quantisation_keeps_ends_and_what_is_not_finite():
    array = np.array([[-2.0, np.nan, 3.0, np.inf, -np.inf]])
    low, step, integers = quantized(array, np.uint8)
    np.testing.assert_allclose(low + step * integers, [[-2, -2, 3, 3, -2]])
    low, step, integers = quantized(np.full((2, 2), 7.0), np.uint16)
    assert (low + step * integers == 7).all()
    assert quantized(np.full((1, 1), np.nan), np.uint8)[0] == 0


def test_axes_get_keys_and_even_places():
    pictures = Pictures()
    assert pictures.add("a", np.zeros((2, 3, 4, 5)), 1) == [f"a/{i}/{j}" for i in range(2) for j in range(3)]
    assert pictures.add("b", np.zeros(7), 1) == ["b"]
    assert pictures.add("c", np.zeros((3, 1))) == ["c"] == keys_of("c", (3, 1))
    assert keys_of("a", (2, 3, 4, 5)) == [f"a/{i}/{j}" for i in range(2) for j in range(3)]
    assert all(entry["offset"] % 2 == 0 for entry in pictures.index.values())


def test_every_view_has_a_function_that_draws_it():
    program = "".join(map(read, PROGRAM))
    kinds = {view.kind for section in SECTIONS for view in section.views}
    assert all(f"  {kind}(view, holder) {{" in program for kind in kinds)


def test_the_command_writes_it(tmp_path, capsys):
    target = tmp_path / "page.html"
    assert main(["trace", "--model", "digits", str(RECORDING), "--html", str(target), "--beams", "1"]) == 0
    out, err = capsys.readouterr()
    assert out == "two nine three four zero\n"
    assert f"{target}: " in err
    assert parts(target.read_text())[0]["tree"]["kind"] == "greedy"
    assert main(["trace", "--model", "digits", str(RECORDING), "--html", str(target), "--stages", "x"]) == 2
    assert main(["trace", "--model", "digits", str(RECORDING), "--html", str(tmp_path / "no" / "page.html")]) != 0
    assert "Traceback" not in capsys.readouterr().err
