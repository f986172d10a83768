"""The tokens that sampling leaves to be drawn: `narrow` scores by temperature and by seven ways to drop unlikely ones.

Each acts on what the one before left, in transformers' order. Sources: top-k Fan et al. 2018 (arXiv 1805.04833), top-p
Holtzman et al. 2019 (arXiv 1904.09751), min-p Nguyen et al. 2024 (arXiv 2407.01082), typical sampling Meister et al.
2022 (arXiv 2202.00666), epsilon and eta Hewitt et al. 2022 (arXiv 2210.15191), top-H Baghaei Potraghloo et al. 2025
(arXiv 2509.02510). All take and return scores (K, V); -inf drops a token; `kept` of the likeliest stay in any case.
"""

import numpy as np

from ..ops import log_softmax, softmax
from ..settings.generation_config import GenerationConfig

MOST_FOR_TOP_H = 100  # tokens whose entropy top-H looks at


def narrow(scores: np.ndarray, options: GenerationConfig) -> np.ndarray:
    """Scores (K, V) that all the options leave: -inf for tokens they drop."""
    kept = 1 if options.num_beams == 1 else max(2, 1 + len(options.eos_token_ids))  # so that a beam can run on
    table = (
        (options.temperature != 1, lambda x: x / np.float32(options.temperature)),
        (options.top_h is not None, lambda x: keep_top_h(x, options.top_h)),
        (options.top_k > 0, lambda x: keep_top_k(x, max(options.top_k, kept))),
        (options.top_p < 1, lambda x: keep_top_p(x, options.top_p, kept)),
        (options.min_p is not None, lambda x: keep_min_p(x, options.min_p, kept)),
        (options.typical_p < 1, lambda x: keep_typical(x, options.typical_p, kept)),
        (options.epsilon_cutoff > 0, lambda x: keep_above(x, options.epsilon_cutoff, kept)),
        (options.eta_cutoff > 0, lambda x: keep_above(x, eta(x, options.eta_cutoff), kept)),
    )
    with np.errstate(invalid="ignore", divide="ignore"):  # rows of -inf alone are the caller's to find
        for wanted, warp in table:
            scores = warp(scores) if wanted else scores
    return scores


def kth_highest(scores: np.ndarray, k: int) -> np.ndarray:
    """The k-th highest of each row, or the lowest where there are fewer: (K, V) -> (K, 1)."""
    k = min(k, scores.shape[1])
    return np.partition(scores, -k, axis=1)[:, -k, None]


def keep_top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Only the k highest scores of each row, and what equals the k-th."""
    return np.where(scores < kth_highest(scores, k), -np.inf, scores)


def keep_top_p(scores: np.ndarray, p: float, kept: int = 1) -> np.ndarray:
    """The smallest set of most likely tokens with probability p or more.

    Counted from below: a token goes when it and all less likely ones together have at most 1 - p.
    """
    order = np.argsort(scores, axis=1, kind="stable")
    below = np.cumsum(softmax(np.take_along_axis(scores, order, axis=1)), axis=1, dtype=np.float64)
    drop = below.astype(np.float32) <= np.float32(1 - p)
    drop[:, -kept:] = False
    return without(scores, order, drop)


def keep_min_p(scores: np.ndarray, p: float, kept: int = 1) -> np.ndarray:
    """Tokens at least p times as likely as the likeliest one."""
    probabilities = softmax(scores)
    drop = probabilities < np.float32(p) * probabilities.max(axis=1, keepdims=True)
    return np.where(drop & (scores < kth_highest(scores, kept)), -np.inf, scores)


def keep_typical(scores: np.ndarray, mass: float, kept: int = 1) -> np.ndarray:
    """The set with probability `mass` of tokens that surprise least differently from the average, the entropy."""
    log_probs = log_softmax(scores)
    surprise = np.abs(-log_probs - entropy(log_probs))
    order = np.argsort(surprise, axis=1, kind="stable")
    surprise = np.take_along_axis(surprise, order, axis=1)
    sums = np.cumsum(softmax(np.take_along_axis(scores, order, axis=1)), axis=1, dtype=np.float64)
    last = np.minimum((sums.astype(np.float32) < np.float32(mass)).sum(axis=1), scores.shape[1] - 1)
    drop = surprise > surprise[np.arange(len(scores)), last, None]
    drop[:, :kept] = False
    return without(scores, order, drop)


def keep_above(scores: np.ndarray, lowest: float | np.ndarray, kept: int = 1) -> np.ndarray:
    """Tokens with at least the probability `lowest`, a number or (K, 1)."""
    drop = softmax(scores) < np.float32(lowest)
    return np.where(drop & (scores < kth_highest(scores, kept)), -np.inf, scores)


def eta(scores: np.ndarray, epsilon: float) -> np.ndarray:
    """The lowest probability that eta sampling keeps: epsilon, or less where the entropy is high. (K, V) -> (K, 1)."""
    return np.minimum(epsilon, np.sqrt(epsilon) * np.exp(-entropy(log_softmax(scores))))


def keep_top_h(scores: np.ndarray, share: float) -> np.ndarray:
    """The likeliest tokens that together carry at most `share` of the entropy of the 100 likeliest; one at least."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :MOST_FOR_TOP_H]
    log_probs = log_softmax(np.take_along_axis(scores, order, axis=1))
    keep = np.cumsum(-np.exp(log_probs) * log_probs, axis=1) <= np.float32(share) * entropy(log_probs)
    keep[:, 0] = True
    kept = np.zeros(scores.shape, bool)
    np.put_along_axis(kept, order, keep, axis=1)
    return np.where(kept, scores, -np.inf)


def entropy(log_probs: np.ndarray) -> np.ndarray:
    """The entropy of each row: (K, V) -> (K, 1), in nats."""
    return -np.nansum(np.exp(log_probs) * log_probs, axis=1, keepdims=True)


def without(scores: np.ndarray, order: np.ndarray, drop: np.ndarray) -> np.ndarray:
    """Scores (K, V) without those that `drop` (K, V), in the given order of each row, names."""
    dropped = np.empty_like(drop)
    np.put_along_axis(dropped, order, drop, axis=1)
    return np.where(dropped, -np.inf, scores)
