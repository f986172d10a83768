"""The cost of a whole process that transcribes one file, and of many files on one core and on all.

Wall time is that of the process from outside. Peak memory is VmHWM, read by the process at its end: ru_maxrss would
count what the parent held when it forked. "First run" compiles all kernels into an empty cache, "warm" finds them
there and the files in the system's cache. The command is run as a user runs it; transformers by the script its
documentation gives.
"""

import os
import statistics
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np

from s2t_np.system.threads import processors
from s2t_np.together import ALONE, Sharing, ordered
from tools.bench.contenders import Ours
from tools.bench.utterances import REST

ROOT = Path(__file__).resolve().parents[2]
RECORDING = ROOT / "s2t_np" / "recordings" / "two-nine-three-four-zero.flac"
RATE, FILES = 16_000, 32
PEAK = """
import re, sys
def tell():
    with open("/proc/self/status") as status:
        print("VmHWM", re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1], file=sys.stderr)
"""
OURS = """
from s2t_np.cli import main
code = main(sys.argv[1:])
tell()
sys.exit(code)
"""
THEIRS = """
sys.modules["kernels"] = None  # a package that transformers would look into, were ours on the path
import wave
import numpy as np
from transformers import Speech2TextForConditionalGeneration, Speech2TextProcessor
with wave.open(sys.argv[2]) as file:
    samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 2**15
model = Speech2TextForConditionalGeneration.from_pretrained(sys.argv[1])
processor = Speech2TextProcessor.from_pretrained(sys.argv[1])
inputs = processor(samples, sampling_rate=16000, return_tensors="pt")
ids = model.generate(inputs["input_features"], attention_mask=inputs["attention_mask"], max_length=int(sys.argv[3]))
print(processor.batch_decode(ids, skip_special_tokens=True)[0])
tell()
"""


def write_speech(path: Path, seconds: float) -> Path:
    """A 16-bit WAV file of a bundled recording, said again and again: of noise the command would write nothing.

    Only one saying is in memory, because who measures a peak may write the file in the process that is measured.
    """
    import soundfile

    spoken, _ = soundfile.read(RECORDING, dtype="int16")
    count = round(seconds * RATE)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        for begin in range(0, count, len(spoken)):
            file.writeframes(spoken[: count - begin].astype("<i2").tobytes())
    return path


def process(command: list[str], home: Path, **environment: str) -> dict:
    """Wall seconds, peak megabytes and output of a Python process. Raises SystemExit where it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | environment, cwd=home, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"{' '.join(command[-3:])}: {done.stderr.strip()[-500:]}")
    peak = next((int(line.split()[1]) / 1024 for line in done.stderr.splitlines() if line.startswith("VmHWM")), None)
    return {"seconds": seconds, "megabytes": peak, "text": done.stdout.strip()}


def command_line(name: str, folder: Path, audio: Path, tokens: int) -> list[str]:
    """s2t-np transcribe on the backend and weight type of a contender's name."""
    which = ["--backend", "numpy"] if name == "numpy" else ["--backend", "numba", "--dtype", name.split()[1]]
    options = ["--model", str(folder), "--max-length", str(tokens + 1), *which]
    return [sys.executable, "-c", PEAK + OURS, "transcribe", *options, str(audio)]


def processes(names: list[str], folder: Path, scratch: Path, python: str | None, seconds: float, runs: int) -> dict:
    """{who: {"seconds", "megabytes"}} for one file of that length; `python` has transformers, or is None.

    The text of the exact ones must be the same. Raises SystemExit.
    """
    audio, tokens = write_speech(scratch / "speech.wav", seconds), round(3 * seconds)
    commands = {f"{name}, warm": (command_line(name, folder, audio, tokens), ROOT) for name in names}
    if python:
        commands["transformers"] = (
            [python, "-P", "-c", PEAK + THEIRS, str(folder), str(audio), str(tokens + 1)],
            scratch,
        )
    found = {}
    if "s2t-np float32" in names:
        first = process(*commands["s2t-np float32, warm"], S2T_NP_CACHE_DIR=str(scratch / "cache"))
        found["s2t-np float32, first run"] = [first]
    for turn in range(runs + 1):
        for name, command in commands.items():
            found.setdefault(name, []).extend([process(*command)] * bool(turn))
    texts = {name: rows[0]["text"] for name, rows in found.items() if "16" not in name and "int8" not in name}
    if len(set(texts.values())) > 1:
        raise SystemExit(f"not the same text: {texts}")
    return {
        name: {k: statistics.median(row[k] for row in rows) for k in ("seconds", "megabytes")}
        for name, rows in found.items()
    }


def process_table(names: list[str], folder: Path, scratch: Path, python: str | None, seconds: float, runs: int) -> dict:
    """Print and return `processes`."""
    found = processes(names, folder, scratch, python, seconds, runs)
    print(f"\n| one process, {seconds:g} s of sound | wall | peak memory |\n|---|---|---|")
    for name, row in found.items():
        print(f"| {name} | {row['seconds']:.2f} s | {row['megabytes']:.0f} MB |", flush=True)
    return found


def file_table(own: dict[str, Ours], seconds: float, runs: int) -> dict[str, dict[str, float]]:
    """Print and return `many_files` for each of ours."""
    found, tokens = {}, round(3 * seconds)
    options = {"num_beams": 5, "early_stopping": True, "min_length": tokens, "max_length": tokens + 1}
    print(f"\n{FILES} files of {seconds:g} s, a second")
    for name, contender in own.items():
        bins = contender.model.config.input_feat_per_channel
        noise = [np.random.default_rng(i).standard_normal((round(100 * seconds) - 2, bins)) for i in range(FILES)]
        found[name] = many_files(contender.model, [x.astype(np.float32) for x in noise], options, runs)
        row = ", ".join(f"{way}: {rate:.2f}" for way, rate in found[name].items())
        print(f"{name}: {row}", flush=True)
    return found


def ways(model, options: dict) -> dict[str, Sharing]:
    """How many utterances each scheduler runs together, and how many schedulers there are, each on a core."""
    cores, best = processors(), model.batch_size(**options)
    return {
        "alone on all cores": ALONE,
        "one a core": Sharing(1, cores),
        f"{best} together on all cores": Sharing(best),
        f"{best} together on each core": Sharing(best, cores),
        f"{max(1, best // cores)} together on each core": Sharing(max(1, best // cores), cores),
    }


def many_files(model, features: list[np.ndarray], options: dict, runs: int) -> dict[str, float]:
    """{way: utterances a second}. Every result must be the one that the utterance has alone. Raises SystemExit."""
    expected = [model.generate(x, **options)[0].tokens for x in features]
    times = {way: [] for way in ways(model, options)}
    for _ in range(runs):
        for way, sharing in ways(model, options).items():
            time.sleep(REST)
            began = time.perf_counter()
            found = [h[0].tokens for h in ordered(begun(model, features, options), model.step_together, sharing)]
            times[way].append(time.perf_counter() - began)
            if found != expected:
                raise SystemExit(f"{way}: other tokens than alone")
    return {way: len(features) / statistics.median(values) for way, values in times.items()}


def begun(model, features: list[np.ndarray], options: dict):
    """Each utterance, when it is its turn."""
    return (model.begin(x, **options) for x in features)
