"""The warping against every path there is, for rows and columns few enough to try them all."""

import itertools

import numpy as np
import pytest

from s2t_np.longform.dtw import best_path, highest_sum


def every_path(rows, columns, least):
    """All ways to give each row a stretch of at least so many columns, as best_path gives them."""
    for cuts in itertools.combinations_with_replacement(range(columns + 1), rows - 1):
        path = (0, *cuts, columns)
        if all(end - start >= n for start, end, n in zip(path, path[1:], least, strict=False)):
            yield path


def total(rewards, path):
    return sum(row[start:end].sum() for row, start, end in zip(rewards, path, path[1:], strict=False))


LEAST = [(0,), (3,), (0, 0), (1, 0, 2), (1, 1, 1, 1), (0, 1, 1, 1, 0), (0, 0, 0, 7)]
CASES = [(least, columns) for least in LEAST for columns in (1, 2, 4, 7) if sum(least) <= columns]


@pytest.mark.parametrize("least, columns", CASES, ids=str)
def test_no_path_is_better(least, columns):
    for seed in range(5):
        rewards = np.random.default_rng(seed).standard_normal((len(least), columns))
        path = best_path(rewards, np.array(least))
        assert tuple(path) in set(every_path(len(least), columns, least))
        best = max(total(rewards, p) for p in every_path(len(least), columns, least))
        assert total(rewards, path) == pytest.approx(best, abs=1e-12)


def test_highest_sum_takes_several_tables_at_once():
    rewards = np.random.default_rng(1).standard_normal((2, 3, 4, 6))
    sums = highest_sum(rewards)
    assert sums.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        best = max(total(rewards[i, j], p) for p in every_path(4, 6, [0] * 4))
        assert sums[i, j] == pytest.approx(best, abs=1e-12)


def test_more_rows_than_columns_leave_some_empty():
    rewards = np.eye(5)[:, :3]
    assert highest_sum(rewards) == 3
    assert best_path(rewards, np.zeros(5, int)).tolist() == [0, 1, 2, 3, 3, 3]
