"""One step for several utterances gives each the bits that it gets alone, whatever its neighbours."""

import numpy as np
import pytest

from s2t_np.errors import OptionError
from s2t_np.system import threads

pytest.importorskip("numba")

from s2t_np_kernels import backend
from tests.support.kernel_models import SHAPES, model

# beams and positions of the memory of the utterances; some rows together are a share, some utterances lie in two
UTTERANCES = ((5, 40), (1, 3), (5, 300), (2, 17), (9, 33), (1, 260), (3, 1), (17, 70), (5, 5), (4, 64))


class Utterance:
    """An utterance with tokens and reorderings of its own, from a seed."""

    def __init__(self, ops, packed, config, number: int):
        beams, positions = UTTERANCES[number]
        self.rng, self.config, self.beams, self.found = np.random.default_rng(number), config, beams, []
        memory = self.rng.standard_normal((positions, config.d_model)).astype(np.float32)
        self.cache = backend.start_cache(ops, packed, config, memory, beams)

    def ask(self):
        return self.rng.integers(0, self.config.vocab_size, self.beams), self.cache

    def take(self, found) -> None:
        self.found.append((found.logits.copy(), found.top.copy(), found.shift.copy()))
        self.cache.reorder(self.rng.integers(0, self.beams, self.beams))


def same_bits(found, expected) -> bool:
    pairs = zip(found, expected, strict=True)
    return all(x.tobytes() == y.tobytes() for a, b in pairs for x, y in zip(a, b, strict=True))


def alone(ops, packed, config, number: int, steps: int) -> list:
    utterance = Utterance(ops, packed, config, number)
    for _ in range(steps):
        utterance.take(backend.step(ops, packed, config, *utterance.ask()))
    return utterance.found


@pytest.mark.parametrize("kind", backend.OPS)
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("count", (1, 2, 3))
def test_neighbours_change_no_bit(name, kind, count):
    """Utterances come and go: each step has another choice of them, in another order."""
    config, plain = model(name)
    ops, rng, steps = backend.OPS[kind], np.random.default_rng(count), 9
    packed = ops.prepare(plain)
    threads.set_threads(1)
    expected = [alone(ops, packed, config, number, steps) for number in range(len(UTTERANCES))]
    threads.set_threads(count)
    utterances = [Utterance(ops, packed, config, number) for number in range(len(UTTERANCES))]
    while waiting := [u for u in utterances if len(u.found) < steps]:
        chosen = [waiting[i] for i in rng.permutation(len(waiting))[: rng.integers(1, len(waiting) + 1)]]
        answers = backend.step_together(ops, packed, config, [u.ask() for u in chosen])
        for utterance, found in zip(chosen, answers, strict=True):
            utterance.take(found)
    for number, utterance in enumerate(utterances):
        assert same_bits(utterance.found, expected[number]), UTTERANCES[number]


def test_long_histories_beside_short_ones():
    """Caches grow one by one, each beyond its first space."""
    config, plain = model("lanes-even")
    packed = backend.numba_ops.prepare(plain)
    expected, late = alone(backend.numba_ops, packed, config, 0, 140), alone(backend.numba_ops, packed, config, 3, 20)
    long, short = (Utterance(backend.numba_ops, packed, config, number) for number in (0, 3))
    for i in range(140):
        chosen = [long, short] if i >= 120 else [long]
        answers = backend.step_together(backend.numba_ops, packed, config, [u.ask() for u in chosen])
        for utterance, found in zip(chosen, answers, strict=True):
            utterance.take(found)
    assert same_bits(long.found, expected) and same_bits(short.found, late)


def test_nothing_to_do():
    config, plain = model("lanes-even")
    assert backend.step_together(backend.numba_ops, backend.numba_ops.prepare(plain), config, []) == []


def test_a_cache_may_be_there_once():
    config, plain = model("lanes-even")
    packed = backend.numba_ops.prepare(plain)
    utterance = Utterance(backend.numba_ops, packed, config, 0)
    with pytest.raises(OptionError, match="share a cache"):
        backend.step_together(backend.numba_ops, packed, config, [utterance.ask(), utterance.ask()])
    assert utterance.cache.length == 0
