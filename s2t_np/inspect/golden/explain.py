"""Explain why a stage is wrong: every explanation predicts the numbers found, and the best prediction wins.

First come the usual mistakes of this model (`mistakes`), then the disguises that any array can wear (`arrays`). An
explanation is accepted if it leaves a fiftieth of the error or less, or no more than a correct port's own error.
"""

import math
from collections.abc import Iterator

import numpy as np

from ...features import frame_geometry
from .arrays import difference, factor, line, moved_rows, permutations, rms_difference, rounded
from .mistakes import Evidence, guesses, guesses_before
from .pack import rms

LEFT = 0.02  # the share of the error that may stay unexplained


def explain(evidence: Evidence, stage: str, found: np.ndarray) -> str:
    """Words for the error of `found` at `stage`."""
    truth = evidence.pack.truth[stage].astype(np.float64)
    with np.errstate(all="ignore"):
        if found.shape != truth.shape:
            return explain_shape(evidence, stage, found, truth)
        for candidates in (specific(evidence, stage, found), general(evidence, stage, found, truth)):
            if says := best(
                list(candidates), bound(evidence, stage, found, truth), evidence.pack.records[stage]["tolerance"]["rms"]
            ):
                return says
        return describe(evidence, stage, found, truth)


def best(candidates: list[tuple[float, str]], most: float, noise: float) -> str | None:
    """The words of the first (unexplained error, words) close to the least error; None if that is above `most`."""
    least = min((left for left, _ in candidates), default=np.inf)
    if least > most:
        return None
    return next(says for left, says in candidates if left <= max(2 * least, noise))


def bound(evidence: Evidence, stage: str, found: np.ndarray, truth: np.ndarray) -> float:
    """The largest r.m.s. error that an explanation may leave, at most half of the difference."""
    error = rms_difference(found, truth)
    return min(max(3 * evidence.pack.records[stage]["tolerance"]["rms"], LEFT * min(error, rms(truth))), error / 2)


def specific(evidence: Evidence, stage: str, found: np.ndarray) -> Iterator[tuple[float, str]]:
    """(unexplained error, words) for every usual mistake."""
    for candidates in (guesses(evidence, stage), guesses_before(evidence, stage)):
        for says, guess in candidates:
            yield rms_difference(found, guess), says


def general(evidence: Evidence, stage: str, found: np.ndarray, truth: np.ndarray) -> Iterator[tuple[float, str]]:
    """(unexplained error, words) for the disguises that any array can wear."""
    if not found.any():
        yield 0.0, "all numbers are 0"
    for name, other in evidence.pack.truth.items():
        if name != stage and other.shape == truth.shape:
            yield rms_difference(found, other), f"these are the numbers of {name}"
    yield from scaled(evidence, found, truth)
    for k, a, b in moved_rows(found, truth):
        yield rms_difference(a, b), moved(k)
    for says, guess in permutations(truth):
        yield rms_difference(found, guess), says
    if truth.ndim > 1 and truth.shape[-1] == truth.shape[-2]:
        yield rms_difference(found, truth.swapaxes(-1, -2)), "transposed"
    if narrow := rounded(found):
        step = 2.0**-11 if narrow == "float16" else 2.0**-8
        yield max(0.0, rms_difference(found, truth) - step * rms(truth)), f"computed or stored as {narrow}"


def scaled(evidence: Evidence, found: np.ndarray, truth: np.ndarray) -> Iterator[tuple[float, str]]:
    """A constant factor, a constant offset, or both."""
    if (a := factor(found, truth)) is not None and a:
        yield rms_difference(found / a, truth), f"everything is multiplied by {a:.6g}{known_factor(evidence, a)}"
    if np.isfinite(found).all():
        offset = float((found - truth).mean())
        yield rms_difference(found - offset, truth), f"{offset:.6g} is added to everything"
    if (both := line(found, truth)) is not None and both[0]:
        a, b = both
        yield rms_difference((found - b) / a, truth), f"everything is multiplied by {a:.6g}, then {b:.6g} is added"


def known_factor(evidence: Evidence, value: float) -> str:
    """A name for a factor, " = 2^15", or nothing if it has none."""
    D, config = evidence.config.d_model, evidence.config
    heads = {"encoder": config.encoder_attention_heads, "decoder": config.decoder_attention_heads}
    fft_length = frame_geometry(evidence.rate)[2]
    names = {
        "2^15": 2.0**15,
        "2^16": 2.0**16,
        "sqrt(D)": D**0.5,
        "1 / ln 10": 1 / math.log(10),
        "1 / ln 2": 1 / math.log(2),
    }
    names |= {"10 / ln 10": 10 / math.log(10), "the length of the FFT": fft_length}
    names |= {f"(D/H)^-0.5 of the {side}": (D // H) ** -0.5 for side, H in heads.items()}
    names |= {"the width of a head": D // heads["encoder"], "D": D, "the number of heads": heads["encoder"]}
    for name, constant in names.items():
        for words, number in ((name, constant), (f"1 / ({name})", 1 / constant)):
            if math.isclose(value, number, rel_tol=1e-4):
                return f" = {words}"
    return ""


def moved(k: int) -> str:
    """Words for rows that are k places too late."""
    rows = f"{abs(k)} row{'s' if abs(k) > 1 else ''}"
    return (
        f"shifted: everything stands {rows} too {'late' if k > 0 else 'early'}"
        if k
        else "rows at the end differ in number"
    )


def explain_shape(evidence: Evidence, stage: str, found: np.ndarray, truth: np.ndarray) -> str:
    """Words for an array that has no view of the right shape."""
    says = f"shape {found.shape}, expected {truth.shape}"
    allowed = 3 * evidence.pack.records[stage]["tolerance"]["rms"]
    for k, a, b in sorted(moved_rows(found, truth), key=lambda triple: abs(triple[0])):
        if rms_difference(a, b) <= allowed:
            count = len(found) - len(truth)
            extra = f"{abs(count)} row{'s' if abs(count) > 1 else ''} too {'many' if count > 0 else 'few'}"
            return f"{says}: {extra}, and the rows agree" + (f" when shifted by {abs(k)}" if k else " but for the end")
    if truth.ndim == 3 and found.shape == truth.shape[1:] and rms_difference(found, truth.mean(axis=0)) <= allowed:
        return f"{says}: the mean over the heads"
    return says


def describe(evidence: Evidence, stage: str, found: np.ndarray, truth: np.ndarray) -> str:
    """Words for an error that nothing explains: its size and its place."""
    if bad := int(np.count_nonzero(~np.isfinite(found))):
        first = np.argwhere(~np.isfinite(found))[0].tolist()
        return f"{bad} of {found.size} numbers are NaN or infinite, the first at {first}"
    error = difference(found, truth)
    size = rms_difference(found, truth) / (rms(truth) or 1.0)
    worst = np.unravel_index(int(error.argmax()), error.shape)
    says = f"unexplained; {size:.2g} of the size of the numbers; {place_of_error(evidence, stage, error)}"
    return f"{says}; worst at {list(map(int, worst))}: {found[worst]:.6g}, expected {truth[worst]:.6g}"


def place_of_error(evidence: Evidence, stage: str, error: np.ndarray) -> str:
    """Words for the rows that are beyond tolerance."""
    largest = evidence.pack.records[stage]["tolerance"]["largest"]
    rows = np.flatnonzero((error > largest).reshape(len(error), -1).any(axis=1))
    if len(rows) in (0, len(error)):
        return "in all rows" if len(rows) else "by a little everywhere"
    span = f"{rows[0]}" if len(rows) == 1 else f"{rows[0]} to {rows[-1]}"
    return f"in {len(rows)} of {len(error)} rows ({span})"
