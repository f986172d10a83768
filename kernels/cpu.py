"""Which instructions this machine has, and which register tile suits them.

The answer comes from LLVM, through the same settings Numba compiles with (NUMBA_CPU_NAME and NUMBA_CPU_FEATURES are
respected), so a kernel never contains an instruction that the compiler was not told of. A test, or a doubtful user,
takes features away with S2T_NP_CPU_FEATURES, a comma-separated list of those that may be used ("" means none): the
plain paths can be run on any machine.
"""

import ctypes
import functools
import os
import platform
import sys
from collections.abc import Callable
from typing import NamedTuple

ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA = 158, 0x1023, 18  # Linux, Documentation/arch/x86/xstate.rst


class Cpu(NamedTuple):
    """A processor as the kernels see it."""

    name: str  # LLVM's name, "generic" when unknown
    machine: str  # x86_64, aarch64, ...
    features: frozenset[str]  # LLVM's names of the instruction sets that may be used

    @property
    def has_fma(self) -> bool:
        """x86 has fused multiply-add as an extension; on the other machines LLVM knows, the baseline has it."""
        return "fma" in self.features or self.machine not in ("x86_64", "amd64", "x86")

    @property
    def has_wide_registers(self) -> bool:
        """32 registers of 16 floats: a tile of 8 x 32 stays in them. Elsewhere 6 x 16 is what fits."""
        return "avx512f" in self.features

    @property
    def has_vnni(self) -> bool:
        """vpdpbusd on 512 bits: 64 multiplications of bytes in one instruction."""
        return "avx512vnni" in self.features and "avx512f" in self.features

    @property
    def has_avx_vnni(self) -> bool:
        """The same on 256 bits, as processors for desktops have it."""
        return "avxvnni" in self.features and "avx2" in self.features

    @property
    def pair_bits(self) -> int:
        """Bits of the widest register for pmaddwd, which adds products of 16-bit numbers in pairs; 0 for none."""
        if self.machine not in ("x86_64", "amd64"):
            return 0
        return 512 if "avx512bw" in self.features else 256 if "avx2" in self.features else 128

    @property
    def multiplies_pairs(self) -> bool:
        """pmaddwd is the best there is for bytes: they are widened to 16 bits before (ops/gemm_pairs.py)."""
        return self.pair_bits > 0 and not (self.has_vnni or self.has_avx_vnni)

    @property
    def has_tiles(self) -> bool:
        """AMX: registers of 16 rows of 64 bytes, and products of whole registers."""
        return {"amx-tile", "amx-int8", "avx512f"} <= self.features

    @property
    def has_float_tiles(self) -> bool:
        """AMX with products of bfloat16, three of which hold a float (simd/tile_pieces.py)."""
        return {"amx-tile", "amx-bf16", "avx512f"} <= self.features

    @property
    def has_half(self) -> bool:
        """float16 to float32 in one instruction: F16C on x86, the baseline of 64-bit ARM."""
        return "f16c" in self.features or "avx512f" in self.features or self.machine in ("aarch64", "arm64")

    @property
    def description(self) -> str:
        """One line for `s2t-np info`."""
        sets = [
            name
            for name in ("amx-bf16", "amx-int8", "avx512vnni", "avx512f", "avxvnni", "avx2", "fma", "neon")
            if name in self.features
        ]
        return f"{self.name} ({self.machine}; {', '.join(sets) or 'baseline instructions'})"


@functools.cache
def compiler_target() -> tuple[str, str]:
    """Name and feature string ("+avx2,-sha,...") that Numba hands to LLVM."""
    import llvmlite.binding as llvm

    name = os.environ.get("NUMBA_CPU_NAME") or llvm.get_host_cpu_name()
    if (features := os.environ.get("NUMBA_CPU_FEATURES")) is not None:
        return name, features
    return name, "" if name == "generic" else llvm.get_host_cpu_features().flatten()


@functools.cache
def may_use_tiles() -> bool:
    """Ask the kernel for AMX's registers: a process that was not allowed them is ended at their first use."""
    if not sys.platform.startswith("linux"):
        return False
    system_call = ctypes.CDLL(None, use_errno=True).syscall
    return system_call(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0


def detect() -> Cpu:
    """The processor this process runs on, less what S2T_NP_CPU_FEATURES takes away."""
    return _cpu(*compiler_target(), os.environ.get("S2T_NP_CPU_FEATURES"), may_use_tiles)


@functools.cache
def _cpu(name: str, flags: str, allowed: str | None, may_use_tiles: Callable[[], bool]) -> Cpu:
    features = frozenset(flag[1:] for flag in flags.split(",") if flag.startswith("+"))
    if allowed is not None:
        features &= frozenset(allowed.split(","))
    if "amx-tile" in features and not may_use_tiles():
        features -= {"amx-tile", "amx-int8", "amx-bf16"}
    return Cpu(name, platform.machine().lower(), features)
