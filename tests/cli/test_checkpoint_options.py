"""A checkpoint's generation_config.json is obeyed on every path: Python, the classes, the command, long recordings."""

import json
import shutil

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import InputWarning
from s2t_np.hf import Speech2TextForConditionalGeneration, Speech2TextProcessor
from tests.support.paths import DIGITS

RECORDINGS = DIGITS.parent.parent / "recordings"
TWO, FIVE = RECORDINGS / "two-nine-three-four-zero.flac", RECORDINGS / "five-five.flac"


@pytest.fixture
def asking(tmp_path):
    """A copy of the bundled checkpoint that asks for more: `asking(bad_words_ids=...)` is its folder."""

    def make(**options):
        folder = shutil.copytree(DIGITS, tmp_path / "asking")
        path = folder / "generation_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | options))
        return folder

    return make


def nine() -> int:
    return s2t_np.load("digits").tokenizer.vocab["\u2581nine"]


def ways(folder, run) -> dict[str, str]:
    """The text of one recording by every way through the package."""
    model = s2t_np.load(folder)
    network = Speech2TextForConditionalGeneration.from_pretrained(folder)
    processor = Speech2TextProcessor.from_pretrained(folder)
    inputs = processor(TWO, return_tensors="np")
    given = {"tokenizer": processor} if model.generation_config.stop_strings else {}
    return {
        "transcribe": model.transcribe(TWO).text,
        "stream": " ".join(segment.text for segment in model.stream(TWO)),
        "generate": processor.batch_decode(network.generate(**inputs, **given), skip_special_tokens=True)[0],
        "command": run("transcribe", "--model", folder, TWO)[1].replace("[...]", "").strip(),
    }


ASKED = {
    "bad words": ({"bad_words_ids": [[nine]]}, lambda text: "nine" not in text and "two" in text),
    "bias": ({"sequence_bias": [[[nine], -50.0]]}, lambda text: "nine" not in text and "two" in text),
    "several ends": ({"eos_token_id": [2, nine]}, lambda text: text == "two nine"),
    "strings": ({"stop_strings": ["nine"]}, lambda text: text == "two nine"),
    "no time": ({"max_time": 0.0}, lambda text: text == "two"),
    "decay": ({"exponential_decay_length_penalty": [1, 60.0]}, lambda text: 0 < len(text.split()) < 5),
}


def filled_in(value):
    """The options, with the token that stands for a word."""
    if isinstance(value, list):
        return [filled_in(v) for v in value]
    return value() if callable(value) else value


@pytest.mark.parametrize("case", ASKED)
def test_it_is_obeyed_on_every_way(asking, run, case):
    options, is_right = ASKED[case]
    texts = ways(asking(**{name: filled_in(value) for name, value in options.items()}), run)
    assert {way: text for way, text in texts.items() if not is_right(text)} == {}
    assert len(set(texts.values())) == 1 or case == "no time"


def test_what_cannot_be_obeyed_is_refused_by_every_way(asking, run):
    folder = asking(penalty_alpha=0.6)
    for load in (s2t_np.load, Speech2TextForConditionalGeneration.from_pretrained):
        with pytest.raises(
            s2t_np.ModelError, match=r"generation_config\.json: penalty_alpha is 0\.6, which this search"
        ):
            load(folder)
    code, out, err = run("transcribe", "--model", folder, TWO)
    assert (code, out) == (3, "") and "penalty_alpha is 0.6" in err and "\n" not in err.strip()


def test_a_sampling_option_out_of_range_is_warned_of_once_and_changes_nothing(asking, run):
    folder = asking(temperature=0.0)
    with pytest.warns(InputWarning, match="temperature is 0.0") as caught:
        model = s2t_np.load(folder)
        assert model.transcribe(FIVE).text == "five five"
    assert len([w for w in caught if "temperature" in str(w.message)]) == 1
    code, out, err = run("transcribe", "--model", folder, FIVE)
    assert (code, out) == (0, "five five\n") and err.count("temperature") == 1


def test_saved_options_come_back(asking, tmp_path):
    asked = {"bad_words_ids": [[4, 5]], "sequence_bias": [[[6], -1.5]], "eos_token_id": [2, 9], "stop_strings": ["x"]}
    model = Speech2TextForConditionalGeneration.from_pretrained(asking(**asked))
    model.save_pretrained(tmp_path / "saved")
    again = Speech2TextForConditionalGeneration.from_pretrained(tmp_path / "saved")
    assert again.generation_config == model.generation_config
    saved = json.loads((tmp_path / "saved" / "generation_config.json").read_text())
    assert {name: saved[name] for name in asked} == asked
    assert np.array_equal(again.s2t.generation_config.eos_token_ids, (2, 9))
