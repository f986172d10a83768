"""Vocabularies of characters and of pieces are told apart."""

import pytest

from s2t_np.tokenizer import Tokenizer
from tests.support.paths import DIGITS
from tests.support.small_tokenizers import write_folder


@pytest.mark.parametrize(("kind", "expected"), [("char", 4), ("unigram", 1), ("bpe", 1), ("multilingual", 1)])
def test_a_vocabulary_of_single_characters_is_known_as_one(tmp_path, kind, expected):
    assert Tokenizer.from_folder(write_folder(tmp_path / kind, kind)).granularity == expected


def test_the_bundled_model_has_words():
    assert Tokenizer.from_folder(DIGITS).granularity == 1
