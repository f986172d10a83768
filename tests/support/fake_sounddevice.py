"""A stand-in for the package sounddevice: microphones that record what a test gives them, as fast as it is taken."""

import threading
import types

import numpy as np


class PortAudioError(Exception):
    """As sounddevice's."""


class Flags:
    """The status that a callback is given."""

    def __init__(self, input_overflow=False):
        self.input_overflow = input_overflow

    def __bool__(self):
        return self.input_overflow


def fake_sounddevice(sound, rate=16000, rates=(16000,), overflow=False, then=None):
    """The module: its one microphone hears `sound` (N,) at `rate`, and silence until it is closed.

    `rates`: those that it records at; `then`: called when all of the sound is recorded.
    """
    device = {"name": "USB microphone", "max_input_channels": 1, "default_samplerate": float(rates[0])}
    speaker = {"name": "Speakers", "max_input_channels": 0, "default_samplerate": 48000.0}

    class InputStream:
        def __init__(self, samplerate, channels, dtype, blocksize, device, callback):
            if device not in (None, 1, "USB"):
                raise ValueError(f"No input device matching {device!r}")
            if samplerate not in rates:
                raise PortAudioError("Invalid sample rate [PaErrorCode -9997]")
            assert (channels, dtype, samplerate) == (1, "float32", rate)
            self.blocksize, self.callback, self.closed = blocksize, callback, threading.Event()

        def start(self):
            threading.Thread(target=self.run, daemon=True).start()

        def run(self):
            lent = np.zeros((self.blocksize, 1), np.float32)  # one buffer for all blocks, as PortAudio's
            for at in range(0, len(sound), self.blocksize):
                piece = sound[at : at + self.blocksize]
                lent[:] = 0
                lent[: len(piece), 0] = piece
                self.callback(lent, len(lent), None, Flags(overflow))
            if then:
                then()
            while not self.closed.wait(0.01):
                lent[:] = 0
                self.callback(lent, len(lent), None, Flags())

        def close(self):
            self.closed.set()

    def query_devices(device_=None, kind=None):
        return device if kind == "input" else [speaker, device]

    return types.SimpleNamespace(InputStream=InputStream, PortAudioError=PortAudioError, query_devices=query_devices)
