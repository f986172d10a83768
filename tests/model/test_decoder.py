"""The decoder: the full pass against loops, and the cached step against the full pass at every position."""

import numpy as np
import pytest

from s2t_np import decoder
from s2t_np.decoder import decode_full, decoder_step, start_cache
from s2t_np.ops import numpy_ops as ops
from tests.support import oracles_model as oracle
from tests.support.small_models import SHAPES, noise, small_model


def full(model, tokens, memory):
    return decode_full(ops, model.weights, model.config, np.asarray(tokens), memory)


def start(model, memory, beams):
    return start_cache(ops, model.weights, model.config, memory, beams)


def random_tokens(random, model, count):
    """Any ids but that of padding, which is numbered differently in a step and in a full pass (see below)."""
    tokens = random.integers(0, model.config.vocab_size - 1, count)
    return tokens + (tokens >= model.config.pad_token_id)


def step(model, tokens, cache):
    return decoder_step(ops, model.weights, model.config, np.asarray(tokens), cache)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("positions, rows", [(1, 1), (2, 3), (7, 2)])
def test_decode_full(shape, positions, rows):
    model = small_model(shape)
    memory = noise(rows, model.config.d_model)
    tokens = [2, *range(5, 4 + positions)]
    expected = oracle.Model(model.tensors, model.json).logits(memory, tokens)
    np.testing.assert_allclose(full(model, tokens, memory), expected, atol=1e-10)


def test_a_position_does_not_see_what_comes_after():
    model, memory = small_model(), noise(5, 16)
    one, other = full(model, [2, 9, 8, 7, 6], memory), full(model, [2, 9, 8, 40, 50], memory)
    np.testing.assert_allclose(one[:3], other[:3], atol=1e-12)
    assert np.abs(one[3] - other[3]).max() > 1e-3


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-4), (np.float64, 1e-11)])
def test_step_is_the_full_pass_at_every_position(shape, dtype, tolerance):
    """The link of the chain of trust."""
    model = small_model(shape, dtype=dtype)
    memory = noise(6, model.config.d_model, dtype=dtype)
    tokens = random_tokens(np.random.default_rng(0), model, 40)
    expected, cache = full(model, tokens, memory), start(model, memory, 1)
    for u, token in enumerate(tokens):
        logits = step(model, [token], cache)
        assert logits.shape == (1, model.config.vocab_size)
        assert logits.dtype == dtype
        np.testing.assert_allclose(logits[0], expected[u], atol=tolerance, err_msg=f"position {u}")
    assert cache.length == len(tokens)


@pytest.mark.parametrize("beams", [1, 2, 5])
@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 1e-4), (np.float64, 1e-11)])
def test_reordered_beams_keep_their_histories(beams, dtype, tolerance):
    """Beams are copied, dropped and shuffled at random; each must answer as the full pass over its own history."""
    model, random = small_model("untied", dtype=dtype), np.random.default_rng(beams)
    memory = noise(4, model.config.d_model, dtype=dtype)
    cache, histories = start(model, memory, beams), [[] for _ in range(beams)]
    for u in range(30):
        tokens = random_tokens(random, model, beams)
        logits = step(model, tokens, cache)
        histories = [[*history, token] for history, token in zip(histories, tokens, strict=True)]
        if u % 9 == 0 or u >= 20:
            expected = [full(model, history, memory)[-1] for history in histories]
            np.testing.assert_allclose(logits, expected, atol=tolerance, err_msg=f"position {u}")
        if u % 4:
            parents = random.integers(0, beams, beams)
            cache.reorder(parents)
            histories = [histories[parent] for parent in parents]


def test_padding_is_not_counted_in_a_full_pass():
    """As in fairseq: padding gets a position of zeros, and what follows is numbered as if it were not there."""
    model, memory, tokens = small_model(), noise(3, 16), [2, 7, 1, 9, 1, 1, 8]
    expected = oracle.Model(model.tensors, model.json).logits(memory, tokens, [0, 1, None, 2, None, None, 3])
    np.testing.assert_allclose(full(model, tokens, memory), expected, atol=1e-10)


def test_padding_is_counted_by_the_cache():
    """As in upstream's cached decoder: zeros again, but the next token's number is the length of the cache."""
    model, memory, tokens = small_model(), noise(3, 16), [2, 7, 1, 9, 1, 8]
    expected = oracle.Model(model.tensors, model.json).logits(memory, tokens, [0, 1, None, 3, None, 5])
    cache = start(model, memory, 2)
    found = [step(model, [token, token], cache)[1] for token in tokens]
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_the_cache_holds_every_beams_own_history():
    """One row a token, appended in place; reordering copies the rows of the beam that is continued."""
    model, memory = small_model(), noise(3, 16)
    cache = start(model, memory, 3)
    for u, tokens in enumerate(([2, 2, 2], [5, 6, 7])):
        step(model, tokens, cache)
        assert [past.k.shape for past in cache.past] == [(3, u + 1, 16)] * model.config.decoder_layers
    before = cache.past
    cache.reorder(np.array([2, 2, 0]))
    for past, old in zip(cache.past, before, strict=True):
        np.testing.assert_array_equal(past.k, old.k[[2, 2, 0]])
        np.testing.assert_array_equal(past.v, old.v[[2, 2, 0]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_search_gets_the_logits_of_the_step_in_float32(dtype):
    model, memory, tokens = small_model(dtype=dtype), noise(3, 16, dtype=dtype), np.array([2, 9])
    expected = step(model, tokens, start(model, memory, 2)).astype(np.float64)
    found = decoder.step(ops, model.weights, model.config, tokens, start(model, memory, 2))
    assert found.logits.dtype == np.float32
    np.testing.assert_allclose(found.logits, expected, atol=1e-6)
    exact = expected - np.log(np.exp(expected).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found.log_probs(), exact, atol=1e-5)


def test_equal_beams_answer_equally():
    model, memory = small_model(), noise(3, 16)
    cache = start(model, memory, 4)
    for token in (2, 9, 30):
        logits = step(model, [token] * 4, cache)
        np.testing.assert_allclose(logits, np.tile(logits[0], (4, 1)), atol=1e-13)


def test_cross_attention_is_projected_once_for_all_beams():
    model, memory = small_model(), noise(7, 16)
    cache = start(model, memory, 5)
    for layer, kept in zip(model.weights.decoder.layers, cache.cross, strict=True):
        attn = layer.encoder_attn
        np.testing.assert_allclose(kept.k, oracle.linear(memory, *attn.k_proj), atol=1e-12)
        np.testing.assert_allclose(kept.v, oracle.linear(memory, *attn.v_proj), atol=1e-12)


def test_two_caches_do_not_know_each_other():
    model, memory, other = small_model(), noise(3, 16), noise(5, 16, seed=1)
    caches = start(model, memory, 2), start(model, other, 1)
    for token in (2, 8, 9):
        step(model, [token, token], caches[0])
        step(model, [token], caches[1])
    np.testing.assert_allclose(step(model, [4], caches[1])[0], full(model, [2, 8, 9, 4], other)[-1], atol=1e-11)


def test_nothing_is_changed_in_place():
    model, memory, tokens = small_model("untied"), noise(4, 24), np.array([2, 5, 6])
    before = memory.copy(), tokens.copy(), {name: tensor.copy() for name, tensor in model.tensors.items()}
    full(model, tokens, memory)
    step(model, tokens, start(model, memory, 3))
    np.testing.assert_array_equal(memory, before[0])
    np.testing.assert_array_equal(tokens, before[1])
    for name, tensor in before[2].items():
        np.testing.assert_array_equal(model.tensors[name], tensor)
