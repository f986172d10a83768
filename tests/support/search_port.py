"""Both sides of the search's port in tests: a fake decoder searched, and what any NextToken promises.

The fakes themselves (search_fakes.py) know neither package.
"""

from collections.abc import Callable

import numpy as np

from s2t_np import search


def decoder_of(fake) -> search.Decoder:
    """The port over a fake's two functions, whose step returns plain logits (K, V)."""
    return search.Decoder(fake.start, lambda tokens, cache: search.next_token(fake.step(tokens, cache)))


def generate(fake, *arguments, **options):
    """As search.generate, over a fake."""
    return search.generate(decoder_of(fake), *arguments, **options)


def assert_best_is_that_of_sorting(next_token: Callable) -> None:
    """`best` gives what sorting everything gives, to the bit, whatever the shape.

    With many equals, some made by rounding; with dead rows; with logits lowered after their peaks were found.
    """
    random = np.random.default_rng(0)
    for rows, size in [(1, 1), (2, 1), (3, 21), (1, 64), (5, 13), (5, 100), (2, 640), (7, 183), (1, 5000), (5, 1600)]:
        for levels in (1, 2, 7, 10**9):
            logits = random.integers(-levels, levels, (rows, size)).astype(np.float32)
            logits[random.random((rows, size)) < 0.3] = -np.inf
            logits[:, 0] = np.maximum(logits[:, 0], -levels)
            found = next_token(logits)
            found.logits[random.random((rows, size)) < random.choice([0, 0.01, 0.5])] = -np.inf
            found.logits[:, found.logits[0].argmax()] = -np.inf
            added = random.integers(-levels, levels, rows).astype(np.float32)
            added[random.random(rows) < 0.2] = -np.inf
            for count in (1, 2, 10, 999):
                assert_best_is_sorted(found, added, count)


def assert_best_is_sorted(found: search.NextToken, added: np.ndarray, count: int) -> None:
    """The same for one table of logits."""
    log_probs = found.logits - found.top[:, None] - found.shift[:, None]
    scores = log_probs + added[:, None]
    expected = np.argsort(-scores.ravel(), kind="stable")[:count]
    parents, tokens, values, sums = found.best(added, count)
    assert np.array_equal(parents * log_probs.shape[1] + tokens, expected)
    assert np.array_equal(values, log_probs.ravel()[expected])
    assert np.array_equal(sums, scores.ravel()[expected])


def assert_normalises_as_log_softmax(next_token: Callable) -> None:
    """`top` and `shift` against float64, over odd widths, with -inf and with huge logits."""
    random = np.random.default_rng(1)
    for size in (1, 2, 15, 16, 17, 31, 32, 33, 65, 513, 10000):
        for scale in (1e-3, 5, 1e4, 1e38):
            logits = random.uniform(-1, 1, (4, size)).astype(np.float32) * np.float32(scale)
            logits[1, 1:] = -np.inf
            logits[2, random.random(size) < 0.9] = -np.inf
            logits[2, -1] = np.float32(-2e38)
            logits[3, : size // 2] = -np.inf
            found = next_token(logits)
            top = logits.max(axis=1)
            assert np.array_equal(found.top, top)
            exact = np.log(np.exp(logits.astype(np.float64) - top[:, None]).sum(axis=1))
            np.testing.assert_allclose(found.shift, exact, rtol=2e-7, atol=5e-7)


def assert_shift_tells_what_is_not_finite(next_token: Callable) -> None:
    """A NaN or +inf anywhere, or nothing above -inf: that row's shift is not finite, and no other's."""
    for size in (1, 31, 32, 33, 1000):
        for place in {0, size // 2, size - 1}:
            for bad in (np.nan, np.inf, None):
                logits = np.random.default_rng(2).normal(0, 1, (3, size)).astype(np.float32)
                logits[1, slice(None) if bad is None else place] = -np.inf if bad is None else bad
                with np.errstate(invalid="ignore", divide="ignore"):
                    assert np.isfinite(next_token(logits).shift).tolist() == [True, False, True]
