"""A step that finds no memory, at each of its allocations in turn: asked for again, it has the same bits as ever."""

import numpy as np
import pytest

from s2t_np.decoder import DecoderCache
from s2t_np.layers import KeysValues

pytest.importorskip("numba")

from s2t_np_kernels.ops import softmax_host

from s2t_np_kernels import backend
from tests.support.kernel_models import model

MAKERS = ("empty", "zeros", "zeros_like", "concatenate", "ascontiguousarray")  # numpy's functions that kernels call
ENLARGED = 64  # steps until a cache has to grow


class Scarce:
    """Lets the n-th call of MAKERS find no memory; 0: none."""

    def __init__(self, monkeypatch):
        self.left = self.failed = 0
        for name in MAKERS:
            monkeypatch.setattr(np, name, self.guarded(getattr(np, name)))

    def guarded(self, make):
        def made(*args, **kwargs):
            self.left -= 1
            if self.left == 0:
                self.failed += 1
                raise MemoryError(make.__name__)
            return make(*args, **kwargs)

        return made


def decode(scarce: Scarce | None = None, fails_at: int = 0, number: int = 0) -> list[np.ndarray]:
    """Logits of two utterances together, over an enlargement of their caches; step `fails_at` is asked for again."""
    config, plain = model("lanes-even")
    packed, rng, found = backend.numba_ops.prepare(plain), np.random.default_rng(0), []
    memories = [rng.standard_normal((n, config.d_model)).astype(np.float32) for n in (40, 3)]
    caches = [backend.start_cache(backend.numba_ops, packed, config, memory, 2) for memory in memories]
    for i in range(ENLARGED + 3):
        asks = [(rng.integers(4, 99, 2), cache) for cache in caches]
        if scarce and i == fails_at:
            packed.decoder.pool.renew()
            packed.decoder.workspaces.clear()
            scarce.left = number
            try:
                backend.step_together(backend.numba_ops, packed, config, asks)
            except MemoryError:
                pass
            else:
                return []
            scarce.left = 0
        found += [answer.logits for answer in backend.step_together(backend.numba_ops, packed, config, asks)]
    return found


@pytest.mark.parametrize("fails_at", [0, ENLARGED])
def test_a_step_that_found_no_memory_can_be_asked_for_again(fails_at, monkeypatch):
    expected, scarce = decode(), Scarce(monkeypatch)
    number = 1
    while found := decode(scarce, fails_at, number):
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True)), number
        number += 1
    assert scarce.failed == number - 1 >= 4 + 6 * (fails_at == ENLARGED)


def test_a_search_for_more_of_the_best_that_found_no_memory_can_be_repeated(monkeypatch):
    logits = np.random.default_rng(0).standard_normal((2, 50)).astype(np.float32)
    table, finder, added = softmax_host.table_of(logits), softmax_host.BestFinder(2, 50), np.zeros(2, np.float32)
    expected = {count: [x.copy() for x in finder.best(table, added, count)] for count in (4, 9)}
    finder = softmax_host.BestFinder(2, 50)
    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        patched.setattr(softmax_host.best_of_rows, "bind", no_memory)
        finder.best(table, added, 9)
    for count in (9, 4):
        found = finder.best(table, added, count)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected[count], strict=True)), count


def no_memory(*_):
    raise MemoryError


def test_the_readable_cache_replaces_rows_of_a_step_that_broke_off():
    rng = np.random.default_rng(0)
    first, second = (KeysValues(*rng.standard_normal((2, 3, 4))) for _ in range(2))
    nothing = np.empty((3, 0, 4))
    cache = DecoderCache((), [KeysValues(nothing, nothing)] * 2)
    cache.append(0, first)  # and the step found no memory for layer 1
    for layer in range(2):
        k, v = cache.append(layer, second)
        assert np.array_equal(k, second.k[:, None]) and np.array_equal(v, second.v[:, None])
