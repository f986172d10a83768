"""The find_overlap between two transcripts that heard a little of the same."""

from types import SimpleNamespace

import pytest

from s2t_np.longform.merge import find_overlap, merge_overlap
from s2t_np.longform.segment import Segment, Word

TEXT = "the quick brown fox jumps over the lazy dog and runs away into the dark green forest".split()
VOCABULARY = sorted({"▁" + word for word in TEXT} | {"▁for", "est", "▁gr", "een", "▁um"})
TOKENIZER = SimpleNamespace(
    id_to_piece=VOCABULARY,
    granularity=1,
    decode=lambda tokens: "".join(VOCABULARY[t] for t in tokens).replace("▁", " ").strip(),
)


def ids(text):
    return tuple(VOCABULARY.index("▁" + piece if piece[0] != "+" else piece[1:]) for piece in text.split())


def segment(text, start, end, words=False):
    tokens = ids(text)
    spoken = TOKENIZER.decode(tokens)
    times = tuple(Word(w, start, end, 1.0) for w in spoken.split()) if words else None
    return Segment(0, start, end, spoken, tokens, -0.1, 1.0, times)


def begins(token):
    return VOCABULARY[token].startswith("▁")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("quick brown fox jumps over", "brown fox jumps over the lazy", (3, 2)),  # in the middle of the common run
        ("quick brown fox jumps um", "um fox jumps over the lazy", (3, 2)),  # half words on both sides of it
        ("dark gr +een for", "gr +een for +est", (3, 2)),  # never within a word
        ("quick brown fox", "over the lazy dog", None),
        ("quick brown fox", "fox over the lazy", None),  # one token may be chance
        ("", "the lazy", None),
        ("fox dog fox", "dog fox dog over", (2, 1)),  # "dog fox", which both cuts touch, and not "fox dog"
        ("the fox dog fox dog", "fox dog over the", (4, 1)),
        ("over fox dog", "fox dog fox dog over", (2, 1)),
    ],
)
def test_seam(before, after, expected):
    assert find_overlap(ids(before), ids(after), begins) == expected


@pytest.mark.parametrize("last", range(8, 13))
@pytest.mark.parametrize("first", range(4, 7))
def test_every_word_once(first, last):
    before = segment(" ".join([*TEXT[:last], "um"]), 0.0, 10.0, words=True)
    after = segment(" ".join(["um", *TEXT[first:]]), 4.0, 20.0, words=True)
    one, two = merge_overlap(before, after, TOKENIZER)
    assert (one.text + " " + two.text).split() == TEXT
    assert [word.text for word in one.words + two.words] == TEXT
    assert one.end == two.start == 7.0 and one.flags == two.flags == ()
    assert TOKENIZER.decode(one.tokens) == one.text and TOKENIZER.decode(two.tokens) == two.text


def test_words_outside_of_the_overlap_are_not_taken_for_it():
    said = "the lazy dog and runs away into the dark green forest the lazy dog"
    before, after = segment(said, 0.0, 28.0), segment("and runs away into the lazy dog", 26.0, 40.0)
    one, two = merge_overlap(before, after, TOKENIZER)
    assert one.text.startswith("the lazy dog and runs away into") and two.flags == ("cut",)


def test_nothing_in_common_is_said_and_nothing_lost():
    before, after = segment("the quick brown", 0.0, 10.0), segment("over the lazy dog", 8.0, 20.0)
    one, two = merge_overlap(before, after, TOKENIZER)
    assert (one.text, two.text) == ("the quick brown", "over the lazy dog")
    assert one.flags == two.flags == ("cut",) and one.end == two.start == 9.0


def test_two_characters_that_agree_are_chance():
    before, after = tuple(b"quick brown fox"), tuple(b"over the lazy dog")  # "o" and a neighbour would do
    assert find_overlap(before, tuple(b"brow of a hill"), lambda token: token == ord(" ")) is not None
    assert find_overlap(before, tuple(b"brow of a hill"), lambda token: token == ord(" "), 8) is None
    assert find_overlap(before, tuple(b"brown fox") + after, lambda token: token == ord(" "), 8) == (11, 5)
