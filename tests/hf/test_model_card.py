"""The model card's program, with only the imports and "pt" changed."""

import sys
import types

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import InputWarning
from tests.support.paths import DIGITS

RATE = 16000
NAMES = {"synthetic-zero-one-four-two": "zero one four two", "five-five": "five five"}


CARD = """
from datasets import load_dataset
from evaluate import load
from transformers import Speech2TextForConditionalGeneration, Speech2TextProcessor

ds = load_dataset("recordings", split="test")
model = Speech2TextForConditionalGeneration.from_pretrained("digits")
processor = Speech2TextProcessor.from_pretrained("digits")
input_features = processor(ds[0]["audio"]["array"], sampling_rate=16_000, return_tensors="pt").input_features
generated_ids = model.generate(input_features=input_features)
transcription = processor.batch_decode(generated_ids)

wer = load("wer")
model = Speech2TextForConditionalGeneration.from_pretrained("digits").to("cuda")
processor = Speech2TextProcessor.from_pretrained("digits", do_upper_case=True)

def map_to_pred(batch):
    features = processor(batch["audio"]["array"], sampling_rate=16000, padding=True, return_tensors="pt")
    input_features = features.input_features.to("cuda")
    attention_mask = features.attention_mask.to("cuda")
    gen_tokens = model.generate(input_features=input_features, attention_mask=attention_mask)
    batch["transcription"] = processor.batch_decode(gen_tokens, skip_special_tokens=True)[0]
    return batch

result = ds.map(map_to_pred, remove_columns=["audio"])
error = wer.compute(predictions=result["transcription"], references=result["text"])
"""


class Dataset(list):
    """As much of datasets.Dataset as the card uses."""

    def map(self, function, remove_columns):
        rows = [function(dict(row)) for row in self]
        return {name: [row[name] for row in rows] for name in rows[0] if name not in remove_columns}


def read(name: str) -> np.ndarray:
    return s2t_np.audio.load(DIGITS.parent.parent / "recordings" / f"{name}.flac", RATE)


def test_the_cards_program_runs_with_imports_and_pt_changed(monkeypatch):
    rows = Dataset({"audio": {"array": read(name)}, "text": text.upper()} for name, text in NAMES.items())
    same = types.SimpleNamespace(compute=lambda predictions, references: predictions != references)
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=lambda name, split: rows))
    monkeypatch.setitem(sys.modules, "evaluate", types.SimpleNamespace(load=lambda name: same))
    names: dict = {}
    with pytest.warns(InputWarning, match="computes on the CPU"):
        exec(CARD.replace("from transformers", "from s2t_np").replace('"pt"', '"np"'), names)
    assert names["transcription"] == ["</s> zero one four two</s>"]
    expected = ["ZERO ONE FOUR TWO", "FIVE FIVE"]
    assert names["result"] == {"text": expected, "transcription": expected}
    assert names["error"] is False


def test_the_older_cards_input_ids_are_told_apart():
    """Cards of 2021 pass the features as input_ids, which transformers no longer takes either."""
    model = s2t_np.Speech2TextForConditionalGeneration.from_pretrained("digits", backend="numpy")
    processor = s2t_np.Speech2TextProcessor.from_pretrained("digits")
    features = processor(read("five-five"), sampling_rate=RATE, return_tensors="np").input_features
    with pytest.raises(s2t_np.OptionError, match="input_ids: S2T reads sound: pass the features as input_features"):
        model.generate(input_ids=features)
