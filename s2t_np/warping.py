"""Dynamic time warping of an ordered list of rows onto time: each row takes a stretch, the next one goes on after it.

Sakoe and Chiba 1978, "Dynamic programming algorithm optimization for spoken word recognition", in the asymmetric form:
a path advances by one column at every step and stays on its row or moves to the next one, so each column belongs to
exactly one row. What is maximised is the sum of the rewards on the path. Because a row's stretch is contiguous, a whole
row is solved at once over all columns with a cumulative sum and a running maximum; the only loop is over the rows.
R is the number of rows, T the number of columns here.
"""

import numpy as np


def extend(best: np.ndarray, reward: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    """One more row below all paths so far: best (..., T+1), reward (..., T) -> best and start of that row, (..., T+1).

    best[t] is the highest sum of a path over the columns 0 .. t-1. With c the cumulative sum of the row's reward, a row
    that takes the columns s .. t-1 gives best[s] - c[s] + c[t]; the best s for all t is a running maximum. `least` is
    how many columns the row takes at least.
    """
    c = np.zeros_like(best)
    np.cumsum(reward, axis=-1, out=c[..., 1:])
    gain = best - c
    highest = np.maximum.accumulate(gain, axis=-1)
    since = np.maximum.accumulate(np.where(gain == highest, np.arange(gain.shape[-1]), 0), axis=-1)
    extended, start = np.full_like(best, -np.inf), np.zeros_like(since)
    upto = gain.shape[-1] - least
    extended[..., least:] = c[..., least:] + highest[..., :upto]
    start[..., least:] = since[..., :upto]
    return extended, start


def no_path(shape: tuple[int, ...], dtype) -> np.ndarray:
    """`best` before the first row, (..., T+1): nothing is summed, and every path begins at column 0."""
    best = np.full(shape, -np.inf, dtype)
    best[..., 0] = 0
    return best


def highest_sum(rewards: np.ndarray) -> np.ndarray:
    """The sum on the best path, where rows may be empty: (..., R, T) -> (...)."""
    *lead, rows, columns = rewards.shape
    best = no_path((*lead, columns + 1), rewards.dtype)
    for r in range(rows):
        best, _ = extend(best, rewards[..., r, :], 0)
    return best[..., -1]


def best_path(rewards: np.ndarray, least: np.ndarray) -> np.ndarray:
    """Where the rows of the best path begin, and T at the end: rewards (R, T), least (R,) ints -> (R+1,) ints.

    Row r takes the columns path[r] .. path[r+1] - 1, at least least[r] of them; their sum is at most T.
    """
    columns = rewards.shape[1]
    best, starts = no_path((columns + 1,), rewards.dtype), []
    for reward, shortest in zip(rewards, least, strict=True):
        best, start = extend(best, reward, int(shortest))
        starts.append(start)
    path = [columns]
    for start in reversed(starts):
        path.append(start[path[-1]])
    return np.array(path[::-1])
