"""What is too large for the memory that is free is refused in one line, before it is begun; docs/limits.md is true."""

import dataclasses
import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import s2t_np
from s2t_np import audio, config, hotwords, model
from s2t_np.audio import containers
from s2t_np.audio.checks import HIGHEST_RATE, LOWEST_RATE
from s2t_np.checkpoint import pickle_ops, safetensors
from s2t_np.checkpoint.fairseq import checkpoint as fairseq
from s2t_np.errors import AudioError, ModelError, OptionError
from s2t_np.inspect import trace
from s2t_np.inspect.golden import pack
from s2t_np.serve.settings import Limits
from s2t_np.settings import generation_config
from s2t_np.system import memory
from s2t_np.together.width import utterance_bytes
from tests.support.paths import ROOT
from tests.support.sounds import encode, signal

MEGABYTE = 10**6
FIVE = ROOT / "s2t_np" / "recordings" / "five-five.flac"


@pytest.fixture(scope="module")
def digits():
    return s2t_np.load("digits", backend="numpy")


@pytest.fixture
def little(monkeypatch):
    """Only 20 MB are free, and one asks from 1 MB on."""
    monkeypatch.setattr(memory, "free", lambda: 20 * MEGABYTE)
    monkeypatch.setattr(memory, "UNASKED", MEGABYTE)


def test_what_is_free_is_the_least_of_what_is_told(monkeypatch):
    for name, left in (("of_machine", 9), ("of_group", None), ("of_process", -5)):
        monkeypatch.setattr(memory, name, lambda left=left: left)
    assert memory.free() == 0
    monkeypatch.setattr(memory, "of_process", lambda: None)
    assert memory.free() == 9
    monkeypatch.setattr(memory, "of_machine", lambda: None)
    assert memory.free() is None and memory.lacking(1e18) is None


def test_a_container_s_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    monkeypatch.setattr(memory.Path, "read_text", read_of(tmp_path, "3000", "1000"))
    assert memory.of_group() == 2000
    monkeypatch.setattr(memory.Path, "read_text", read_of(tmp_path, "max", "1000"))
    assert memory.of_group() is None


def read_of(folder, most, current):
    """Path.read_text in a container of that limit."""
    texts = {"/proc/self/cgroup": "0::/job/one\n"}
    texts |= {f"{folder}/job/one/memory.max": f"{most}\n", f"{folder}/job/one/memory.current": f"{current}\n"}
    return lambda path, **_: texts[str(path)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux: limits of address space")
def test_the_limit_of_the_process_and_the_memory_of_the_machine():
    code = "from s2t_np.system.memory import *; print(of_machine(), of_process())"
    told = subprocess.run(
        ["bash", "-c", f"ulimit -v 4000000; exec {sys.executable} -c '{code}'"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert 1e8 < int(told[0]) < 1e14 and 1e9 < int(told[1]) < 4.096e9


def test_words():
    assert memory.lacking(1e15) == f"1,000,000.0 GB of memory, {memory.free() / 1e9:,.1f} GB are free"
    assert memory.lacking(memory.UNASKED - 1) is None and memory.lacking(memory.UNASKED) is None


def test_a_recording_that_is_held_whole(digits, little):
    long, short = (encode(signal(samples), subtype="FLOAT") for samples in (9_000_000, 100_000))
    assert len(audio.load(short, 16000)) == 100_000
    says = r"is too long to be held whole: it needs 0\.0 GB of memory, 0\.0 GB are free; stream\(\) reads it in blocks$"
    with pytest.raises(AudioError, match=says):
        audio.load(long, 16000)
    options = s2t_np.StreamOptions(max_whole_duration=1e9)
    with pytest.raises(AudioError, match=says):
        digits.transcribe(long, options=options)


def test_an_utterance_that_is_too_long(digits, little, monkeypatch):
    long, short = np.zeros((12_000, 80), np.float32), np.zeros((50, 80), np.float32)
    says = r"^120 s heard as one utterance may need 0\.0 GB of memory, 0\.0 GB are free; hear the recording in segments"
    encoded = []
    counted = digits.backend._replace(encode=lambda *args: encoded.append(1) or digits.backend.encode(*args))
    model = dataclasses.replace(digits, backend=counted)
    with pytest.raises(AudioError, match=says):
        model.encode(long)
    assert not encoded
    found = list(model.generate_batch([short, long, short], max_length=5))
    assert isinstance(found[1], AudioError) and found[0][0].tokens == found[2][0].tokens and len(encoded) == 2


def test_a_recording_too_long_to_be_one_utterance_fails_alone(digits, little):
    options = s2t_np.StreamOptions(max_whole_duration=1e9, vad_filter=False)
    long, short = digits.transcribe_batch([signal(120 * 16_000), FIVE], 16_000, options, num_beams=1, max_length=9)
    assert isinstance(long, AudioError) and str(long).startswith("120 s heard as one utterance")
    assert short.text == "five five"


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_memory_of_an_utterance_is_about_what_is_said(backend):
    """Below by tracemalloc: of the encoder, and of the keys and values that the decoder's cache begins with."""
    if backend == "numba":
        pytest.importorskip("numba")
    own = s2t_np.load("digits", backend=backend)
    features = np.random.default_rng(0).standard_normal((3000, 80), np.float32)
    own.generate(features[:100], num_beams=1, max_length=2)
    tracemalloc.start()
    try:
        own.generate(features, num_beams=1, max_length=2)
        peak = tracemalloc.get_traced_memory()[1] + features.nbytes
    finally:
        tracemalloc.stop()
    assert 0.5 * peak < utterance_bytes(own.config, len(features)) < 2 * peak


def test_hypotheses_side_by_side(digits, little):
    features = np.zeros((50, 80), np.float32)
    with pytest.raises(
        OptionError, match=r"^1024 hypotheses side by side \(batch 1, num_beams 1024\) of up to 120 tok"
    ):
        digits.generate(features, num_beams=1024, max_length=120)
    with pytest.raises(OptionError, match=r"up to 100000 tokens may need .* expected fewer of them or a lower max_le"):
        digits.generate(features, num_beams=5, max_length=100_000)
    with pytest.raises(OptionError, match=r"batch 1000, num_beams 1"):
        digits.transcribe_batch([], batch=1000, num_beams=1)
    assert digits.generate(features, num_beams=5, max_length=20)


def test_weights(little, monkeypatch):
    assert s2t_np.load("digits", backend="numpy")
    monkeypatch.setattr(memory, "free", lambda: 8 * MEGABYTE)
    with pytest.raises(
        ModelError, match=r"digits: its weights need 0\.0 GB of memory, 0\.0 GB are free; expected a sm"
    ):
        s2t_np.load("digits", backend="numpy")


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux: limits of address space")
def test_the_command_under_a_limit():
    command = (
        f"{sys.executable} -m s2t_np transcribe --model digits --backend numpy --beams 1024 --max-length 100000 {FIVE}"
    )
    done = subprocess.run(
        ["bash", "-c", f"ulimit -v 4000000; {command}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and "GB are free" in done.stderr


STATED = [  # the row, the numbers in it
    ("sampling rate", (LOWEST_RATE, HIGHEST_RATE)),
    ("recordings joined", (containers.MOST_JOINED,)),
    ("`num_beams`", (generation_config.MOST_ROWS,)),
    ("`max_length`, ", (generation_config.MOST_TOKENS,)),
    ("hotwords", (hotwords.MOST_PHRASES, round(hotwords.MOST_WEIGHT))),
    ("a text that", (model.LONGEST_TEXT,)),
    ("vocabulary", (1 << 20,)),
    ("layers, width", (config.MOST_LAYERS, config.MOST_UNITS, config.MOST_BINS)),
    ("a JSON file", (config.MAX_JSON_BYTES >> 20,)),
    ("header of a", (safetensors.MAX_HEADER // MEGABYTE, safetensors.MAX_VALUES)),
    ("pickle", (pickle_ops.MAX_STEPS, fairseq.MAX_STEPS, pickle_ops.MAX_PROGRAM >> 20)),
    ("arrays", (trace.LIMIT >> 30, pack.LIMIT // MEGABYTE)),
    ("upload", (round(Limits().max_upload),)),
]


@pytest.mark.parametrize(("row", "numbers"), STATED)
def test_the_page_states_the_limits_of_the_code(row, numbers):
    lines = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(f"| {row}"))
    told = line.split("|")[2]
    assert [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?<!,)", told)] == list(numbers)


BEYOND = [  # options that are one too many
    {"num_beams": generation_config.MOST_ROWS + 1},
    {"num_return_sequences": generation_config.MOST_ROWS + 1},
    {"max_length": generation_config.MOST_TOKENS + 1},
    {"max_new_tokens": generation_config.MOST_TOKENS + 1},
    {"hotwords": ",".join(f"one{'two' * n}" for n in range(1, hotwords.MOST_PHRASES + 2))},
    {"hotwords": "one:101"},
]


@pytest.mark.parametrize("options", BEYOND, ids=lambda options: f"{options!s:.40}")
def test_one_too_many(digits, options):
    with pytest.raises(OptionError, match=next(iter(options))):
        digits.generate(np.zeros((50, 80), np.float32), **options)


@pytest.mark.parametrize(
    "field",
    [
        {"vocab_size": (1 << 20) + 1},
        {"encoder_layers": config.MOST_LAYERS + 1},
        {"d_model": config.MOST_UNITS + 2},
        {"input_feat_per_channel": config.MOST_BINS + 1},
    ],
)
def test_shapes_beyond_all_models(field):
    with pytest.raises(ModelError, match=next(iter(field))):
        config.ModelConfig.from_dict({"model_type": "speech_to_text"} | field)
