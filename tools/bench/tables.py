"""Tables of whole utterances and of decoder steps: a row for each contender, then bounds and ratios.

"best peer / s2t-np int8" is how many times faster int8 is than the fastest float32 peer; "s2t-np int8 / bound" how many
times longer it takes than its own bound.
"""

import sys
from typing import NamedTuple

from s2t_np.config import ModelConfig
from tools.bench.contenders import WEIGHT_TYPES
from tools.bench.utterances import Work, bound, single_step, utterance


class Column(NamedTuple):
    """One case: what it is, seconds by contender, bounds by weight type."""

    head: str
    seconds: dict[str, float]
    bounds: dict[str, float]

    def best_peer(self) -> float | None:
        """Seconds of the fastest float32 peer."""
        own, peers = ("numpy", "s2t-np"), {name: v for name, v in self.seconds.items() if v and "int8" not in name}
        return min((v for name, v in peers.items() if not name.startswith(own)), default=None)


def milliseconds(value: float | None) -> str:
    """With three digits or so."""
    return "-" if value is None else f"{1e3 * value:.{2 if value < 0.01 else 1 if value < 0.1 else 0}f}"


def ratio(above: float | None, below: float | None) -> str:
    """How many times."""
    return f"{above / below:.2f}" if above and below else "-"


def show(title: str, columns: list[Column]) -> None:
    """Print a table."""
    print(f"\n| {title} | " + " | ".join(column.head for column in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    rows = {name: [milliseconds(c.seconds.get(name)) for c in columns] for name in columns[0].seconds}
    own = [dtype for dtype in WEIGHT_TYPES if f"s2t-np {dtype}" in rows]
    rows |= {f"bound, {dtype}": [milliseconds(c.bounds[dtype]) for c in columns] for dtype in own}
    for name in [f"s2t-np {dtype}" for dtype in own]:
        rows[f"best peer / {name}"] = [ratio(c.best_peer(), c.seconds[name]) for c in columns]
        rows[f"{name} / bound"] = [ratio(c.seconds[name], c.bounds[name.split()[1]]) for c in columns]
    for name, cells in rows.items():
        if set(cells) != {"-"}:
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def bounds(work: Work, config: ModelConfig, roof: dict, kind: str) -> dict[str, float]:
    """The bound of an encoder, step or generate for each weight type."""
    return {dtype: bound(work, config, roof, dtype)[kind] for dtype in WEIGHT_TYPES}


def step_table(everybody: dict, config: ModelConfig, roof: dict, beams: list[int], runs: int) -> list[dict]:
    """Print and return what a decoder step takes in the middle of 10 s. Raises SystemExit."""
    columns, results = [], []
    for count in beams:
        work = Work(10, count, 30)
        memory = everybody["numpy"].model.encode(work.features(config.input_feat_per_channel))
        found = single_step(everybody, work, memory, config.vocab_size, runs)
        least = bounds(work, config, roof, "step")
        for kind in ("step", "step and reorder"):
            seconds = {name: times[kind] for name, times in found["seconds"].items()}
            columns.append(Column(f"{count} beams, {kind}", seconds, least))
        report_errors(f"step, {count} beams", found["errors"])
        results.append({"beams": count, **found, "bound": least})
    show(f"decoder step, {len(memory)} positions, ms", columns)
    return results


def utterance_tables(
    everybody: dict, works: list[Work], config: ModelConfig, roof: dict, runs: int, generate: bool
) -> list[dict]:
    """Print and return what encoder and generate take. Raises SystemExit."""
    results, tables = [], {"encoder": {}, "generate": {}}
    for work in works:
        found = utterance(everybody, work, config.input_feat_per_channel, runs, generate)
        least = {kind: bounds(work, config, roof, kind) for kind in tables}
        for kind, columns in tables.items():
            head = f"{work.seconds:g} s" + f", {work.beams} beams" * (kind == "generate")
            seconds = {name: times.get(kind) for name, times in found["seconds"].items()}
            columns.setdefault(head, Column(head, seconds, least[kind]))
        report_errors(f"{work.seconds:g} s, {work.beams} beams", found["errors"])
        shape = {"seconds_of_sound": work.seconds, "beams": work.beams, "tokens": work.tokens}
        results.append({**shape, **found, "bound": least})
    if generate and len(works) == 1:
        both = [(kind, column) for kind, columns in tables.items() for column in columns.values()]
        show("one utterance, ms", [column._replace(head=f"{kind}, {column.head}") for kind, column in both])
        return results
    show("encoder, features to memory, ms", list(tables["encoder"].values()))
    if generate:
        show("generate, features to tokens, ms", list(tables["generate"].values()))
    return results


def report_errors(what: str, errors: dict[str, dict[str, float]]) -> None:
    """How far the answers are from numpy's, on stderr."""
    for kind, by_name in errors.items():
        print(f"{what}, {kind}: " + ", ".join(f"{n} {e:.2g}" for n, e in by_name.items()), file=sys.stderr)
