"""Sound from a microphone, as it is recorded: an iterator of blocks, for `audio.blocks` and `model.stream`.

Needs sounddevice (`pip install sounddevice`), which uses the library PortAudio. The device calls back from a thread of
its own; its blocks wait in a queue until they are asked for, so that nothing is lost while a segment is decoded.
"""

import queue
import threading
import warnings
from collections.abc import Iterator

import numpy as np

from ..errors import AudioError, InputWarning

BLOCK_SECONDS = 0.05  # the length of a block: what a segment waits for at most
PATIENCE = 0.2  # seconds between two looks at whether recording has been stopped
INSTALL = (
    "pip install sounddevice, and its library: apt install libportaudio2, apk add portaudio, brew install portaudio"
)


def library():
    """The package sounddevice. Raises AudioError that says what to install."""
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: PortAudio itself is missing
        raise AudioError(f"a microphone needs the package sounddevice ({error}): {INSTALL}") from error
    return sounddevice


def devices() -> list[tuple[int, str, int]]:
    """(number, name, channels) of every device that records. Raises AudioError."""
    sounddevice = library()
    try:
        found = enumerate(sounddevice.query_devices())
        return [(i, d["name"], d["max_input_channels"]) for i, d in found if d["max_input_channels"] > 0]
    except sounddevice.PortAudioError as error:
        raise AudioError(f"the microphones cannot be listed ({error})") from error


class Microphone:
    """A device that records: a context manager, and an iterator of its blocks (n,) float32 at `rate` Hz.

    `rate` is the one that was asked for, or the device's own if it has no other. `stop` ends it: the blocks recorded
    until then still come.
    """

    def __init__(self, rate: int, device: int | str | None = None, seconds: float | None = None):
        """`device`: its number or a part of its name, the system's own if None; `seconds`: how long to record."""
        self.rate, self.device, self.seconds = rate, device, seconds
        self.waiting: queue.SimpleQueue[np.ndarray] = queue.SimpleQueue()
        self.stopped, self.overflowed = threading.Event(), threading.Event()
        self.stream = None

    def __enter__(self) -> "Microphone":
        """Begin to record. Raises AudioError."""
        sounddevice = library()
        try:
            try:
                self.open(sounddevice)
            except sounddevice.PortAudioError:  # perhaps it has a rate of its own only
                self.rate = int(sounddevice.query_devices(self.device, "input")["default_samplerate"])
                self.open(sounddevice)
        except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: no device of that name
            which = "the microphone" if self.device is None else f"microphone {self.device!r}"
            raise AudioError(
                f"{which} cannot record at {self.rate} Hz ({error}); --list-microphones lists what there is"
            ) from error
        return self

    def open(self, sounddevice) -> None:
        """Begin to record at `rate`. Raises sounddevice's errors."""
        block = round(BLOCK_SECONDS * self.rate)
        about = {"samplerate": self.rate, "channels": 1, "dtype": "float32", "blocksize": block, "device": self.device}
        self.stream = sounddevice.InputStream(**about, callback=self.recorded)
        self.stream.start()

    def __exit__(self, *_) -> None:
        self.stopped.set()
        self.stream.close()

    def recorded(self, samples: np.ndarray, frames: int, time, status) -> None:
        """Called by the device: samples (frames, 1), which are only lent."""
        if status and status.input_overflow:
            self.overflowed.set()
        self.waiting.put(samples[:, 0].copy())

    def stop(self) -> None:
        """Record no more."""
        self.stopped.set()

    def __iter__(self) -> Iterator[np.ndarray]:
        """The blocks (n,) as they are recorded; gives an InputWarning if the device lost some."""
        told, left = False, None if self.seconds is None else round(self.seconds * self.rate)
        while left != 0 and not (self.stopped.is_set() and self.waiting.empty()):
            if self.overflowed.is_set() and not told:
                told = True
                warnings.warn("the microphone lost some sound: this machine was too busy", InputWarning, stacklevel=2)
            try:
                block = self.waiting.get(timeout=PATIENCE)
            except queue.Empty:
                continue
            if left is not None:
                block = block[:left]
                left -= len(block)
            yield block
