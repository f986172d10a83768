"""Dynamic time warping of an ordered list of rows onto time: each row takes a stretch, the next row continues after it.

Sakoe and Chiba 1978, "Dynamic programming algorithm optimization for spoken word recognition", in the asymmetric form:
a path advances by one column at every step and stays on its row or moves to the next one, so each column belongs to
exactly one row. The path maximises the sum of its rewards. Because a row's stretch is contiguous, a whole row is solved
at once over all columns with a cumulative sum and a running maximum; the only loop is over the rows.
Here R is the number of rows and T the number of columns.
"""

import numpy as np


def sums_and_gains(best: np.ndarray, reward: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Append one row to all paths: best (..., T+1) and reward (..., T) -> sums and gains (..., T+1).

    best[t] is the highest sum of a path over the columns 0 .. t-1. A row that takes the columns s .. t-1 brings it to
    best[s] - c[s] + c[t] with c the cumulative sum of the row's rewards; c is returned, and best - c.
    """
    c = np.zeros_like(best)
    np.cumsum(reward, axis=-1, out=c[..., 1:])
    return c, best - c


def no_path(shape: tuple[int, ...], dtype) -> np.ndarray:
    """`best` before the first row, (..., T+1): the sum is 0 at column 0, where every path begins."""
    best = np.full(shape, -np.inf, dtype)
    best[..., 0] = 0
    return best


def highest_sum(rewards: np.ndarray) -> np.ndarray:
    """The sum on the best path if rows may be empty: (..., R, T) -> (...)."""
    *lead, rows, columns = rewards.shape
    best = no_path((*lead, columns + 1), rewards.dtype)
    for r in range(rows):
        sums, gains = sums_and_gains(best, rewards[..., r, :])
        best = sums + np.maximum.accumulate(gains, axis=-1, out=gains)
    return best[..., -1]


def best_path(rewards: np.ndarray, least: np.ndarray) -> np.ndarray:
    """The first column of each row on the best path, then T: rewards (R, T), least (R,) ints -> (R+1,) ints.

    Row r takes the columns path[r] .. path[r+1] - 1, at least least[r] of them; the sum of `least` is at most T.
    """
    columns = rewards.shape[1]
    best, starts, at = no_path((columns + 1,), rewards.dtype), [], np.arange(columns + 1)
    for reward, shortest in zip(rewards, least.tolist(), strict=True):
        sums, gains = sums_and_gains(best, reward)
        highest = np.maximum.accumulate(gains)
        starts.append(np.maximum.accumulate(np.where(gains == highest, at, 0)))  # first column of a row that ends here
        best = np.full_like(best, -np.inf)
        best[shortest:] = sums[shortest:] + highest[: columns + 1 - shortest]
    path = [columns]
    for start, shortest in zip(reversed(starts), least.tolist()[::-1], strict=True):
        path.append(int(start[path[-1] - shortest]))
    return np.array(path[::-1])
