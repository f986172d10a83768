"""Compare a port's dump with a pack, stage by stage in the order of computation, and explain the first wrong stage.

After the first wrong stage everything that follows from it is wrong as well, so only the first is explained. A stage
whose numbers are right in another layout (a batch axis, transposed) is reported, and read in the right one.
"""

from typing import NamedTuple

import numpy as np

from .arrays import difference, layouts, rms_difference
from .dump import read_dump
from .explain import explain
from .mistakes import Evidence
from .pack import Pack, read_pack


class Finding(NamedTuple):
    """The verdict about one stage."""

    stage: str
    error: float  # r.m.s. of the difference to the truth; inf where shapes or infinities differ
    allowed: float
    right: bool
    layout: str = ""  # the other layout that the numbers came in: "an extra batch axis"
    says: str = ""  # the explanation of the first wrong stage


class Report(NamedTuple):
    """The verdict about a dump."""

    findings: list[Finding]  # for the stages that the dump holds, in the order of computation
    stages: list[str]  # all stages of the pack
    unknown: list[str]  # names in the dump that are not stages

    @property
    def first(self) -> Finding | None:
        """The first stage that is wrong."""
        return next((finding for finding in self.findings if not finding.right), None)

    @property
    def agrees(self) -> bool:
        """True if every stage is right and laid out as expected."""
        return all(finding.right and not finding.layout for finding in self.findings)

    @property
    def absent(self) -> list[str]:
        """The stages that the dump does not hold."""
        held = {finding.stage for finding in self.findings}
        return [stage for stage in self.stages if stage not in held]

    def unseen_before(self, stage: str) -> list[str]:
        """The stages just before `stage` that the dump does not hold: the mistake may be in any of them."""
        held = {finding.stage for finding in self.findings}
        before = self.stages[: self.stages.index(stage)]
        last = max((i for i, name in enumerate(before) if name in held), default=-1)
        return before[last + 1 :]


def check(folder, dump) -> Report:
    """Compare a dump (.npz, .safetensors, folder of .npy) to the pack in `folder`. Raises ModelError for either."""
    pack = read_pack(folder)
    held, unknown = read_dump(dump, pack.truth)
    laid_out = {stage: in_layout(held[stage], pack.truth[stage]) for stage in pack.truth if stage in held}
    evidence = Evidence(pack, {stage: x for stage, (_, x) in laid_out.items() if x.shape == pack.truth[stage].shape})
    findings, explained = [], False
    for stage, (layout, x) in laid_out.items():
        finding = judge(pack, stage, layout, x)
        if not finding.right and not explained:
            finding, explained = finding._replace(says=explain(evidence, stage, x)), True
        findings.append(finding)
    return Report(findings, list(pack.truth), unknown)


def in_layout(found: np.ndarray, truth: np.ndarray) -> tuple[str, np.ndarray]:
    """The name of the view of `found` that comes closest to the truth, and the view; `found` itself if none fits."""
    views = [(rms_difference(x, truth), i, says, x) for i, (says, x) in enumerate(layouts(found, truth.shape))]
    return min(views)[2:] if views else ("", found)


def judge(pack: Pack, stage: str, layout: str, found: np.ndarray) -> Finding:
    """Right or wrong, by both tolerances of the stage."""
    truth, allowed = pack.truth[stage], pack.records[stage]["tolerance"]
    error = rms_difference(found, truth)
    right = error <= allowed["rms"] and float(difference(found, truth).max(initial=0.0)) <= allowed["largest"]
    return Finding(stage, error, allowed["rms"], right, layout)
