"""Speech whose word times are known, to measure word times on: digits put together, and digits synthesised.

Put together: takes of the Free Spoken Digit Dataset, cut where they are 30 dB below their loudest 10 ms, one after
another with pauses in between; a word's time is where its take was put. FSDD's takes 0-4 are in no training set, and
the speaker lucas is in none at all. Synthesised: libespeak-ng itself reports when each word begins, in running speech.
"""

import ctypes
from pathlib import Path
from typing import NamedTuple

import numpy as np

from s2t_np import audio

RATE = 16000  # Hz
WORDS = "zero one two three four five six seven eight nine".split()
SPEAKERS = "george jackson nicolas theo yweweler lucas".split()
HELD_OUT_TAKES = range(5)
TRIM_DB = 30
VOICES = "en-us+m1 en-gb+f2 en-us+m3 en-gb-x-rp+m5 en-us+f4 en-gb+klatt2 en-us+adam en-gb+Annie".split()
WORD_EVENT, END_EVENT = 1, 0  # espeakEVENT_WORD, espeakEVENT_LIST_TERMINATED of speak_lib.h
RETRIEVAL, RATE_PARAMETER, CHARACTERS_UTF8 = 2, 1, 1  # AUDIO_OUTPUT_SYNCHRONOUS, espeakRATE, espeakCHARS_UTF8


class Condition(NamedTuple):
    """A condition says what sounds between the words, and under them."""

    pauses: tuple[float, float]  # shortest and longest, seconds
    snr: float = 60.0  # speech to white noise, dB
    clicks: bool = False  # in the middle of every pause, 20 dB below the peak of the words


CONDITIONS = {
    "no pauses": Condition((0.0, 0.02)),
    "short pauses": Condition((0.0, 0.12)),
    "pauses": Condition((0.05, 0.6)),
    "long pauses": Condition((0.5, 1.5)),
    "clicks": Condition((0.4, 1.0), clicks=True),
    "noise 20 dB": Condition((0.05, 0.4), 20),
    "noise 10 dB": Condition((0.05, 0.4), 10),
    "noise 5 dB": Condition((0.05, 0.4), 5),
}


class Timed(NamedTuple):
    """An utterance and the truth about it."""

    samples: np.ndarray  # (N,) float32 at RATE
    words: list[str]
    times: np.ndarray  # (W, 2) seconds


def loud_part(x: np.ndarray, db: float = TRIM_DB) -> tuple[int, int]:
    """The loud stretch of x (N,): from the first to the last 10 ms that are less than `db` below the loudest."""
    hop = RATE // 200
    frames = np.lib.stride_tricks.sliding_window_view(x, 2 * hop)[::hop]
    level = np.sqrt(np.mean(frames**2, axis=1))
    loud = np.flatnonzero(level > level.max() * 10 ** (-db / 20))
    return loud[0] * hop, (loud[-1] + 2) * hop


def silence(random, low: float, high: float) -> np.ndarray:
    """Digital silence that lasts `low` to `high` seconds."""
    return np.zeros(int(random.uniform(low, high) * RATE), np.float32)


def with_noise(random, x: np.ndarray, snr: float) -> np.ndarray:
    """White noise `snr` dB below the mean power of x (N,)."""
    deviation = np.sqrt(np.mean(x**2)) * 10 ** (-snr / 20)
    return (x + deviation * random.standard_normal(len(x))).astype(np.float32)


def pause(random, condition: Condition) -> np.ndarray:
    """The sound between two words: (N,)."""
    x = silence(random, *condition.pauses)
    if condition.clicks:
        click = 0.05 * np.hanning(int(random.uniform(0.04, 0.12) * RATE))
        middle = (len(x) - len(click)) // 2
        x[middle : middle + len(click)] = click * random.standard_normal(len(click))
    return x


def put_together(random, words: list[str], parts: list[np.ndarray], condition: Condition) -> Timed:
    """Words, as sound (N,) each, one after another at levels that vary by 8 dB."""
    sound, times = [silence(random, 0.05, 0.8)], []
    for part in parts:
        at = sum(map(len, sound))
        times.append((at, at + len(part)))
        sound += [part * 10 ** (random.uniform(-4, 4) / 20), pause(random, condition)]
    samples = np.concatenate([*sound, silence(random, 0.05, 0.6)])
    return Timed(with_noise(random, samples, condition.snr), words, np.array(times) / RATE)


def take(fsdd: Path, digit: int, speaker: str, number: int) -> np.ndarray:
    """The loud part of one take of FSDD at RATE, its peak at 0.5: (N,)."""
    samples = audio.read(fsdd / f"{digit}_{speaker}_{number}.wav", RATE)
    first, end = loud_part(samples)
    return samples[first:end] / np.abs(samples).max() * 0.5


def digits(fsdd: Path, condition: str, count: int, takes=HELD_OUT_TAKES, seed: int = 0):
    """`count` utterances of 2 to 8 digits in one of CONDITIONS, speaker by speaker: yields Timed."""
    random = np.random.default_rng([seed, *condition.encode()])
    for i in range(count):
        said = random.integers(0, 10, random.integers(2, 9))
        parts = [take(fsdd, d, SPEAKERS[i % len(SPEAKERS)], random.choice(takes)) for d in said]
        yield put_together(random, [WORDS[d] for d in said], parts, CONDITIONS[condition])


class EspeakEvent(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_uint64),
    )


class Espeak:
    """libespeak-ng, with the time of every word. Raises OSError where it is not installed."""

    def __init__(self):
        """Load the library and listen to what it reports."""
        self.library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate = self.library.espeak_Initialize(RETRIEVAL, 0, None, 0)
        kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(EspeakEvent))
        self.callback = kind(self.receive)  # kept, or it would be collected while the library still calls it
        self.library.espeak_SetSynthCallback(self.callback)

    def receive(self, samples, count: int, events) -> int:
        """A block of sound and the events in it."""
        if samples and count > 0:
            self.sound.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != END_EVENT:
            if events[i].type == WORD_EVENT:
                self.starts.append(events[i].audio_position / 1000)
            i += 1
        return 0

    def say(self, text: str, voice: str, speed: int) -> tuple[np.ndarray, list[float]]:
        """Speak at `speed` words a minute: samples (N,) at RATE, and the second at which each word begins."""
        self.sound, self.starts = [], []
        self.library.espeak_SetVoiceByName(voice.encode())
        self.library.espeak_SetParameter(RATE_PARAMETER, speed, 0)
        data = text.encode()
        self.library.espeak_Synth(data, len(data) + 1, 0, 1, 0, CHARACTERS_UTF8, None, None)
        self.library.espeak_Synchronize()
        samples = (np.concatenate(self.sound) / 32768).astype(np.float32)
        return audio.load(samples, RATE, self.rate), self.starts


def synthesised(count: int, seed: int = 0):
    """`count` utterances of running speech, a word ending where the next begins: yields Timed.

    espeak-ng reports two repeated digits as one word now and then; such utterances are left out. Raises OSError where
    libespeak-ng is not installed.
    """
    random, espeak = np.random.default_rng(seed), Espeak()
    for i in range(count):
        words = [WORDS[d] for d in random.integers(0, 10, random.integers(2, 9))]
        samples, starts = espeak.say(" ".join(words), VOICES[i % len(VOICES)], int(random.integers(120, 200)))
        if len(starts) != len(words):
            continue
        lead, end = silence(random, 0.05, 0.6), loud_part(samples)[1] / RATE
        times = np.stack([starts, [*starts[1:], end]], axis=1) + len(lead) / RATE
        sound = np.concatenate([lead, samples / np.abs(samples).max() * 0.5, silence(random, 0.05, 0.5)])
        yield Timed(with_noise(random, sound, 60), words, times)
