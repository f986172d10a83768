"""Many utterances of every contender: padded batches of a peer, and utterances that decode together here.

All utterances are equally long, which is best for a padded batch: none of its rows is padding. Ours run in two ways:
one scheduler on all cores, and several that divide them, as `generate_batch` and everything that hears files does. Wall
time is what a user waits; the processor time of all threads is what can be compared on a machine with other work.

Beams that are nearly level may end differently in another order of additions, in a batch as elsewhere. So a few
utterances may have other tokens than this project's own float32; how many is part of the table.
"""

import sys
import time
from typing import NamedTuple

import numpy as np

from s2t_np.system.threads import processors
from s2t_np.together import ALONE, Sharing
from tools.bench.contenders import Ours, Peer
from tools.bench.roofs import lasting_rate, medians
from tools.bench.utterances import REST, Work, decoder_operations, encoder_operations

COUNT = 32
REFERENCE = "s2t-np float32, alone"
MAY_DIFFER = 1 / 4  # the share of an exact contender's utterances; a fault changes all of them


class Row(NamedTuple):
    """One way in which a contender hears many utterances."""

    name: str
    contender: Ours | Peer
    way: int | Sharing  # as hear_many takes it

    @property
    def width(self) -> int:
        """The number of utterances that run at a time."""
        return self.way if isinstance(self.way, int) else self.way.width * self.way.workers


def own_rows(name: str, one: Ours, options: dict) -> list[Row]:
    """One after another, together on all cores, and by several schedulers."""
    best, workers = sharing = one.model.sharing(**options)
    return [
        Row(f"{name}, alone", one, ALONE),
        Row(f"{name}, {best} together on all cores", one, Sharing(best)),
        Row(f"{name}, generate_batch ({workers} times {best} together)", one, sharing),
    ]


def rows_of(everybody: dict[str, Ours | Peer], options: dict, widths: list[int]) -> list[Row]:
    """The rows of the table. Plain numpy has none: it gains nothing from company."""
    rows = []
    for name, one in everybody.items():
        if isinstance(one, Peer):
            rows += [Row(f"{name}, batch {width}", one, width) for width in widths]
        elif name != "numpy":
            rows += own_rows(name, one, options)
    return rows


def utterances(work: Work, bins: int, count: int) -> list[np.ndarray]:
    """Noise: `count` times (T, M)."""
    return [np.random.default_rng(i).standard_normal((work.frames, bins)).astype(np.float32) for i in range(count)]


def differing(row: Row, found: list[list[int]], expected: list[list[int]]) -> int:
    """The number of utterances with other tokens. Raises SystemExit where they are too many or of another length."""
    count = sum(a != b for a, b in zip(found, expected, strict=True))
    if [len(tokens) for tokens in found] != [len(tokens) for tokens in expected]:
        raise SystemExit(f"{row.name}: other numbers of tokens than {REFERENCE}")
    if row.contender.exact and count > MAY_DIFFER * len(expected):
        raise SystemExit(f"{row.name}: {count} of {len(expected)} utterances differ from {REFERENCE}")
    return count


def race(rows: list[Row], features: list[np.ndarray], options: dict, runs: int) -> dict[str, dict]:
    """{row: {"wall": s, "processor": s, "differ": utterances, "GFLOP/s": ...}}, in turn after one batch to warm up.

    Medians of all the utterances; GFLOP/s are those of multiply-adds in registers just before. Raises SystemExit.
    """
    times, differ, expected = {row.name: {} for row in rows}, {}, None
    for row in rows:
        row.contender.hear_many(features[: row.width], options, row.way)
    for _ in range(runs):
        for row in rows:
            time.sleep(REST)
            times[row.name].setdefault("GFLOP/s", []).append(lasting_rate(processors()))
            tokens, seconds = row.contender.hear_many(features, options, row.way)
            expected = expected or tokens
            differ[row.name] = differing(row, tokens, expected)
            for kind, value in seconds.items():
                times[row.name].setdefault(kind, []).append(value)
    return {name: {**medians(kinds), "differ": differ[name]} for name, kinds in times.items()}


def tell_bound(found: dict[str, dict], operations: float) -> None:
    """Print how many times longer than its arithmetic each float32 row of ours takes, which is added to `found`.

    The arithmetic of all matrix products at the rate that lasted beside the row.
    """
    for name, row in found.items():
        if name.startswith("s2t-np float32"):
            row["bound"] = operations / row["GFLOP/s"] / 1e9
            ratio = row["wall"] / row["bound"]
            print(f"{name}: {ratio:.2f} times its {operations / 1e9:.0f} GFLOP at {row['GFLOP/s']:.0f} GFLOP/s")


def batch_table(
    everybody: dict[str, Ours | Peer], work: Work, count: int, widths: list[int], runs: int
) -> dict[str, dict]:
    """Print and return `race`. Raises SystemExit."""
    config = everybody["numpy"].model.config
    features = utterances(work, config.input_feat_per_channel, count)
    rows = rows_of(everybody, work.options, widths)
    if not rows or not isinstance(rows[0].contender, Ours):
        print("left out: batches (without compiled kernels there is nothing to compare with)", file=sys.stderr)
        return {}
    found = race(rows, features, work.options, runs)
    print(
        f"\n| {count} utterances of {work.seconds:g} s, {work.beams} beams | a second | ms each | processor ms each |"
    )
    print("|---|---|---|---|")
    for name, row in found.items():
        cells = f"{count / row['wall']:.2f} | {1e3 * row['wall'] / count:.1f} | {1e3 * row['processor'] / count:.1f}"
        print(f"| {name} | {cells} |", flush=True)
    tell_bound(found, count * (encoder_operations(work.frames, config) + decoder_operations(work, config)))
    told = ", ".join(f"{name} {row['differ']}" for name, row in found.items() if row["differ"])
    print(f"utterances with other tokens than {REFERENCE}: {told or 'none'}", file=sys.stderr)
    return found
