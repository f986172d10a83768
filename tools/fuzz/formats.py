"""The table of formats: the whole files to start from, how to damage them, our reader and, if there is one, another."""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from . import mutations, readers, requests, seeds

Files = dict[str, bytes]  # name -> content


class Format(NamedTuple):
    """One kind of file."""

    name: str
    seeds: Callable[[], Files]  # the whole files; each damaged one takes the place of one of them
    read: Callable[[Path], object]  # our reader; raises S2TError
    mutate: Callable[[Random, bytes], bytes] = mutations.of_bytes
    beside: Callable[[], Files] = dict  # the other files that the reader needs in the folder
    reference: Callable[[Path], object] | None = None  # the other reader; raises anything
    share: float = 1.0  # its part of the time of a campaign, compared with other formats

    def prepare(self, folder: Path) -> Files:
        """Write the files that are not damaged; returns them."""
        for name, data in self.beside().items():
            (folder / name).write_bytes(data)
        return self.beside()

    def damage(self, random: Random, name: str, whole: bytes) -> bytes:
        """A damaged copy of one of the whole files."""
        by_name = {".json": mutations.of_json, ".jsonl": mutations.of_json, ".txt": mutations.of_lines}
        return by_name.get(Path(name).suffix, self.mutate)(random, whole)


def if_installed(module: str, reference: Callable) -> Callable | None:
    """The other reader, where its package is there."""
    return reference if importlib.util.find_spec(module) else None


def sound_format(kind: str) -> Format:
    """One container of sound, of several encodings."""
    mutate = mutations.of_ogg if kind == "ogg" else mutations.of_bytes
    theirs = None if kind == "w64" else readers.sound_theirs  # libsndfile reads on past the end of a W64's data chunk
    return Format(kind, functools.partial(seeds.sound, kind), readers.sound_ours, mutate, reference=theirs)


def serves() -> bool:
    """Return whether the packages of the server are there."""
    return all(importlib.util.find_spec(name) for name in ("starlette", "python_multipart"))


def table() -> dict[str, Format]:
    """All formats by name."""
    lines = mutations.of_lines
    model = {"read": readers.model_ours, "beside": seeds.model_folder}
    fairseq = {"read": readers.fairseq_ours, "beside": seeds.fairseq_folder}
    torch = {"read": readers.torch_ours, "reference": if_installed("torch", readers.torch_theirs)}
    theirs = if_installed("safetensors", readers.safetensors_theirs)
    cheap = {"share": 4.0}  # thousands of these are judged in a second
    formats = [
        Format(
            "safetensors",
            seeds.safetensors,
            readers.safetensors_ours,
            mutations.of_safetensors,
            reference=theirs,
            **cheap,
        ),
        Format("torch-zip", seeds.torch_zip, **torch, **cheap),
        Format("torch-legacy", seeds.torch_legacy, **torch, **cheap),
        Format("fairseq", seeds.fairseq_weights, **fairseq),
        Format("fairseq-text", seeds.fairseq_text, mutate=lines, **fairseq),
        Format("json", seeds.json_files, **model),
        Format("vocabulary", seeds.vocabulary, **model, **cheap),
        Format("sentencepiece", seeds.sentencepiece, readers.sentencepiece_ours, beside=seeds.model_folder, **cheap),
        *(sound_format(kind) for kind in seeds.SOUNDS),
        Format("manifest", seeds.manifests, readers.manifest_ours, lines, seeds.recordings, **cheap),
        Format("list", seeds.lists, readers.list_ours, lines, **cheap),
        Format("journal", seeds.journals, readers.journal_ours, beside=seeds.results, **cheap),
        Format("results", seeds.result_lines, readers.results_ours, mutations.of_json, **cheap),
        Format("references", seeds.references, readers.references_ours, lines, seeds.chapter, **cheap),
        Format("features", seeds.features, readers.features_ours, reference=readers.features_theirs, **cheap),
        *([Format("requests", seeds.requests, requests.answer_ours, mutations.of_request)] if serves() else ()),
        Format("kernels", seeds.kernels, readers.kernels_ours, mutations.of_kernels, **cheap),
    ]
    return {kind.name: kind for kind in formats}


FORMATS = table()
