"""Our readers and the others': each from a path to what it found in the file, in the same form."""

import warnings
import zipfile
from pathlib import Path

import numpy as np

from s2t_np.errors import InputWarning, OptionError

FOLDER_MARK = 0x10  # a bit of the external attributes, PKWARE's APPNOTE.TXT 4.4.15
RATE = 16000  # Hz, of every whole recording that a campaign begins with


def safetensors_ours(path: Path) -> dict:
    from s2t_np.checkpoint import safetensors

    return safetensors.read(path)


def safetensors_theirs(path: Path) -> dict:
    from safetensors.numpy import load_file

    return {name: np.asarray(a) for name, a in load_file(path).items()}


def torch_ours(path: Path) -> dict:
    from s2t_np.checkpoint.torch_files import read

    return read(path)


def torch_theirs(path: Path) -> dict:
    """torch's numbers. What has DOS's mark of a folder torch takes for one, and leaves its memory as it was."""
    import torch

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(entry.external_attr & FOLDER_MARK for entry in archive.infolist()):
                raise ValueError("an entry is marked as a folder")
    return {name: tensor.detach().numpy() for name, tensor in torch.load(path, weights_only=True).items()}


def fairseq_ours(path: Path) -> int:
    """The number of weights in the checkpoint beside which the damaged file lies."""
    from s2t_np.checkpoint.fairseq.checkpoint import read

    return len(read(path.parent / "model.pt").tensors)


def model_ours(path: Path) -> int:
    """The size of the vocabulary of the model in whose folder the damaged file lies."""
    import s2t_np

    return len(s2t_np.load(path.parent, backend="numpy").tokenizer)


def sentencepiece_ours(path: Path) -> str:
    """What the tokenizer of the folder makes of a sentence, and back."""
    from s2t_np.tokenizer import Tokenizer

    tokenizer = Tokenizer.from_folder(path.parent)
    return tokenizer.decode(tokenizer.encode("one two three, l'été"))


class Seconds(float):
    """How long a recording is. Readers agree if ours hears as much as the other, or says that something is wrong."""

    doubted = False  # there was a warning

    def __eq__(self, theirs) -> bool:
        return self.doubted or self >= theirs - 0.05

    __hash__ = float.__hash__


def sound_ours(path: Path) -> Seconds:
    """The length of the sound that we find."""
    from s2t_np import audio

    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always", InputWarning)
        samples = audio.load(path, RATE)
    if samples.dtype != np.float32 or not np.isfinite(samples).all():
        raise TypeError("the samples are not finite float32 numbers")
    seconds = Seconds(len(samples) / RATE)
    seconds.doubted = bool(given)
    return seconds


def sound_theirs(path: Path) -> float:
    """The length of the sound that libsndfile finds, called without our containers."""
    import soundfile

    samples, rate = soundfile.read(path)
    return len(samples) / rate


def manifest_ours(path: Path) -> int:
    """The number of rows, good and bad."""
    from s2t_np.evaluation.corpus import read_corpus

    corpus = read_corpus(path)
    return len(corpus.utterances) + len(corpus.failures)


def list_ours(path: Path) -> int:
    """The number of paths in a list of files."""
    from s2t_np.batch.inputs import read_list

    return len(read_list(str(path)))


STAMP = {"input": "a.wav", "path": "/a.wav", "size": 5, "mtime_ns": 7, "with": "0123456789abcdef"}


def journal_ours(path: Path) -> int:
    """How many of two results are still to be made, as a batch that is resumed reads its notes."""
    from s2t_np.batch.file_output import FileOutput
    from s2t_np.batch.folder_output import FolderOutput

    if path.name.startswith(".out.jsonl"):
        output = FileOutput(path.with_name("out.jsonl"), [STAMP, STAMP | {"input": "b.wav"}], resume=True)
    else:
        paths = [[path.with_name(name)] for name in ("a.txt", "b.txt")]
        output = FolderOutput(path.parent, paths, [STAMP, STAMP | {"input": "b.wav"}], path)
    try:
        return len(output.pending().todo)
    finally:
        output.close()


SETTING = {"model": "digits", "options": {"num_beams": 1}}


def results_ours(path: Path) -> int:
    """The number of lines in the summary of an evaluation that is resumed."""
    from s2t_np.evaluation.report import Results
    from s2t_np.evaluation.summary import Summary

    results = Results.open(path, SETTING, resume=True)
    results.close()
    return len(Summary().table(results.outcomes).splitlines())


def references_ours(path: Path) -> int:
    """The number of transcripts beside recordings, in LibriSpeech's layout, good and bad."""
    return manifest_ours(path.parent)


def features_ours(path: Path) -> tuple:
    """The shape of the features that a corpus of fairseq's holds of an utterance."""
    from s2t_np.evaluation.stored import array_of

    return array_of(path, str(path)).shape


def features_theirs(path: Path) -> tuple:
    """The same as numpy reads it."""
    return np.load(path, allow_pickle=False).shape


def kernels_ours(path: Path) -> bool:
    """Whether a file of compiled kernels is taken; what is not taken is compiled anew."""
    from s2t_np_kernels.build import cache

    if cache.unpack(path.read_bytes()) is None:
        raise OptionError(f"{path}: is not this build's")
    return True
