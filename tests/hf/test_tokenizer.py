"""Text to ids and back."""

import numpy as np
import pytest

from s2t_np.errors import OptionError
from s2t_np.hf import Speech2TextTokenizer
from tests.support.small_tokenizers import write_folder

RATE = 16000
NAMES = {"synthetic-zero-one-four-two": "zero one four two", "five-five": "five five"}


def test_text_and_back(processor):
    assert processor(text="five six").input_ids == [5, 6, 2]
    pair = processor(text=["five six", "nine"], padding=True, return_tensors="np")
    assert pair.input_ids.tolist() == [[5, 6, 2], [4, 2, 1]] and pair.attention_mask.tolist() == [[1, 1, 1], [1, 1, 0]]
    assert processor.batch_decode(pair.input_ids, skip_special_tokens=True) == ["five six", "nine"]
    assert processor.decode([5, 6, 2]) == "five six</s>"
    tokenizer = processor.tokenizer
    assert tokenizer.convert_ids_to_tokens([5, 2], skip_special_tokens=True) == ["▁five"]
    assert tokenizer.convert_tokens_to_ids(["▁five", "qqq"]) == [5, 3] and tokenizer.get_vocab()["▁five"] == 5
    assert tokenizer.encode("one two three", truncation=True, max_length=2) == [10, 2]


def test_case_and_language_may_be_set(tmp_path):
    folder = write_folder(tmp_path / "multilingual", "multilingual")
    tokenizer = Speech2TextTokenizer.from_pretrained(folder, tgt_lang="de", do_upper_case=True)
    before = tokenizer.encode("ba be")
    assert before[0] == tokenizer.lang_code_to_id["de"] and tokenizer.decode(before[1:-1]) == "BA BE"
    tokenizer.tgt_lang, tokenizer.do_upper_case = "fr", False
    assert tokenizer.encode("ba be") == [tokenizer.lang_code_to_id["fr"], *before[1:]]
    tokenizer.save_pretrained(tmp_path / "saved")
    again = Speech2TextTokenizer.from_pretrained(tmp_path / "saved")
    assert again.tgt_lang == "fr" and again.encode("ba be") == tokenizer.encode("ba be")
    with pytest.raises(OptionError, match="'xx' is not known; this model has pt, fr"):
        tokenizer.tgt_lang = "xx"


def test_settings_that_have_no_field_survive_a_change(tmp_path):
    tokenizer = Speech2TextTokenizer.from_pretrained(write_folder(tmp_path / "tidy", "tidy"))
    ids = tokenizer.encode("ba , be", add_special_tokens=False)
    tokenizer.do_upper_case = True
    assert tokenizer.decode(ids) == "BA, BE"
    tokenizer.save_pretrained(tmp_path / "saved")
    assert Speech2TextTokenizer.from_pretrained(tmp_path / "saved").decode(ids) == "BA, BE"


# ids of the bundled vocabulary: 2 </s>, 1 <pad>, 4 nine, 5 five, 6 six, 8 two, 9 three, 10 one


def test_labels_by_their_own_argument(processor):
    tokenizer = processor.tokenizer
    assert tokenizer(text_target="five six").input_ids == [5, 6, 2]
    both = tokenizer("nine", text_target=["five six", "nine"], max_target_length=2, truncation=True)
    assert both == {"input_ids": [4, 2], "attention_mask": [1, 1], "labels": [[5, 2], [4, 2]]}


def test_lengths_of_text(processor):
    t = processor.tokenizer
    assert t.encode("five six nine", padding="max_length", max_length=6) == [5, 6, 4, 2, 1, 1]
    assert t.encode("five six nine", max_length=3) == [5, 6, 2]  # upstream: a length by itself asks for truncation
    assert t.encode("five six nine", truncation=True) == [5, 6, 4, 2]  # the model has no length of its own
    assert t.encode("five six nine", truncation="longest_first", max_length=3) == [5, 6, 2]
    assert t.encode("five six nine", truncation="do_not_truncate", max_length=3) == [5, 6, 4, 2]
    assert t.encode("five", padding="max_length") == [5, 2]
    assert t.encode("five", return_tensors="np").tolist() == [[5, 2]]
    assert t("five six", return_length=True, return_attention_mask=False) == {"input_ids": [5, 6, 2], "length": 3}
    mask = t(["five six", "nine"], padding=True, return_special_tokens_mask=True)
    assert mask["special_tokens_mask"] == [[0, 0, 1], [0, 1, 1]] and mask["attention_mask"] == [[1, 1, 1], [1, 1, 0]]


def test_the_models_own_length(tmp_path, processor):
    processor.tokenizer.save_pretrained(tmp_path)
    t = Speech2TextTokenizer.from_pretrained(tmp_path, model_max_length=3)
    assert t.model_max_length == 3 and t.encode("five six nine", truncation=True) == [5, 6, 2]
    assert t.encode("five", padding="max_length") == [5, 2, 1]
    t.save_pretrained(tmp_path)
    assert Speech2TextTokenizer.from_pretrained(tmp_path).model_max_length == 3


def test_sides(tmp_path, processor):
    processor.tokenizer.save_pretrained(tmp_path)
    t = Speech2TextTokenizer.from_pretrained(tmp_path, padding_side="left", truncation_side="left")
    padded = t(["five six", "nine"], padding=True)
    assert padded.input_ids == [[5, 6, 2], [1, 4, 2]] and padded.attention_mask == [[1, 1, 1], [0, 1, 1]]
    assert t.encode("five six nine", truncation=True, max_length=3) == [6, 4, 2]
    assert t.encode("five six nine", truncation=True, max_length=1) == [2]
    assert t("nine", padding="max_length", max_length=3, padding_side="right").input_ids == [4, 2, 1]
    t.padding_side = t.truncation_side = "right"
    assert t("nine", padding="max_length", max_length=3).input_ids == [4, 2, 1]
    assert t.encode("five six nine", truncation=True, max_length=3) == [5, 6, 2]


def test_a_collator_pads_what_was_encoded_one_by_one(processor):
    t = processor.tokenizer
    rows = [t("five six"), t("nine")]
    expected = {"input_ids": [[5, 6, 2], [4, 2, 1]], "attention_mask": [[1, 1, 1], [1, 1, 0]]}
    assert t.pad(rows) == expected
    assert t.pad([{"input_ids": row["input_ids"]} for row in rows]) == expected
    arrays = t.pad([{"input_ids": np.array(row["input_ids"])} for row in rows])
    assert arrays.input_ids.dtype == np.int64 and arrays.input_ids.tolist() == expected["input_ids"]
    assert t.pad(rows, return_tensors="np", pad_to_multiple_of=4).input_ids.shape == (2, 4)
    assert t.pad({"input_ids": [4, 2]}, padding="max_length", max_length=3).input_ids == [4, 2, 1]
    assert t.pad(rows, padding_side="left", return_attention_mask=False)["input_ids"][1] == [1, 4, 2]
    assert t.pad({"input_ids": []})["attention_mask"] == []


def test_pieces_and_text(processor):
    t = processor.tokenizer
    assert t.tokenize("five six</s>nine") == ["▁five", "▁six", "</s>", "▁nine"]
    assert t.convert_tokens_to_string(["▁five", "</s>", "▁six"]) == "five</s> six"
    assert t.convert_tokens_to_string([]) == ""
    assert t.build_inputs_with_special_tokens([5]) == [5, 2] and t.num_special_tokens_to_add() == 1
    assert t.get_special_tokens_mask([5, 6]) == [0, 0, 1]
    assert t.get_special_tokens_mask([5, 2, 1], already_has_special_tokens=True) == [0, 1, 1]
    assert t.special_tokens_map["pad_token"] == "<pad>" and t.is_fast is False


def test_cleaning_up_may_be_asked_for(tmp_path):
    t = Speech2TextTokenizer.from_pretrained(write_folder(tmp_path / "tidy", "tidy"))
    ids = t.encode("ba , be", add_special_tokens=False)
    assert t.decode(ids) == "ba, be" and t.decode(ids, clean_up_tokenization_spaces=False) == "ba , be"
    assert t.batch_decode([ids, ids], False, clean_up_tokenization_spaces=False) == ["ba , be"] * 2
    t.clean_up_tokenization_spaces = False
    assert t.decode(ids) == "ba , be" and t.decode(ids, clean_up_tokenization_spaces=True) == "ba, be"


def test_from_the_two_files(tmp_path, processor):
    vocab, model = processor.tokenizer.save_vocabulary(tmp_path, "my")
    assert [vocab, model] == [str(tmp_path / "my-vocab.json"), str(tmp_path / "my-sentencepiece.bpe.model")]
    t = Speech2TextTokenizer(vocab, model, do_upper_case=True)
    assert t.decode(t.encode("five"), skip_special_tokens=True) == "FIVE"
    t.pad_token = "</s>"
    assert t.pad_token_id == 2 and t(["five six", "nine"], padding=True).input_ids[1] == [4, 2, 2]


def test_a_special_id_can_be_set(processor):
    tokenizer = type(processor.tokenizer).from_pretrained("digits")
    tokenizer.pad_token_id = 4
    assert tokenizer.pad_token == tokenizer.convert_ids_to_tokens(4) == "\u2581nine" and tokenizer.pad_token_id == 4
    with pytest.raises(OptionError):
        tokenizer.pad_token_id = None
    with pytest.raises(OptionError, match="not in the vocabulary"):
        tokenizer.eos_token_id = 10_000
    assert tokenizer.pad_token_type_id == 0
