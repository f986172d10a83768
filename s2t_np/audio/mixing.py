"""Channels -> mono: their mean, except where they cancel each other.

A stereo recording with one channel's wires swapped holds the same sound in opposite phase, and its mean is silence. The
sound is therefore looked at in windows of WINDOW frames, counted from its beginning, so that the result does not depend
on how it is cut into blocks. Where the mean has less than CANCELLED of the power that unrelated channels would leave in
it, the loudest channel is taken instead. From one choice to the next the weights move in a straight line.
"""

import warnings
from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import InputWarning, OptionError
from .selection import EACH, MIX, one_channel

WINDOW = 800  # frames looked at together: 50 ms at 16 kHz
RAMP = 160  # frames in which the weights move
CANCELLED = 0.02  # a share of the power that unrelated channels would have
AUDIBLE = 1e-8  # mean square: -80 dB of full scale
LOUDER = 4.0  # times the power: only then is another channel taken than before
WORTH_A_WARNING = 10, 0.1  # windows that cancel, and their share of all the power


class Mixer:
    """Frames of one recording, block after block, to mono."""

    def __init__(self, channels: int, name: str):
        self.name, self.share = name, np.full(channels, 1 / channels, np.float32)
        self.held = np.empty((0, channels), np.float32)
        self.weights, self.channel = self.share, 0
        self.cancelled, self.power, self.warned = 0, np.zeros(2), False

    def mix(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        """(n, C) -> (m,): all whole windows there are by now; with `last` the rest, too."""
        x = np.concatenate((self.held, block)) if len(self.held) else block
        end = len(x) if last else len(x) - len(x) % WINDOW
        x, self.held = x[:end], x[end:].copy()
        if end == 0:
            return x[:, 0]
        windows = [x[i : i + WINDOW] for i in range(0, end, WINDOW)]
        with np.errstate(all="ignore"):
            mono = x @ self.share.astype(x.dtype)
            power = np.array([np.einsum("nc,nc->c", w, w) / len(w) for w in windows])
            kept = np.array([np.mean(np.square(mono[i : i + WINDOW])) for i in range(0, end, WINDOW)])
            for i in np.flatnonzero(self._to_change(power, kept)):
                self._change(windows[i], mono[i * WINDOW : (i + 1) * WINDOW], power[i], kept[i])
        return mono

    def _to_change(self, power: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Which windows do not simply take the mean, and those right after them."""
        cancels = self._cancels(power, kept)
        self.power += power[cancels].sum(), power.sum()
        self.cancelled += int(cancels.sum())
        self._warn()
        before = np.concatenate(([self.weights is not self.share], cancels))[: len(cancels)]
        return cancels | before

    def _cancels(self, power: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Power of each channel (..., C) and of their mean (...) -> whether the channels cancel (...)."""
        channels = power.shape[-1]
        return (kept < CANCELLED * power.sum(axis=-1) / channels**2) & (power.max(axis=-1, initial=0) > AUDIBLE)

    def _change(self, window: np.ndarray, mono: np.ndarray, power: np.ndarray, kept: float) -> None:
        """Mix one window (n, C) anew into `mono` (n,), with weights that move from those before to the right ones."""
        weights = self.share
        if self._cancels(power, kept):
            loudest = int(power.argmax())
            if power[loudest] > LOUDER * power[self.channel]:
                self.channel = loudest
            weights = np.eye(len(power), dtype=np.float32)[self.channel]
        way = np.minimum(np.arange(1, len(window) + 1, dtype=np.float32) / RAMP, 1)[:, None]
        mono[:] = (window * (self.weights + way * (weights - self.weights))).sum(axis=1)
        self.weights = weights

    def _warn(self) -> None:
        windows, share = WORTH_A_WARNING
        if not self.warned and self.cancelled >= windows and self.power[0] >= share * self.power[1]:
            self.warned = True
            warnings.warn(
                f"{self.name}: its channels are in opposite phase and cancel each other when they are mixed; where "
                "they do, the loudest channel is taken alone",
                InputWarning,
                stacklevel=4,
            )


def mono(blocks: Iterable[np.ndarray], name: str, channel: int | str = MIX) -> Iterator[np.ndarray]:
    """Blocks (n, C) of floats -> blocks (m,): the channels mixed, or one of them. Raises AudioError, OptionError."""
    if channel == EACH:
        raise OptionError(f'{name}: one channel at a time becomes samples; give its number, or "mix"')
    return mixed(blocks, name) if channel == MIX else one_channel(blocks, channel, name)


def mixed(blocks: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """Blocks (n, C) of floats -> blocks (m,), channels mixed; gives an InputWarning where they cancel."""
    mixer, channels = None, None
    for block in blocks:
        if block.shape[1] != channels:  # arrays of an iterator: each has its own number
            if mixer and len(mixer.held):
                yield mixer.mix(mixer.held[:0], last=True)
            channels = block.shape[1]
            mixer = Mixer(channels, name) if channels > 1 else None
        mono = mixer.mix(block) if mixer else block[:, 0]
        if len(mono):
            yield mono
    if mixer and len(mixer.held):
        yield mixer.mix(mixer.held[:0], last=True)
