"""Training sound of the bundled `digits` model: strings of spoken English digits from real and synthetic voices.

Real digits come from the Free Spoken Digit Dataset (FSDD, CC BY-SA 4.0: six speakers, 8 kHz, 50 takes of each digit;
takes 0-4 are its official test part, and takes 5 and 6 validate here). One speaker, HELD, is never trained on.
Synthetic voices (espeak-ng and flite) add wide-band speech, running speech and new speakers. Noise, tones, clicks,
silence and speech of other words have the empty transcript, so that the model learns to say nothing.
FSDD has nothing above 4 kHz and the speech of other words has: lest the model learns that a natural voice with a full
band says no digits, half of the real digits get an upper band, and half of the other speech loses its own.
`train_digits.py` is the command that uses this.
"""

import random
import subprocess
from pathlib import Path

import numpy as np

from s2t_np import audio

RATE = 16000  # Hz
WORDS = "zero one two three four five six seven eight nine".split()
HELD = {"lucas"}
TEST, VALID = range(5), range(5, 7)  # takes that are not trained on
SPEEDS = [(2, 1), (20, 9), (20, 11), (7, 3), (7, 4), (15, 8), (32, 15)]  # 8 kHz to 16 kHz, and speed: 0.86 to 1.14
WIDE = [*SPEEDS, (5, 2), (8, 3), (8, 5), (3, 2)]  # 0.75 to 1.33, the voice deeper or higher with it: other speakers
WIDE_SHARE = 0.3  # the part of the training strings that has them; tests never have
TOGETHER_SHARE = 0.15  # the part of the training strings whose digits run into one another
UPPER_SHARE = 0.5  # the part of the training strings that gets an upper band
NARROW_SHARE = 0.5  # the part of the other speech and of the synthetic voices that has the band of a telephone
ACCENTS = "en-gb en-us en-gb-scotland en-gb-x-gbclan en-gb-x-rp en-gb-x-gbcwmd en-029".split()
VARIANTS = (
    "adam Alex Alicia Andrea Andy Annie antonio belinda benjamin boris caleb david Denis Diogo ed edward "
    "Gene gustave Henrique Hugo iven Jacky john Lee linda marcelo Marco Mario max Michael michel miguel "
    "Mike pablo paul pedro quincy rob robert steph steph2 steph3 zac anika f1 f2 f3 f4 f5 m1 m2 m3 m4 m5 "
    "m6 m7 m8 klatt klatt2 klatt3 grandpa grandma norbert sandro shelby travis victor "
).split()
FLITE_VOICES = "awb rms slt kal16 slt rms".split()
OTHER_WORDS = (
    "and the of in that was his with had you not but all were they have she which their been from out when said "
    "there who will more upon into time could some would little now then what them your very over down only after "
    "before made about great other should where again never went under house water people morning window garden "
    "letter music winter river mountain yellow begin forget along silence kitchen number paper station office "
    "question answer country minute money second father mother brother sister teacher doctor village forest island "
    "ocean summer breakfast dinner bread cheese coffee please thank hello goodbye yes no maybe wonder believe remember "
).split()
OTHER_SHARE = 0.25  # the part of the synthesised strings that are other words, which have the empty transcript
VOICES = [(1, 1), (20, 17), (20, 23), (8, 7), (8, 9), (10, 9), (10, 11)]  # resampling of 16 kHz: other speakers
WINDOW, REACH = 480, 160  # samples of time_stretch: 30 ms, and how far a window may move to fit its neighbour
STRING_LENGTHS = {1: 0.12, 2: 0.1, 3: 0.14, 4: 0.14, 5: 0.12, 6: 0.1, 7: 0.1, 8: 0.08, 10: 0.06, 12: 0.04}


def espeak_command(rng: random.Random, text: str, path: Path) -> list[str]:
    """A random espeak-ng voice: accent, variant, speed, pitch, gap between words."""
    voice = f"{rng.choice(ACCENTS)}+{rng.choice(VARIANTS)}"
    speed, pitch, gap = str(rng.randint(110, 220)), str(rng.randint(15, 85)), str(rng.choice([0, 0, 0, 2, 5]))
    return ["espeak-ng", "-v", voice, "-s", speed, "-p", pitch, "-g", gap, "-w", str(path), text]


def flite_command(rng: random.Random, text: str, path: Path) -> list[str]:
    """A random flite voice: speaker, duration, pitch."""
    stretch = f"duration_stretch={rng.uniform(0.75, 1.3):.2f}"
    pitch = f"int_f0_target_mean={rng.randint(85, 220)}"
    voice = rng.choice(FLITE_VOICES)
    return ["flite", "-voice", voice, "--setf", stretch, "--setf", pitch, "-t", text, "-o", str(path)]


def speak(work: Path, count: int) -> None:
    """Synthesise `count` strings with espeak-ng and a quarter as many with flite, listed in work/tts.tsv.

    A share of them are other words, to which the list gives no text.
    """
    rng, rows = random.Random(1), []
    (work / "tts").mkdir(parents=True, exist_ok=True)
    for i in range(count + count // 4):
        other = rng.random() < OTHER_SHARE
        said = rng.choices(OTHER_WORDS if other else WORDS, k=rng.choice([1, 1, 2, 3, 3, 4, 5, 6, 7, 8, 10]))
        text, path = (" " if rng.random() < 0.7 else ", ").join(said), work / "tts" / f"{i:05d}.wav"
        command = (espeak_command if i < count else flite_command)(rng, text, path)
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        rows.append(f"{path}\t{'' if other else ' '.join(said)}\n")
    (work / "tts.tsv").write_text("".join(rows))


def coloured_noise(rng, n: int) -> np.ndarray:
    """White, brownish, high-passed or pink-ish noise of unit power: (N,)."""
    from scipy.signal import lfilter

    b, a = [([1], [1]), ([1], [1, -0.95]), ([1, -0.9], [1]), ([1], [1, -0.6])][int(rng.integers(4))]
    noise = lfilter(b, a, rng.standard_normal(n).astype(np.float32))
    return (noise / (noise.std() + 1e-9)).astype(np.float32)


def pause(rng, low: float, high: float) -> np.ndarray:
    """Silence of low..high seconds."""
    return np.zeros(int(rng.uniform(low, high) * RATE), np.float32)


def time_stretch(x: np.ndarray, factor: float) -> np.ndarray:
    """A voice that speaks `factor` times as slowly, at the same pitch: (N,) -> about (factor N,).

    WSOLA (Verhelst and Roelands 1993): windows overlap by half, each taken where it continues the last one best.
    """
    hop, fade = WINDOW // 2, np.hanning(WINDOW + 1)[:-1].astype(np.float32)
    x = np.pad(x, (0, WINDOW + hop + 2 * REACH))
    count = int((len(x) - WINDOW - hop - 2 * REACH) * factor) // hop
    out, at = np.zeros((count + 2) * hop, np.float32), 0
    for i in range(count):
        out[i * hop : i * hop + WINDOW] += fade * x[at : at + WINDOW]
        goal = x[at + hop : at + hop + WINDOW]
        low = max(0, int((i + 1) * hop / factor) - REACH)
        at = low + int(np.argmax(np.correlate(x[low : low + WINDOW + 2 * REACH], goal, "valid")))
    return out


def upper_band(rng, x: np.ndarray) -> np.ndarray:
    """Speech whose band ends at 4 kHz, with a band above it at a random level: (N,) -> (N,).

    Spectral folding (Makhoul and Berouti 1979): changing the sign of every other sample mirrors the spectrum at 4 kHz.
    """
    signs = np.resize(np.float32([1, -1]), len(x))
    treble = np.diff(x, prepend=x[:1])  # without it, the mirror of the fundamental would be the loudest above
    return x + 10 ** (rng.uniform(-18, 3) / 20) * signs * treble


def telephone(x: np.ndarray) -> np.ndarray:
    """Sound without what is above 4 kHz: (N,) -> (N,) or a sample more."""
    from scipy.signal import resample_poly

    return resample_poly(resample_poly(x, 1, 2), 2, 1)


def run_together(rng, takes: list[np.ndarray]) -> np.ndarray:
    """Takes without pauses, each beginning up to 80 ms before the last one ends, as in fluent speech: (N,)."""
    x = takes[0]
    for take in takes[1:]:
        start = max(0, len(x) - int(rng.uniform(0, 0.08) * RATE))
        length = max(len(x), start + len(take))
        x = np.pad(x, (0, length - len(x))) + np.pad(take, (start, length - start - len(take)))
    return x


def tones(rng, n: int) -> np.ndarray:
    """A chord of up to five tones with harmonics, steady, sliding, trembling or dying away: (N,)."""
    time, x = np.arange(n) / RATE, np.zeros(n)
    for _ in range(int(rng.integers(1, 6))):
        slide = 1 + rng.choice([0, 0, rng.uniform(-0.3, 0.5)]) * time
        phase = 2 * np.pi * np.cumsum(np.exp(rng.uniform(np.log(50), np.log(4000))) * slide) / RATE
        x += sum(np.sin(k * phase) / k ** rng.uniform(0.7, 2) for k in range(1, int(rng.integers(2, 8))))
    trembling = 1 + rng.choice([0, 0.9]) * np.sin(2 * np.pi * rng.uniform(1, 12) * time)
    return x * np.exp(-time * rng.choice([0, 0, 2, 8])) * trembling


def clicks(rng, n: int) -> np.ndarray:
    """Up to a dozen knocks, each a short burst of coloured noise that dies away: (N,)."""
    x = np.zeros(n)
    for _ in range(int(rng.integers(1, 13))):
        length = int(rng.uniform(0.005, 0.15) * RATE)
        burst = coloured_noise(rng, length) * np.exp(-np.arange(length) / (length / 6))
        start = int(rng.integers(0, n - length))
        x[start : start + length] += burst * rng.uniform(0.2, 1)
    return x + coloured_noise(rng, n) * 10 ** rng.uniform(-4, -2)


def swelling_noise(rng, n: int) -> np.ndarray:
    """Noise whose level swells and falls at the pace of syllables or of breath: (N,)."""
    level = np.interp(np.linspace(0, 1, n), np.linspace(0, 1, k := int(rng.integers(2, 30))), rng.uniform(0, 1, k))
    return coloured_noise(rng, n) * level


class Mixer:
    """Composes utterances. `fsdd` is FSDD's folder of recordings, those of `babble` hold speech of other words."""

    def __init__(self, work: Path, fsdd: Path, babble: tuple[Path, ...] = ()):
        self.takes = {}  # (speaker, part of the data) -> digit -> takes
        for path in sorted(fsdd.glob("*.wav")):
            digit, speaker, take = path.stem.split("_")
            samples = audio.read(path, 8000)
            part = "test" if int(take) in TEST else "valid" if int(take) in VALID else "train"
            pool = self.takes.setdefault((speaker, part), {}).setdefault(int(digit), [])
            pool.append(samples / (np.abs(samples).max() + 1e-6) * 0.5)
        self.speakers = sorted({speaker for speaker, _ in self.takes} - HELD)
        self.tts = [line.split("\t") for line in (work / "tts.tsv").read_text().splitlines()]
        self.babble = [audio.read(path, RATE) for folder in babble for path in sorted(folder.rglob("*.flac"))]

    def background(self, rng, n: int, snr: float) -> tuple[np.ndarray, float]:
        """Noise or other people talking (never louder than 18 dB below), of unit power, and its level in dB."""
        if not self.babble or rng.random() >= 0.25:
            return coloured_noise(rng, n), snr
        other = np.resize(self.babble[rng.integers(len(self.babble))], n)
        return other / (other.std() + 1e-6), max(snr, 18)

    def augment(self, rng, x: np.ndarray) -> np.ndarray:
        """Short reverberation, spectral tilt, background, gain: each by chance."""
        from scipy.signal import fftconvolve, lfilter

        n = len(x)
        if rng.random() < 0.3:
            length = int(rng.uniform(0.03, 0.35) * RATE)
            room = rng.standard_normal(length) * np.exp(-np.arange(length) / (length / 5)) * 0.12
            room[0] = 1
            x = fftconvolve(x, room)[:n]
        if rng.random() < 0.5:
            x = lfilter([1, rng.uniform(-0.6, 0.6)], [1], x)
        if rng.random() < 0.85:
            power = np.sqrt((x**2).mean()) + 1e-6
            other, snr = self.background(rng, n, rng.uniform(8, 45))
            x = x + other * power * 10 ** (-snr / 20)
        return (x * rng.uniform(0.1, 1.2) / (np.abs(x).max() + 1e-6)).astype(np.float32)

    def real_digits(self, rng, speaker: str, part: str) -> tuple[np.ndarray, str]:
        """Real takes of one speaker joined into a string, with pauses, changes of speed and of level."""
        from scipy.signal import resample_poly

        k = int(rng.choice(list(STRING_LENGTHS), p=list(STRING_LENGTHS.values())))
        speeds = WIDE if part == "train" and rng.random() < WIDE_SHARE else SPEEDS
        said, speed = rng.integers(0, 10, k), speeds[rng.integers(len(speeds))]
        slower = rng.uniform(0.8, 1.3) if part == "train" and rng.random() < 0.4 else None
        gap, parts = ((0.0, 0.12) if rng.random() < 0.4 else (0.05, 0.6)), [pause(rng, 0.05, 0.8)]
        for digit in said:
            pool = self.takes[speaker, part][int(digit)]
            how = speed if rng.random() < 0.7 else speeds[rng.integers(len(speeds))]
            take = resample_poly(pool[rng.integers(len(pool))], *how).astype(np.float32)
            take = take if slower is None else time_stretch(take, slower)
            parts += [take * 10 ** (rng.uniform(-4, 4) / 20), pause(rng, *gap)]
        if part == "train" and rng.random() < TOGETHER_SHARE:
            parts = [parts[0], run_together(rng, parts[1::2])]
        x = np.concatenate([*parts, pause(rng, 0.05, 0.6)])
        x = upper_band(rng, x) if part == "train" and rng.random() < UPPER_SHARE else x
        return x, " ".join(WORDS[d] for d in said)

    def synthetic(self, rng) -> tuple[np.ndarray, str]:
        """One of the synthesised strings between pauses, sometimes with the band of a telephone."""
        from scipy.signal import resample_poly

        path, text = self.tts[rng.integers(len(self.tts))]
        x = resample_poly(audio.read(path, RATE), *VOICES[rng.integers(len(VOICES))])
        x = np.concatenate([pause(rng, 0.05, 0.7), x / (np.abs(x).max() + 1e-6) * 0.5, pause(rng, 0.05, 0.6)])
        return (telephone(x) if rng.random() < NARROW_SHARE else x), text

    def other_speech(self, rng) -> np.ndarray:
        """A piece of 1 to 6 s of the speech of other words, at any speed, with the full band or a telephone's."""
        from scipy.signal import resample_poly

        x = self.babble[rng.integers(len(self.babble))]
        length = min(len(x), int(rng.uniform(1, 6) * RATE))
        start = int(rng.integers(0, len(x) - length + 1))
        piece = x[start : start + length]
        up, down = WIDE[rng.integers(len(WIDE))]
        piece = resample_poly(piece, up, 2 * down) if rng.random() < 0.5 else piece
        piece = telephone(piece) if rng.random() < NARROW_SHARE else piece
        return piece / (np.abs(piece).max() + 1e-6) * 0.5

    def nothing(self, rng) -> np.ndarray:
        """Half a second to four of steady or swelling noise, tones or clicks, some of it near silence."""
        n = int(rng.uniform(0.5, 4) * RATE)
        x = (coloured_noise, swelling_noise, tones, clicks)[rng.integers(4)](rng, n)
        return x / (np.abs(x).max() + 1e-6) * 10 ** rng.uniform(-4.5, -0.2)

    def utterance(self, rng) -> tuple[np.ndarray, str]:
        """Samples (N,) and text: 64 % real digits, 22 % synthetic voices, 9 % other speech, 5 % other sounds."""
        r = rng.random()
        if r < 0.64:
            x, text = self.real_digits(rng, self.speakers[rng.integers(len(self.speakers))], "train")
        elif r < 0.86 or (r < 0.95 and not self.babble):
            x, text = self.synthetic(rng)
        else:
            x, text = (self.other_speech(rng) if r < 0.95 else self.nothing(rng)), ""
        return self.augment(rng, x), text

    def test_utterance(self, speaker: str, part: str, rng) -> tuple[np.ndarray, str]:
        """A string of takes never trained on, nearly clean."""
        x, text = self.real_digits(rng, speaker, part)
        return (x + 1e-4 * rng.standard_normal(len(x))).astype(np.float32), text
