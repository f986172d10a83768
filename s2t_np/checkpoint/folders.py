"""Name a file or folder that was given as a model but is not one, from its first bytes or its config.json.

People hold one weights file, a fairseq download, a whisper model, or half of a checkpoint. Each gets one line that says
what it is and what to do.
"""

import os
from pathlib import Path

from ..config import read_json
from ..errors import ModelError
from ..settings.fields import show
from .hub_cache import NEEDED, files_in, missing
from .sharded import INDEXES, WEIGHTS

WHISPERS = ("tiny", "base", "small", "medium", "large", "large-v1", "large-v2", "large-v3", "turbo")
SIGNS = {  # first bytes of a file -> what it is
    b"PK\x03\x04": "is a zip archive (a torch checkpoint?)",
    b"\x80\x02\x8a\x0al\xfc": "is a torch checkpoint from before torch 1.6",
    b"GGUF": "is a GGUF model of llama.cpp or whisper.cpp",
    b"lmgg": "is a GGML model of whisper.cpp",
    b"\x89HDF": "is an HDF5 file (weights of TensorFlow)",
    b"RIFF": "is a WAV recording",
    b"fLaC": "is a FLAC recording",
    b"OggS": "is an Ogg recording",
    b"ID3": "is an MP3 recording",
    b"version https://git-lfs": "is a git-lfs pointer, not the file itself (`git lfs pull` fetches it)",
}


def describe_file(path: Path) -> str:
    """Name a file given in place of a model's folder, and say what to do."""
    if path.suffix in (".safetensors", ".bin") and path.name != "sentencepiece.bpe.model":
        return f"is a weights file; give the folder that holds it and the JSON files, {str(path.parent)!r}"
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    sign = next((words for start, words in SIGNS.items() if head.startswith(start)), "is a file")
    if "torch" in sign:
        return f"{sign}; fairseq names its checkpoints NAME.pt, transformers keeps its own in a folder"
    return f"{sign}, not a folder"


def describe_name(name: str | os.PathLike) -> str:
    """Say what is wrong with a name that is neither a file nor a folder here."""
    text = os.fspath(name)
    if text.removeprefix("openai/").removeprefix("whisper-").split(".")[0] in WHISPERS:
        return "is not a folder here (a name of whisper's: its models have another architecture)"
    if Path(text).suffix in (".pt", ".safetensors", ".bin", ".ckpt") or os.sep in text:
        return "does not exist: there is no such file or folder"
    return "is not a folder here"


def require_model(folder: Path) -> None:
    """Raise ModelError unless all files of an S2T model are in `folder`, saying what it holds instead."""
    files = files_in(folder)
    if "config.json" in files:
        require_s2t(folder / "config.json")
    if lacking := missing(files):
        raise ModelError(f"{folder}: {describe_folder(folder, files)}; it lacks {', '.join(lacking)}")


def require_s2t(path: Path) -> None:
    """Raise ModelError for the config.json of another architecture."""
    kind = read_json(path).get("model_type")
    if kind != "speech_to_text":
        raise ModelError(f"{path}: model_type is {show(kind)}, expected 'speech_to_text' (an S2T checkpoint)")


def describe_folder(folder: Path, files: set[str]) -> str:
    """Name a folder that lacks files of a model."""
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    if not os.path.isdir(folder):
        return "there is no such folder"
    if not names:
        return "the folder is empty"
    if "config.json" in files and files & {*WEIGHTS, *INDEXES}:
        return "holds a network without its processor; let `processor.save_pretrained` write there, too"
    if files & {*NEEDED} - {"config.json"} and "config.json" not in files:
        return "holds a processor without its network; copy config.json and the weights there"
    return f"is not a complete model (found: {', '.join(names[:6])})"
