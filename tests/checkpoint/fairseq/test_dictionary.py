"""A dictionary of another model is refused by its content, though its size is right (fairseq 4227: fluent garbage)."""

import random

import pytest

import s2t_np
from s2t_np.errors import ModelError
from tests.support.fairseq_checkpoints import example
from tests.support.small_tokenizers import model, vocabulary


def refused(tmp_path, pieces: list[str], kind: str = "unigram") -> str:
    """The message for a checkpoint whose dictionary holds these pieces instead of its own, as many as before."""
    path = example(kind).write(tmp_path)
    own = (tmp_path / "dict.txt").read_text(encoding="utf-8").splitlines()
    assert len(pieces) == len(own)
    (tmp_path / "dict.txt").write_text("".join(f"{piece} 1\n" for piece in pieces), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        s2t_np.load(path, backend="numpy")
    return str(error.value)


def own_pieces(kind: str) -> list[str]:
    return list(vocabulary(model(kind)))[4:]


@pytest.mark.parametrize("kind", ["unigram", "char"])
def test_a_dictionary_of_another_model_of_the_same_size(tmp_path, kind):
    own = own_pieces(kind)
    others = [f"\u2581foreign{i}" for i in range(len(own))]
    message = refused(tmp_path, others, kind)
    assert "of different models" in message and "\u2581foreign0" in message and repr(own[0]) in message


@pytest.mark.parametrize("kind", ["unigram", "char"])
def test_the_same_pieces_in_another_order(tmp_path, kind):
    pieces = own_pieces(kind)
    random.Random(3).shuffle(pieces)
    assert "of different models" in refused(tmp_path, pieces, kind)


def test_two_pieces_that_changed_places(tmp_path):
    pieces = own_pieces("unigram")
    pieces[50], pieces[51] = pieces[51], pieces[50]
    assert repr(pieces[50]) in refused(tmp_path, pieces)
