"""Peers that are not torch: ONNX Runtime and OpenVINO on graphs that optimum exported, and kaldi-native-fbank.

Started by `pipe.py`, never imported; how jobs arrive is described in serve_jobs.py. Both engines run the same
three graphs of an export: encoder_model, decoder_model (first token, empty cache), decoder_with_past_model (one token
more). Arrays go in and out without a copy where the engine allows it, and OpenVINO is told to compute in float32, as
the others do.

Shape letters as in s2t_np/ops.py.
"""

import functools
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.append(os.path.dirname(os.path.abspath(__file__)))  # last, so that it hides nothing; for the import below
from serve_jobs import in_batches, numbered, serve

PACKAGES = ("onnxruntime", "openvino", "optimum-onnx", "kaldi-native-fbank", "onnx", "numpy")
GRAPHS = ("encoder_model", "decoder_model", "decoder_with_past_model")


class Graph(NamedTuple):
    """A graph that an engine has compiled."""

    inputs: frozenset[str]
    run: Callable[[dict], dict]  # {name: array} -> {name: array}, valid until the next run

    def __call__(self, feeds: dict) -> dict:
        """Run with those of the arrays that the graph takes."""
        return self.run({name: array for name, array in feeds.items() if name in self.inputs})


def on_onnxruntime(path: str, threads: int) -> Graph:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, session_options(threads), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    inputs = frozenset(i.name for i in session.get_inputs())
    return Graph(inputs, lambda feeds: dict(zip(names, session.run(names, feeds), strict=True)))


def session_options(threads: int):
    """ONNX Runtime's settings."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    return options


def on_openvino(path: str, threads: int) -> Graph:
    import openvino

    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(path, "CPU", hints)
    request = model.create_infer_request()

    def run(feeds):
        found = request.infer(feeds, share_inputs=True, share_outputs=True)
        return {output.any_name: value for output, value in found.items()}

    return Graph(frozenset(name for i in model.inputs for name in i.names), run)


ENGINES = {"onnxruntime": on_onnxruntime, "openvino": on_openvino}


@functools.cache
def graph(engine: str, folder: str, name: str, threads: int, shape: tuple = ()) -> Graph:
    """A graph of that folder; `shape` keeps those for inputs of different sizes apart."""
    return ENGINES[engine](str(Path(folder) / f"{name}.onnx"), threads)


class Session(NamedTuple):
    """A graph of OpenVINO in the place where optimum calls a session of ONNX Runtime.

    It is compiled for each size of a batch: OpenVINO 2026.4 gives an output of the old shape after the batch shrinks.
    """

    engine: str
    folder: str
    name: str
    threads: int
    outputs: list[str]  # their names in the order in which optimum expects them

    def run(self, names, feeds: dict) -> list[np.ndarray]:
        """All outputs; copies, since the next run reuses them."""
        x = feeds.get("input_features", feeds.get("input_ids"))
        found = graph(self.engine, self.folder, self.name, self.threads, x.shape)(feeds)
        return [np.array(found[name]) for name in self.outputs]


@functools.cache
def generator(engine: str, folder: str, threads: int):
    """The model as optimum wraps it for transformers' generate.

    For OpenVINO the sessions of that wrapper are replaced: optimum-intel 1.27 cannot export this architecture with its
    caches inside, and with them outside its generate gives the decoder a mask of the wrong length.
    """
    from optimum.onnxruntime import ORTModelForSpeechSeq2Seq

    bound = engine == "onnxruntime"  # whether outputs stay where ONNX Runtime put them
    settings = {"session_options": session_options(threads), "use_io_binding": bound, "use_merged": False}
    model = ORTModelForSpeechSeq2Seq.from_pretrained(folder, **settings)
    if not bound:
        for name, part in zip(GRAPHS, (model.encoder, model.decoder, model.decoder_with_past), strict=True):
            outputs = [output.name for output in part.session.get_outputs()]
            part.session = Session(engine, folder, name, threads, outputs)
    return model


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(arrays: dict) -> tuple[dict, dict]:
    """What is installed here, and what is not (null)."""
    return {"python": sys.version.split()[0], **{package: version(package) for package in PACKAGES}}, {}


def quantize(arrays: dict, source: str, target: str) -> tuple[None, dict]:
    """An export with 8-bit weights, per channel, and activations quantized as they come, as ONNX Runtime does it."""
    from onnxruntime.quantization import quantize_dynamic

    Path(target).mkdir(parents=True, exist_ok=True)
    for path in Path(source).glob("*.json"):
        shutil.copy(path, target)
    for name in GRAPHS:
        quantize_dynamic(Path(source) / f"{name}.onnx", Path(target) / f"{name}.onnx", per_channel=True)
    return None, {}


def seconds(arrays: dict, engine: str, folder: str, threads: int, **options) -> tuple[list, dict]:
    """Tokens of the best hypothesis for features.0, how long the encoder alone and the whole of generate took; memory.

    Without options the encoder runs alone.
    """
    x = arrays["features.0"][None]
    feeds = {"input_features": x, "attention_mask": np.ones(x.shape[:2], np.int64)}
    encoder = graph(engine, folder, "encoder_model", threads)
    began = time.perf_counter()
    memory = encoder(feeds)["last_hidden_state"][0]
    times, tokens, memory = {"encoder": time.perf_counter() - began}, [], np.array(memory)
    if options:
        import torch

        model = generator(engine, folder, threads)
        began = time.perf_counter()
        tokens = model.generate(torch.from_numpy(x), **options)[0].tolist()
        times["generate"] = time.perf_counter() - began
    return [tokens, times], {"memory": memory}


def batch_seconds(arrays: dict, engine: str, folder: str, threads: int, width: int, **options) -> tuple[list, dict]:
    """Tokens of the best hypotheses for features.i, and the seconds that generate took in padded batches of `width`."""
    import torch

    model = generator(engine, folder, threads)

    def generate(batch, mask):
        tensors = {"input_features": torch.from_numpy(batch), "attention_mask": torch.from_numpy(mask)}
        return model.generate(**tensors, **options).tolist()

    return in_batches(numbered(arrays, "features"), width, generate), {}


def past(found: dict) -> dict:
    """The caches that a graph gave, under the names by which it takes them; copies, since the next run reuses them."""
    return {name.replace("present", "past_key_values"): np.array(x) for name, x in found.items() if "present" in name}


def reordered(found: dict, order: np.ndarray) -> dict:
    """The beams' own caches in another order; those over the sound are the same for all beams."""
    return {name: x[order] for name, x in found.items() if ".decoder." in name}


def step_seconds(arrays: dict, engine: str, folder: str, threads: int, turns: int) -> tuple[dict, dict]:
    """Medians of one decoder step over memory (S, D) after tokens (K, U): bare, and with the caches' beams reordered.

    Also the logits (K, V) of the last token.
    """
    tokens = arrays["tokens"]
    memory = np.repeat(arrays["memory"][None], len(tokens), axis=0)
    frames = 4 * (memory.shape[1] - 1) + 1  # the graph halves the mask twice, as the two convolutions do the features
    feeds = {"encoder_hidden_states": memory, "encoder_attention_mask": np.ones((len(tokens), frames), np.int64)}
    first, step = (graph(engine, folder, name, threads) for name in GRAPHS[1:])
    feeds |= past(first(feeds | {"input_ids": tokens[:, :1]}))
    for i in range(1, tokens.shape[1] - 1):
        feeds |= past(step(feeds | {"input_ids": np.ascontiguousarray(tokens[:, i : i + 1])}))
    feeds["input_ids"] = np.ascontiguousarray(tokens[:, -1:])
    order, times = np.arange(len(tokens)), {"step": [], "step and reorder": []}
    for kind, values in times.items():
        for _ in range(turns):
            began = time.perf_counter()
            found = step(feeds)
            if kind != "step":
                reordered(found, order)
            values.append(time.perf_counter() - began)
    logits = np.array(found["logits"][:, -1])
    return {kind: statistics.median(values) for kind, values in times.items()}, {"logits": logits}


def fbank(arrays: dict, rate: int, bins: int) -> tuple[float, dict]:
    """Log-mel features (T, M) of samples (N,) in 16-bit scale by kaldi-native-fbank, and the seconds it took."""
    import kaldi_native_fbank

    options = kaldi_native_fbank.FbankOptions()
    options.frame_opts.samp_freq, options.frame_opts.dither = rate, 0
    options.mel_opts.num_bins = bins
    samples = (arrays["samples"] * 2.0**15).tolist()  # a list, which it takes in faster than an array
    began = time.perf_counter()
    computer = kaldi_native_fbank.OnlineFbank(options)
    computer.accept_waveform(rate, samples)
    computer.input_finished()
    frames = [computer.get_frame(i) for i in range(computer.num_frames_ready)]
    return time.perf_counter() - began, {"features": np.array(frames)}


if __name__ == "__main__":
    serve((versions, quantize, seconds, batch_seconds, step_seconds, fbank))
