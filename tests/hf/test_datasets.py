"""The model card's programs on a real datasets.Dataset: rows of samples, an audio column, batches, several processes.

datasets decodes an audio column only with torchcodec, which brings torch; without it a row is {"bytes", "path"}, which
the processor reads itself.
"""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from s2t_np import Speech2TextForConditionalGeneration, Speech2TextProcessor, audio
from s2t_np.evaluation import align, count_errors
from tests.hf.test_model_card import CARD, NAMES, RATE
from tests.support.paths import DIGITS

datasets = pytest.importorskip("datasets", reason="needs datasets: real data sets (extra [datasets])")

FILES = {str(DIGITS.parent.parent / "recordings" / f"{name}.flac"): text.upper() for name, text in NAMES.items()}
EXPECTED = list(FILES.values())


class WordErrorRate:
    """As much of evaluate's metric "wer" as the card uses."""

    @staticmethod
    def compute(predictions, references):
        errors = [count_errors(align(r.split(), p.split())) for r, p in zip(references, predictions, strict=True)]
        return sum(errors[1:], errors[0]).rate


@pytest.fixture
def decoded():
    """Rows with "array" and "sampling_rate", as an audio column that is decoded has them."""
    rows = [{"array": audio.load(file, RATE), "sampling_rate": RATE} for file in FILES]
    return datasets.Dataset.from_dict({"audio": rows, "text": EXPECTED})


@pytest.fixture
def column():
    """An audio column that is not decoded."""
    made = datasets.Dataset.from_dict({"audio": list(FILES), "text": EXPECTED})
    return made.cast_column("audio", datasets.Audio(sampling_rate=RATE, decode=False))


@pytest.fixture(scope="module")
def model():
    return Speech2TextForConditionalGeneration.from_pretrained("digits", backend="numpy")


@pytest.fixture(scope="module")
def processor():
    return Speech2TextProcessor.from_pretrained("digits", do_upper_case=True)


@pytest.mark.filterwarnings("ignore:.*computes on the CPU")
def test_the_cards_program_runs_on_a_real_data_set(decoded, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: decoded)
    monkeypatch.setitem(sys.modules, "evaluate", types.SimpleNamespace(load=lambda name: WordErrorRate))
    names: dict = {}
    exec(CARD.replace("from transformers", "from s2t_np").replace('"pt"', '"np"'), names)
    assert names["transcription"] == ["</s> zero one four two</s>"]
    assert names["result"]["transcription"] == EXPECTED and names["error"] == 0


def transcriber(model, processor):
    """The card's `map_to_pred` for batches of an audio column."""

    def map_to_pred(batch):
        features = processor(batch["audio"], sampling_rate=RATE, padding=True, return_tensors="np")
        tokens = model.generate(features.input_features, attention_mask=features.attention_mask)
        batch["transcription"] = processor.batch_decode(tokens, skip_special_tokens=True)
        return batch

    return map_to_pred


@pytest.mark.slow
@pytest.mark.parametrize("processes", [None, 2])
def test_an_audio_column_in_batches_and_in_several_processes(column, model, processor, processes):
    result = column.map(
        transcriber(model, processor), batched=True, batch_size=2, num_proc=processes, remove_columns=["audio"]
    )
    assert result["transcription"] == EXPECTED == result["text"]


def test_bytes_are_read_where_a_data_set_holds_them(model, processor):
    made = datasets.Dataset.from_dict({"audio": [{"bytes": Path(file).read_bytes(), "path": None} for file in FILES]})
    result = made.map(transcriber(model, processor), batched=True, remove_columns=["audio"])
    assert result["transcription"] == EXPECTED


def test_features_are_prepared_for_a_collator(column, processor):
    def prepare(row):
        return {
            "input_features": processor(row["audio"], sampling_rate=RATE).input_features[0],
            "labels": processor(text=row["text"]).input_ids,
        }

    rows = column.map(prepare, remove_columns=column.column_names)
    batch = processor.feature_extractor.pad([{"input_features": row["input_features"]} for row in rows])
    assert isinstance(rows["labels"], datasets.arrow_dataset.Column)  # a sequence, though not a list
    labels = processor.tokenizer.pad({"input_ids": rows["labels"]}, return_tensors="np")
    assert batch.input_features.shape[:2] == batch.attention_mask.shape
    assert labels.input_ids.shape[0] == len(FILES) and np.array_equal(
        labels.attention_mask.sum(1), [len(x) for x in rows["labels"]]
    )


def test_a_column_is_a_batch(column, processor):
    batch = processor(column["audio"], sampling_rate=RATE, padding=True, return_tensors="np")
    alone = processor(list(column["audio"]), sampling_rate=RATE, padding=True, return_tensors="np")
    assert np.array_equal(batch.input_features, alone.input_features)
    assert processor(text=column["text"]).input_ids == processor(text=EXPECTED).input_ids
