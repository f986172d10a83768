"""The parity kit: a reference pack for whoever writes this model again, and a check that says what is wrong first.

from s2t_np.golden import check, write_pack
write_pack(s2t_np.load("digits", backend="numpy"), "recording.flac", "pack")
report = check("pack", "dump.npz")
report.first                                       the first stage that goes wrong, and how; None if none does

pack.py      every stage in float32 and float64, the tolerances that follow, checksums
format.py    the files, described for programs in any language; every pack holds the text
dump.py      what a port wrote down
arrays.py    one array in the disguise of another
mistakes/    what each stage would hold after a usual mistake
explain.py   which of all that fits
check.py     stage by stage: right, laid out otherwise, or wrong
"""

from .check import Finding, Report, check
from .pack import Pack, read_pack, write_pack

__all__ = ["Finding", "Pack", "Report", "check", "read_pack", "write_pack"]
