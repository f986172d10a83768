"""What public functions are given is checked at the door: anything else than they expect ends in our own error."""

from importlib.util import find_spec

import numpy as np
import pytest

import s2t_np
from s2t_np.errors import AudioError, OptionError
from tests.support.paths import DIGITS

COMPILED = pytest.param("numba", marks=pytest.mark.skipif(find_spec("numba") is None, reason="needs numba"))


@pytest.fixture(scope="module", params=["numpy", COMPILED])
def model(request):
    return s2t_np.load(DIGITS, backend=request.param)


def matrix(rows: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, width)).astype(np.float32)


NOT_MATRICES = {
    "nothing": lambda x: None,
    "a string": lambda x: "abc",
    "bytes": lambda x: b"abc",
    "a number": lambda x: 5,
    "a dictionary": lambda x: {},
    "strings": lambda x: np.full(x.shape, "a"),
    "objects": lambda x: np.full(x.shape, None),
    "a ragged list": lambda x: [[1.0], [1.0, 2.0]],
    "an empty list": lambda x: [],
    "no rows": lambda x: x[:0],
    "one row": lambda x: x[0],
    "three dimensions": lambda x: x[None],
    "a column too few": lambda x: x[:, 1:],
    "a column too many": lambda x: np.concatenate((x, x[:, :1]), axis=1),
    "one column": lambda x: x[:, :1],
    "a thousand columns too many": lambda x: np.tile(x, (1, 9)),
    "the transpose": lambda x: x.T,
    "NaN": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, np.nan, x),
    "infinity": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 7, -np.inf, x),
    "beyond float32": lambda x: x.astype(np.float64) * 1e300,
    "complex numbers": lambda x: x + 0j,
    "truth values": lambda x: x > 0,
}


@pytest.mark.parametrize("wrong", NOT_MATRICES.values(), ids=NOT_MATRICES)
def test_features_and_memory(model, wrong):
    features, memory = wrong(matrix(50, 80)), wrong(matrix(9, model.config.d_model))
    calls = [
        lambda: model.encode(features),
        lambda: model.generate(features, max_length=4),
        lambda: model.generate_from(memory, max_length=4),
        lambda: model.logits(memory, [2, 5]),
        lambda: model.decoder(memory),
    ]
    for call, name in zip(calls, ["features"] * 2 + ["memory"] * 3, strict=True):
        with pytest.raises(OptionError, match=f"^{name}\\b.*(expected|NaN, infinite or beyond float32)"):
            call()


FORMS = {
    "column by column": np.asfortranarray,
    "every other row": lambda x: np.repeat(x, 2, axis=0)[::2],
    "a list": lambda x: x.tolist(),
    "float64": lambda x: x.astype(np.float64),
    "read only": lambda x: np.frombuffer(x.tobytes(), np.float32).reshape(x.shape),
    "other byte order": lambda x: x.astype(">f4"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_same_numbers_in_another_form(model, form):
    features = matrix(50, 80)
    memory = model.encode(features)
    np.testing.assert_array_equal(model.encode(form(features)), memory)
    np.testing.assert_array_equal(model.logits(form(memory), [2, 5]), model.logits(memory, [2, 5]))
    options = {"max_length": 8, "num_beams": 3}
    assert model.generate_from(form(memory), **options) == model.generate_from(memory, **options)


@pytest.mark.parametrize("length", [50.5, 60.0, "60", [60], 49, -1, -(10**50), float("nan"), float("inf")], ids=str)
def test_padded_length(model, length):
    with pytest.raises(OptionError, match=r"padded_length is .* expected a whole number of at least 50"):
        model.encode(matrix(50, 80), length)


@pytest.mark.parametrize("length", [50, np.int32(60), 2**70], ids=str)
def test_a_padded_length_may_be_any_integer_that_is_long_enough(model, length):
    features = matrix(50, 80)
    enough = model.encode(features, min(int(length), 1000))
    np.testing.assert_array_equal(model.encode(features, length), enough)


NOT_IDS = [None, "ab", b"ab", 2, {}, [], [[2]], [None], ["a"], [2.0], [True], [-1], [30], [2**63], [2**64], [-1, 2**63]]


@pytest.mark.parametrize("ids", NOT_IDS, ids=str)
def test_token_ids(model, ids):
    with pytest.raises(OptionError, match=r"^tokens"):
        model.logits(matrix(9, model.config.d_model), ids)


@pytest.mark.parametrize("ids", [None, "ab", 2, [[2]], [None], ["a"], [2.0], [-1], [30], [2**63], [2**64]], ids=str)
def test_a_prefix(model, ids):
    with pytest.raises(OptionError, match=r"^prefix"):
        model.generate_from(matrix(9, model.config.d_model), prefix=ids)


@pytest.mark.parametrize("ids", [None, 5, "ab", [None], [["a"]], [[2.0]], [[-1]], [[30]], [[2**64]]], ids=str)
def test_sequences_to_decode(model, ids):
    with pytest.raises(OptionError):
        model.tokenizer.batch_decode(ids)


@pytest.mark.parametrize("language", ["", "xx", 5, ["de"]], ids=str)
def test_a_language(model, language):
    with pytest.raises(OptionError, match="target language"):
        model.tokenizer.encode("five", language)


NOT_SAMPLES = {
    "nothing": None,
    "a string": "abc",
    "a number": 5.0,
    "integers": np.zeros(8000, np.int16),
    "two channels": np.zeros((8000, 2), np.float32),
    "NaN": np.full(8000, np.nan, np.float32),
    "infinity": np.full(8000, np.inf, np.float32),
    "complex numbers": np.zeros(8000, complex),
    "strings": np.full(8000, "a"),
}


@pytest.mark.parametrize("samples", NOT_SAMPLES.values(), ids=NOT_SAMPLES)
def test_samples(model, samples):
    with pytest.raises(OptionError, match=r"^samples"):
        model.features_of_samples(samples)


@pytest.mark.parametrize("samples", [[], np.zeros(0, np.float32), np.zeros(399, np.float32)], ids=len)
def test_too_few_samples_are_a_matter_of_the_recording(model, samples):
    with pytest.raises(AudioError, match="expected at least 25 ms"):
        model.features_of_samples(samples)


@pytest.mark.parametrize("options", [5, "x", {}, {"num_beams": 2}, []], ids=str)
def test_options_of_a_stream(model, options):
    silence = np.zeros(8000, np.float32)
    for call in (model.transcribe, model.stream):
        with pytest.raises(OptionError, match=r"options: found .* expected StreamOptions\(\.\.\.\) or None"):
            call(silence, 16000, options)


@pytest.mark.parametrize("text", [None, 5, b"five", ["five"], "\ud800", "five " * 20_000], ids=lambda x: str(x)[:9])
def test_a_text_to_score(model, text):
    """A long one is refused before anything is computed: time and memory would grow with the square of its length."""
    with pytest.raises(OptionError, match=r"^(text is|text has|the text has 20001 tokens, expected at most 4096)"):
        model.score(np.zeros(8000, np.float32), text, 16000)


@pytest.mark.parametrize("name", ["backend", "dtype"])
@pytest.mark.parametrize("value", [None, 5, [], np.float32], ids=str)
def test_load(name, value):
    with pytest.raises(s2t_np.S2TError, match=f"{name} .*expected"):
        s2t_np.load(DIGITS, **{name: value})
