"""The options of the search on the command line: they reach the search, and give the beginning of a transcript."""

import dataclasses
from types import SimpleNamespace

import pytest

from s2t_np import cli
from s2t_np.config import GenerationConfig
from s2t_np.errors import InputWarning, OptionError
from tests.support.paths import DIGITS

RECORDINGS = DIGITS.parent.parent / "recordings"
FIVE, TWO = RECORDINGS / "five-five.flac", RECORDINGS / "two-nine-three-four-zero.flac"


@pytest.fixture
def transcribe(run):
    """Run `transcribe --model digits`; (exit code, stdout, stderr)."""
    return lambda *argv: run("transcribe", "--model", "digits", *argv)


def test_sampling_is_a_matter_of_the_seed(transcribe):
    options = ("--sample", "--temperature", 3, "--top-k", 0, "--top-p", 0.99, "--nbest", 4)
    first, again, other = (transcribe(FIVE, *options, "--seed", seed) for seed in (1, 1, 2))
    assert first[0] == 0
    assert len(first[1].splitlines()) == 4
    assert first[:2] == again[:2]  # stderr may say that kernels are being compiled
    assert first[1] != other[1]


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (("--prefix", "nine"), "nine"),
        (("--prefix-tokens", "4"), "nine"),
        (("--forced-first", "4"), "nine"),
        (("--forced-bos-token-id", "4"), "nine"),
    ],
)
def test_the_beginning_can_be_given(transcribe, option, text):
    code, out, _ = transcribe(FIVE, *option)
    assert code == 0
    assert out.startswith(text)


def test_options_reach_the_search(transcribe):
    assert transcribe(TWO, "--max-length", 3)[1] == "two nine [...]\n"
    assert transcribe(TWO, "--max-new-tokens", 1)[1] == "two [...]\n"
    assert "five" not in transcribe(FIVE, "--suppress-tokens", "5")[1]
    assert transcribe(FIVE, "--no-repeat-ngram-size", 1)[1].split().count("five") <= 1
    assert len(transcribe(FIVE, "--min-length", 8, "--beams", 1)[1].split()) > 2


def test_every_generation_option_is_named_after_its_field():
    fields = {f.name for f in dataclasses.fields(GenerationConfig)}
    named = {cli.generation.field_name(flags) for flags, *_ in cli.generation.GENERATION_OPTIONS}
    left_to_the_checkpoint = {"eos_token_id", "pad_token_id", "decoder_start_token_id"}
    left_to_the_checkpoint |= {"sequence_bias", "remove_invalid_values", "renormalize_logits"}
    assert named | {"do_sample", "hotwords"} == fields - left_to_the_checkpoint


def test_the_options_that_end_a_text_early(transcribe):
    assert transcribe(TWO, "--stop-string", "nine")[1] == "two nine [...]\n"
    assert transcribe(TWO, "--stop-string", "xyz", "--stop-string", "e th")[1] == "two nine three [...]\n"
    assert transcribe(TWO, "--max-time", "0")[1] == "two [...]\n"
    assert transcribe(TWO, "--decay", "0,9")[1].split()[0] == "two"
    assert len(transcribe(TWO, "--decay", "1,30")[1].split()) < 5
    assert "nine" not in transcribe(TWO, "--bad-words-ids", "4", "--bad-words-ids", "5,6")[1]


def test_sampling_options_and_sampled_beams(transcribe):
    plain = transcribe(FIVE)[1]
    for option in (("--min-p", 1), ("--typical-p", 1e-6), ("--top-h", 1e-6), ("--epsilon-cutoff", 0.99)):
        assert transcribe(FIVE, "--sample", "--seed", 3, *option)[:2] == (0, plain)
    wild = ("--sample", "--beams", 4, "--nbest", 3, "--temperature", 4, "--top-k", 0, "--seed", 1)
    code, out, _ = transcribe(TWO, *wild)
    assert (code, len(set(out.splitlines()))) == (0, 3)
    assert transcribe(TWO, *wild)[1] == out
    code, _, err = transcribe(TWO, "--min-p", 0.5)
    assert code == 2 and "--min-p has no effect without --sample" in err


def test_the_search_of_fairseq(transcribe):
    assert transcribe(FIVE, "--search", "fairseq", "--lenpen", 0.3, "--unkpen", 1)[:2] == (0, "five five\n")
    code, _, err = transcribe(FIVE, "--search", "bing")
    assert code == 2 and 'search is \'bing\', expected "transformers" or "fairseq"' in err
    code, _, err = transcribe(FIVE, "--search", "fairseq", "--suppress-tokens", "5")
    assert code == 2 and "suppress_tokens" in err


def test_a_prefix_that_the_model_cannot_write_is_told_of(transcribe):
    code, _, err = transcribe(FIVE, "--prefix", "hello")
    assert code == 0
    assert err.startswith("s2t-np: warning: 1 piece of --prefix is not in the model's vocabulary; ")
    assert transcribe(FIVE, "--prefix", "five")[2] == ""


def test_a_language_is_refused_by_a_model_of_one(transcribe):
    code, _, err = transcribe(FIVE, "--lang", "fr")
    assert code == 2
    assert "one language only" in err


def beginning(*argv):
    """How a multilingual model would be made to begin."""
    args = cli.build_parser().parse_args(["transcribe", "x", *argv])
    languages = {"pt": 4, "fr": 5}
    tokenizer = SimpleNamespace(
        any_language="this model writes pt, fr",
        languages=languages,
        language_id=languages.__getitem__,
        encode=lambda *a: [5, 9, 2],
        unk_token_id=3,
    )
    return cli.generation.beginning(args, tokenizer)


def test_a_target_language_is_the_first_token(capsys):
    assert beginning("--lang", "fr") == {"forced_bos_token_id": 5}
    assert beginning("--lang", "<lang:fr>") == {"forced_bos_token_id": 5}
    assert beginning("--lang", "fr", "--prefix", "oui") == {"prefix": [5, 9]}
    assert beginning("--lang", "pt", "--prefix-tokens", "9") == {"prefix": [4, 9]}
    assert beginning("--forced-first", "4") == {}
    assert capsys.readouterr().err == ""
    with pytest.warns(InputWarning, match="this model writes pt, fr"):
        assert beginning() == {}
    with pytest.raises(OptionError, match="--prefix needs --lang"):
        beginning("--prefix", "oui")


def test_fairseq_search_and_its_names(transcribe):
    args = cli.build_parser().parse_args(
        ["transcribe", "x", "--search", "fairseq", "--lenpen", "0.3", "--unkpen", "0.5"]
    )
    expected = {"search": "fairseq", "length_penalty": 0.3, "unk_penalty": 0.5}
    assert cli.generation.generation_options(args) == expected
    assert transcribe(FIVE, "--search", "fairseq")[:2] == (0, "five five\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--search", "espnet"), 'search is \'espnet\', expected "transformers" or "fairseq"'),
        (("--unkpen", "1"), "--unkpen has no effect without --search fairseq"),
        (("--search", "fairseq", "--repetition-penalty", "2"), "which fairseq's search does not have"),
    ],
)
def test_what_a_search_does_not_know(transcribe, options, message):
    code, _, err = transcribe(FIVE, *options)
    assert code == 2 and message in err
