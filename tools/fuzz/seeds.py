"""Whole files for a campaign to damage: {name: content}, small, of every variety that a format has."""

import functools
import io
import json
import struct
import tempfile
from pathlib import Path

import numpy as np

from tests.support import checkpoints, fairseq_checkpoints
from tools.random_checkpoint import variant_config, write_checkpoint

from .readers import RATE, SETTING, STAMP

ROOT = Path(__file__).resolve().parent.parent.parent


def content(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


@functools.cache
def model_folder() -> dict[str, bytes]:
    """A small checkpoint folder of transformers' layout."""
    with tempfile.TemporaryDirectory() as folder:
        return content(write_checkpoint(Path(folder), variant_config("one-conv")))


@functools.cache
def fairseq_folder() -> dict[str, bytes]:
    """A small checkpoint folder of fairseq's layout."""
    with tempfile.TemporaryDirectory() as folder:
        fairseq_checkpoints.example(encoder_layers=1, decoder_layers=1).write(Path(folder), "model.pt")
        return content(Path(folder))


def json_files() -> dict[str, bytes]:
    return {name: data for name, data in model_folder().items() if name.endswith(".json") and name != "vocab.json"}


def vocabulary() -> dict[str, bytes]:
    return {"vocab.json": model_folder()["vocab.json"]}


def sentencepiece() -> dict[str, bytes]:
    return {"sentencepiece.bpe.model": model_folder()["sentencepiece.bpe.model"]}


def safetensors() -> dict[str, bytes]:
    return {"model.safetensors": checkpoints.safetensors(checkpoints.example())}


def torch_zip() -> dict[str, bytes]:
    return {"pytorch_model.bin": checkpoints.torch_zip(checkpoints.example())}


def torch_legacy() -> dict[str, bytes]:
    return {"pytorch_model.bin": checkpoints.torch_legacy(checkpoints.example())}


def fairseq_text() -> dict[str, bytes]:
    return {name: fairseq_folder()[name] for name in ("config.yaml", "dict.txt")}


def fairseq_weights() -> dict[str, bytes]:
    return {"model.pt": fairseq_folder()["model.pt"]}


SOUNDS = {
    "wav": (*(("WAV", kind) for kind in ("PCM_16", "PCM_U8", "FLOAT", "ULAW")), ("WAVEX", "PCM_24"), ("RF64", None)),
    "flac": (("FLAC", "PCM_16"), ("FLAC", "PCM_24")),
    "ogg": (("OGG", "VORBIS"), ("OGG", "OPUS")),
    "mpeg": (("MP3", None),),
    "aiff": (("AIFF", "PCM_16"), ("AIFF", "FLOAT"), ("AU", "PCM_16"), ("AU", "ULAW")),
    "caf": (("CAF", "PCM_16"), ("CAF", "ALAC_16")),
    "w64": (("W64", "PCM_16"),),
}


@functools.cache
def sound(kind: str) -> dict[str, bytes]:
    """Half a second of tones in each variety of a container, mono and stereo."""
    import soundfile

    t = np.arange(RATE // 2)[:, None] / RATE
    noise = 0.01 * np.random.default_rng(0).standard_normal(t.shape)
    stereo = 0.3 * np.sin(2 * np.pi * np.array([300, 440]) * t) + noise
    files = {}
    for number, (container, subtype) in enumerate(SOUNDS[kind]):
        for channels in (1, 2):
            file = io.BytesIO()
            soundfile.write(file, stereo[:, :channels], RATE, format=container, subtype=subtype)
            files[f"{number}-{channels}.{kind}"] = file.getvalue()
    return files


def manifests() -> dict[str, bytes]:
    """One small table of each kind, of recordings that lie beside it."""
    rows = [{"id": f"u{n}", "audio": f"{n}.wav", "text": f"the words of {n}"} for n in range(3)]
    lines = [list(rows[0])] + [list(row.values()) for row in rows]
    nemo = [{"audio_filepath": f"{n}.wav", "duration": 0.5, "offset": 0.1, "text": "one two"} for n in range(3)]
    return {
        "table.tsv": "\n".join("\t".join(line) for line in lines).encode(),
        "table.csv": "\n".join(",".join(line) for line in lines).encode(),
        "lines.jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "nemo.json": "\n".join(map(json.dumps, nemo)).encode(),
    }


def recordings() -> dict[str, bytes]:
    """The recordings that the manifests are about."""
    return {f"{number}.wav": sound("wav")["0-1.wav"] for number in range(3)}


@functools.cache
def result_lines() -> dict[str, bytes]:
    """The results of an evaluation."""
    from s2t_np.evaluation.corpus import Utterance
    from s2t_np.evaluation.report import Results, compare

    with tempfile.TemporaryDirectory() as folder:
        results = Results.open(Path(folder, "results.jsonl"), SETTING, resume=False)
        for number in range(3):
            utterance = Utterance(f"u{number}", f"{number}.wav", "one two three")
            results.add(compare(utterance, "one too", "case", 1.5, 0.01))
        results.close()
        return content(Path(folder))


def references() -> dict[str, bytes]:
    """The transcripts of a chapter."""
    return {"1-2.trans.txt": "".join(f"{n} THE WORDS OF {n}\n" for n in range(3)).encode()}


def chapter() -> dict[str, bytes]:
    """The recordings that the transcripts are about."""
    return {f"{number}.wav": sound("wav")["0-1.wav"] for number in range(3)}


def requests() -> dict[str, bytes]:
    """Requests of every kind, as tools/fuzz/requests.py reads them."""
    host, sound = "host: localhost", sound_of_a_request()
    fields = {"model": "digits", "response_format": "verbose_json", "temperature": "0", "language": "en"}
    fields |= {"timestamp_granularities[]": "word", "hotwords": "six:2", "chunking_strategy": "auto"}
    where = "POST /v1/audio/transcriptions"
    samples = sound[44:]
    start = json.dumps({"type": "start", "rate": RATE, "encoding": "pcm16", "words": True, "partial": False}).encode()
    said = [(b"text", start), (b"bytes", samples[:9000]), (b"bytes", samples[9000:]), (b"text", b'{"type": "end"}')]
    return {
        "whole.http": form(where, host, fields, sound),
        "stream.http": form(where, host, {"model": "digits", "response_format": "json", "stream": "true"}, sound),
        "page.http": form("POST /explorer", host, {"model": "digits"}, sound[:10_000]),
        "models.http": f"GET /v1/models/digits?a=b\n{host}\naccept: */*\n\n".encode(),
        "live.ws": f"WS /v1/live\n{host}\n\n".encode() + b"".join(b"%s %d\n%s" % (k, len(d), d) for k, d in said),
    }


def sound_of_a_request() -> bytes:
    """A second of a bundled recording, as a WAV file of 16 bits."""
    import soundfile

    from s2t_np import audio

    file = io.BytesIO()
    spoken = audio.load(ROOT / "s2t_np" / "recordings" / "five-five.flac", RATE)
    soundfile.write(file, spoken[:RATE], RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def form(where: str, host: str, fields: dict[str, str], sound: bytes) -> bytes:
    """A request with a form of text fields and a file (RFC 7578)."""
    parts = "".join(f'--b\r\ncontent-disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items())
    parts += '--b\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\ncontent-type: audio/wav\r\n\r\n'
    body = parts.encode() + sound + b"\r\n--b--\r\n"
    head = f"{where}\n{host}\ncontent-type: multipart/form-data; boundary=b\ncontent-length: {len(body)}\n\n"
    return head.encode() + body


def features() -> dict[str, bytes]:
    """Features of an utterance, as fairseq keeps them."""
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).standard_normal((9, 80)).astype(np.float32))
    return {"features.npy": file.getvalue()}


def lists() -> dict[str, bytes]:
    return {"files.txt": b"a.wav\nb b.flac\n\xc5\x82.mp3\n"}


RESULT = b'{"text": "one"}\n'


def journals() -> dict[str, bytes]:
    """The notes of a batch, into one file and into a folder."""
    import hashlib

    digest = hashlib.sha256(RESULT).hexdigest()
    noted = STAMP | {"sha256": "0" * 64}
    ends = [noted | {"end": len(RESULT), "result": digest}, {"cut": len(RESULT)}]
    ends += [noted | {"input": "b.wav", "end": 2 * len(RESULT), "result": digest}]
    outputs = [noted | {"outputs": {"a.txt": digest}}, {"outputs": {"b.txt": None}}]
    outputs += [noted | {"input": "b.wav", "incomplete": "breaks off", "outputs": {"b.txt": digest}}]
    as_lines = [b"".join(json.dumps(entry).encode() + b"\n" for entry in entries) for entries in (ends, outputs)]
    return {".out.jsonl.s2t-np-done.jsonl": as_lines[0], ".s2t-np-done.jsonl": as_lines[1]}


def results() -> dict[str, bytes]:
    """The files that the notes are about."""
    return {"out.jsonl": 2 * RESULT, "a.txt": RESULT, "b.txt": RESULT}


def kernels() -> dict[str, bytes]:
    from s2t_np_kernels.build import cache
    from s2t_np_kernels.build.object_loader import Code

    codes = [Code(["step"], ["add"], b"\x7fELF" * 9), Code(["add"], [], struct.pack("d", 1))]
    return {"cache.kernels": cache.pack(codes)}
