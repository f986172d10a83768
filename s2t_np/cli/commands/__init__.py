"""The sub-commands, one module for each few. `*_run` modules hold the work of a command whose arguments fill a file.

A command is imported when its name is on the command line: `s2t-np --help` needs their list alone.
"""

import importlib
from typing import NamedTuple

from ..command import Command


class Listed(NamedTuple):
    """A sub-command in the list of all."""

    name: str  # its Command is the constant of this name in capitals
    summary: str  # a phrase for the list
    module: str  # its file, here

    def find(self) -> Command:
        """Return the command, which is imported now."""
        return getattr(importlib.import_module(f"{__name__}.{self.module}"), self.name.upper())


COMMANDS = (
    Listed("transcribe", "write down what is said", "transcribe"),
    Listed("listen", "write down what is said into the microphone", "listen"),
    Listed("serve", "serve a model over HTTP, as OpenAI's audio API, and a page", "serve"),
    Listed("evaluate", "error rates over a corpus with transcripts", "evaluate"),
    Listed("plot", "a picture of a recording: waveform, log-mel, segments, words on the attention", "plot"),
    Listed("trace", "everything the model computes for a recording, stage by stage", "trace"),
    Listed("explore", "the explorer's page in the browser, with experiments: mute, hide, search otherwise", "explore"),
    Listed("golden", "write a reference pack for a port of the model", "golden"),
    Listed("check", "compare a port's numbers with a reference pack", "golden"),
    Listed("info", "versions, backend and threads; with --model, a description of it", "inspect"),
    Listed("features", "the normalised log-mel features of a recording, as a .npy file", "inspect"),
    Listed("score", "the log-probability of a given transcript", "inspect"),
    Listed("convert", "convert any checkpoint to a folder with model.safetensors", "models"),
    Listed("download", "download a model into the local cache and print its folder", "models"),
    Listed("train", "fine-tune a model, or train one from nothing", "train"),
    Listed("average", "average the weights of checkpoints of one run", "train"),
)
