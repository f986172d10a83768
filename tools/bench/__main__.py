#!/usr/bin/env python3
"""How fast it is: against numpy, transformers on torch, ONNX Runtime and OpenVINO; checked, then timed in turn.

    python -m tools.bench [--only kernels fbank step encoder generate processes files] [--quick] [--json FILE]
        [--seconds 5 10 30 60] [--beams 1 5] [--runs 9] [--threads N] [--peer-python PATH ...] [--export DIR]
        [--utterances 32] [--batches 1 8 16] [--isa avx2]

Weights are random in the shape of the released s2t-small (tools/random_checkpoint.py), features are noise, and EOS is
kept out, so that all decode the 3 tokens a second asked for. All compute on the same number of threads, in turn
in one run, each peer in a process of its own; medians are printed, and ratios to the best float32 peer and to the bound
that the measured roofs of this machine set: multiply-adds of vectors, which AMX's registers may beat. A peer that is
not installed is left out by name.

    kernels     one by one, beside their numpy twins: ms, GFLOP/s or GB/s, share of the roof
    fbank       features of 10 s on one thread, beside kaldi-native-fbank
    step        one decoder step over 10 s, bare and with its beams reordered
    encoder     features to memory, by length of the sound
    generate    features to tokens, by length of the sound and beams; the encoder beside it
    processes   start-up, one file, memory: first run, warm, transformers
    files       many files: utterances a second on one core and on all
    batches     many utterances, in padded batches of a peer and together here: utterances a second, processor time

Peers may live in another environment, one with torch and `optimum-onnx[onnxruntime]`, openvino, kaldi-native-fbank:
--peer-python names its interpreter (several may be given). --export keeps the ONNX graphs, which take a minute to make.
--isa avx2 holds everybody to the instructions of a processor without AVX-512 (isa.py says how), and tells for each
process in how many of its threads Linux saw registers of AVX-512 in use all the same.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np.system.threads import processors
from s2t_np_kernels import cpu
from tools import random_checkpoint
from tools.bench.batches import COUNT, batch_table
from tools.bench.contenders import Ours, Peer, contenders, ours
from tools.bench.fbank import fbank_table
from tools.bench.held_cpuid import wide_threads
from tools.bench.isa import ENVIRONMENTS, again, way
from tools.bench.kernels import kernel_table
from tools.bench.machine import processor
from tools.bench.processes import file_table, process_table
from tools.bench.roofs import roofs
from tools.bench.tables import step_table, utterance_tables
from tools.bench.utterances import TOKENS_A_SECOND, Work

SECTIONS = ("kernels", "fbank", "step", "encoder", "generate", "processes", "files", "batches")
TOGETHER = ("step", "encoder", "generate", "processes", "batches")  # which need everybody


def machine(threads: int, isa: str | None) -> dict[str, str]:
    """Who was measured, where, with which instructions."""
    held = {"held to": way(isa)} if isa else {}
    return held | {
        "processor": f"{processor()}: {cpu.detect().description}",
        "threads": f"{threads} of {processors()} processors",
        "system": f"{platform.platform()}, Python {platform.python_version()}, numpy {np.__version__}",
        "s2t-np": s2t_np.__version__,
    }


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--quick", action="store_true", help="10 s, 5 beams, 3 runs of each")
    parser.add_argument("--seconds", type=float, nargs="+", default=[5, 10, 30, 60])
    parser.add_argument("--beams", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16], help="sizes of the peers' padded batches")
    parser.add_argument("--utterances", type=int, default=COUNT, help="in the table of batches")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--threads", type=int, help="default: the processors this process may use")
    parser.add_argument("--peer-python", nargs="+", default=[sys.executable], metavar="PATH")
    parser.add_argument("--no-peers", action="store_true", help="this project alone")
    parser.add_argument("--export", type=Path, metavar="DIR", help="where the ONNX graphs are kept, and found again")
    parser.add_argument(
        "--isa", choices=list(ENVIRONMENTS), help="hold this project and its peers to these instructions"
    )
    parser.add_argument("--shape", default="small", choices=list(random_checkpoint.SHAPES))
    parser.add_argument("--json", type=Path, help="write everything there too")
    o = parser.parse_args(argv)
    if o.quick:
        o.seconds, o.beams, o.runs = [10.0], [5], 3
    if o.no_peers:
        o.peer_python = []
    return o


def wide_registers(everybody: dict, since: float) -> dict[str, str]:
    """Print and return in which of their threads AVX-512 was used since then."""
    processes = {"s2t-np and numpy": os.getpid()}
    processes |= {name: peer.upstream.process.pid for name, peer in everybody.items() if isinstance(peer, Peer)}
    found = {name: wide_threads(process, since) for name, process in processes.items()}
    print("\nAVX-512 was used: " + ", ".join(f"{name} {where}" for name, where in found.items()), flush=True)
    return found


def with_everybody(o, folder: Path, scratch: Path, roof: dict[str, float]) -> dict:
    """The sections that race everybody, on the checkpoint in that folder."""
    result, began = {}, time.monotonic()
    with contenders(folder, o.export or scratch / "graphs", o.peer_python, s2t_np.get_threads()) as everybody:
        result["peers"] = {name: peer.versions for name, peer in everybody.items() if isinstance(peer, Peer)}
        print(json.dumps(result["peers"], indent=1))
        config = everybody["numpy"].model.config
        if "step" in o.only:
            result["step"] = step_table(everybody, config, roof, o.beams, o.runs)
        if "encoder" in o.only or "generate" in o.only:
            works = [Work(s, b, round(TOKENS_A_SECOND * s)) for s in o.seconds for b in o.beams]
            result["utterances"] = utterance_tables(everybody, works, config, roof, o.runs, "generate" in o.only)
        if "batches" in o.only:
            work = Work(o.seconds[0], max(o.beams), round(TOKENS_A_SECOND * o.seconds[0]))
            result["batches"] = batch_table(everybody, work, o.utterances, o.batches, o.runs)
        if o.isa:
            result["AVX-512"] = wide_registers(everybody, began)
        pythons = {name: peer.upstream.python for name, peer in everybody.items() if name == "transformers"}
    if "processes" in o.only:
        names = [name for name, one in everybody.items() if isinstance(one, Ours)]
        result["processes"] = process_table(names, folder, scratch, pythons.get("transformers"), o.seconds[0], o.runs)
    return result


def main(argv=None) -> int:
    """Race them all; the exit code."""
    o = arguments(argv)
    if o.isa and not way(o.isa):
        return again(o.isa, "tools.bench", sys.argv[1:] if argv is None else argv)
    s2t_np.set_threads(o.threads)
    count = s2t_np.get_threads()
    result = {"machine": machine(count, o.isa), "roofs": {n: roofs(n) for n in sorted({1, count})}}
    print(json.dumps(result, indent=1))
    if "kernels" in o.only:
        result["kernels"] = kernel_table(result["roofs"][count], o.runs)
    if "fbank" in o.only:
        result["fbank"] = fbank_table(o.peer_python, o.runs)
    with tempfile.TemporaryDirectory() as scratch:
        shape = random_checkpoint.shape_config(o.shape)
        folder = random_checkpoint.write_checkpoint(Path(scratch) / o.shape, shape)
        if set(o.only) & set(TOGETHER):
            result |= with_everybody(o, folder, Path(scratch), result["roofs"][count])
        if "files" in o.only:
            result["files"] = file_table(ours(folder), o.seconds[0], o.runs)
    if o.json:
        o.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
