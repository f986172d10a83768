"""The parity kit: a reference pack for a port of this model, and a check that names the port's first wrong stage.

from s2t_np.golden import check, write_pack
write_pack(s2t_np.load("digits", backend="numpy"), "recording.flac", "pack")
report = check("pack", "dump.npz")
report.first                                       the first wrong stage, and its explanation; None if all are right

pack.py      every stage in float32 and float64, the tolerances that follow, checksums
format.py    the files, described for programs in any language; every pack holds the text
dump.py      reads the arrays that a port wrote
arrays.py    compares two arrays, also in another layout, scaled, shifted or rounded
mistakes/    the numbers that each usual mistake leads to
explain.py   finds the explanation that fits best
check.py     stage by stage: right, laid out otherwise, or wrong
"""

from .check import Finding, Report, check
from .pack import LIMIT, Pack, read_pack, write_pack

__all__ = ["LIMIT", "Finding", "Pack", "Report", "check", "read_pack", "write_pack"]
