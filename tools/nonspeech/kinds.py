"""The kinds of sound without speech: each function takes a random generator and n, and gives samples (N,).

Tones of the telephone: ITU-T Q.23 (keys) and E.180 (signals of the exchange). The kit of drums is that of early drum
machines: a falling sine, noise through a band, a tone under noise. Animals are harmonics with a gliding pitch through
the resonances of a throat, which is what makes them the hardest to tell from a voice.
"""

import functools
from pathlib import Path

import numpy as np

from .parts import (
    RATE,
    add,
    band,
    events,
    filtered,
    harmonics,
    noise,
    resonances,
    samples,
    seconds,
    slow,
    stroke,
    swell,
    tone,
    unit,
)

ROOT = Path(__file__).resolve().parent.parent.parent
SCALE = 2 ** (np.array([0, 2, 4, 5, 7, 9, 11, 12]) / 12)


# ---- steady sound


def silence(rng, n: int) -> np.ndarray:
    """Nothing, the last bit of 16, or a quiet room."""
    return [np.zeros(n), np.round(rng.standard_normal(n)) / 32768, noise(rng, n, 1) * 10 ** rng.uniform(-4, -3)][
        rng.integers(3)
    ]


def hum(rng, n: int) -> np.ndarray:
    """The mains and its harmonics."""
    sizes = rng.random(int(rng.integers(2, 12)))
    return harmonics(np.full(n, rng.choice([50.0, 60.0])), list(sizes)) + 0.02 * noise(rng, n, 1)


def steady_noise(rng, n: int) -> np.ndarray:
    return noise(rng, n, rng.uniform(-2, 2.5))


def engine(rng, n: int) -> np.ndarray:
    """Harmonics of a low pitch that wavers, through a box."""
    pitch = rng.uniform(25, 110) * (1 + 0.3 * slow(rng, n, rng.uniform(0.2, 2)))
    sound = harmonics(pitch, list(rng.random(24)))
    return filtered(sound + 0.5 * noise(rng, n, 1), resonances(list(rng.uniform(80, 2500, 4)), 200))


# ---- noise that comes and goes


def modulated_noise(rng, n: int) -> np.ndarray:
    """Noise whose level rises and falls as often as that of syllables: waves, breath, a saw."""
    rhythm = (1 + np.sin(2 * np.pi * rng.uniform(2, 8) * seconds(n))) / 2
    envelope = rhythm if rng.random() < 0.5 else slow(rng, n, rng.uniform(3, 12)) ** 2
    return envelope * noise(rng, n, rng.uniform(-1, 2))


def wind(rng, n: int) -> np.ndarray:
    """Noise through a resonance that comes and goes."""
    low, high = (filtered(noise(rng, n, 1), resonances([peak], 80)) for peak in (rng.uniform(200, 500), 900))
    gust = slow(rng, n, 1.5)
    return gust * low + gust**3 * high


def rain(rng, n: int) -> np.ndarray:
    """Many drops."""
    drops = rng.standard_normal(n) * (rng.random(n) < rng.uniform(0.001, 0.03))
    return filtered(drops, band(800, 6000))


def applause(rng, n: int) -> np.ndarray:
    """Many hands, each with its own resonance."""
    x = np.zeros(n)
    for _ in range(int(rng.integers(4, 30))):
        gap, peak = rng.uniform(0.2, 0.35), rng.uniform(700, 2500)
        for start in events(rng, n, 0.9 * gap, 1.1 * gap):
            add(x, start, clap(rng, peak) * rng.uniform(0.3, 1))
    return x


def clap(rng, peak: float) -> np.ndarray:
    n = samples(0.06)
    return unit(filtered(rng.standard_normal(n) * stroke(n, 90, 0.001), resonances([peak], 300)))


def clicks(rng, n: int) -> np.ndarray:
    """A metronome, a Geiger counter, or keys that are typed."""
    x, kind = np.zeros(n), rng.integers(3)
    gap = rng.uniform(0.15, 0.8)
    times = events(rng, n, gap, gap) if kind == 0 else events(rng, n, 0.02, gap)
    for start in times:
        m = samples(rng.uniform(0.002, 0.03))
        add(x, start, rng.uniform(0.4, 1) * stroke(m, 300, 0.0005) * rng.standard_normal(m))
    return filtered(x, band(rng.uniform(100, 1500), 7000)) if kind else x


# ---- signals


DTMF_ROWS, DTMF_COLUMNS = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
SIGNALS = (  # frequencies in Hz, seconds on, seconds off
    ((350, 440), 60, 0),  # dial tone, North America
    ((425,), 60, 0),  # Europe
    ((440, 480), 2, 4),  # ringing
    ((425,), 1, 4),
    ((480, 620), 0.5, 0.5),  # busy
    ((425,), 0.25, 0.25),
    ((1000,), 0.1, 0.9),  # pips
    ((2000,), 0.08, 0.12),  # an alarm clock
)


def dtmf(rng, n: int) -> np.ndarray:
    """The keys of a telephone."""
    x, length, gap = np.zeros(n), rng.uniform(0.05, 0.2), rng.uniform(0.05, 0.3)
    for start in events(rng, n, length + gap, length + gap):
        m = samples(length)
        add(x, start, tone(m, rng.choice(DTMF_ROWS)) + tone(m, rng.choice(DTMF_COLUMNS)))
    return x


def signal(rng, n: int) -> np.ndarray:
    """Dial tones, ringing, busy tones, pips."""
    pitches, on, off = SIGNALS[rng.integers(len(SIGNALS))]
    gate = (seconds(n) + rng.uniform(0, on)) % (on + off) < on
    return gate * sum(tone(n, hertz) for hertz in pitches)


def siren(rng, n: int) -> np.ndarray:
    """A pitch that goes up and down, smoothly or in two steps, or one sweep."""
    t, low, high = seconds(n), rng.uniform(300, 700), rng.uniform(800, 1800)
    swing = (1 + np.sin(2 * np.pi * rng.uniform(0.2, 4) * t)) / 2
    where = [swing, np.round(swing), t / t[-1]][rng.integers(3)]
    return harmonics(low + (high - low) * where, [1, *rng.random(3) / 2])


# ---- music


def note(rng, hertz: float, length: float, decay: float) -> np.ndarray:
    """A plucked or a held note, with vibrato by chance."""
    n = samples(length)
    vibrato = 1 + rng.choice([0.0, 0.006]) * np.sin(2 * np.pi * 5.5 * seconds(n))
    sizes = [1, *(rng.random(7) / np.arange(2, 9))]
    return harmonics(hertz * vibrato, sizes) * stroke(n, decay, 0.01)


def chords(rng, n: int) -> np.ndarray:
    """Triads, held or struck."""
    x, beat, decay = np.zeros(n), rng.uniform(0.3, 1.5), rng.choice([0.1, 1.0, 4.0])
    for start in np.arange(0, n / RATE, beat):
        root = 130.8 * rng.choice(SCALE) * rng.choice([1, 2])
        for k in (1.0, rng.choice([1.19, 1.26]), 1.5):
            add(x, start, note(rng, root * k, beat, decay))
    return x


def melody(rng, n: int) -> np.ndarray:
    """One voice of an instrument: notes of a scale, with rests."""
    x, now, decay, base = np.zeros(n), 0.0, rng.choice([0.2, 2.0, 6.0]), rng.choice([130.8, 261.6, 523.2])
    while now < n / RATE:
        length = rng.choice([0.15, 0.25, 0.5])
        if rng.random() < 0.85:
            add(x, now, note(rng, base * rng.choice(SCALE), length, decay))
        now += length
    return x


def drums(rng, n: int) -> np.ndarray:
    """A pattern of sixteen steps, again and again."""
    kit, x = [kick(), snare(rng), hat(rng)], np.zeros(n)
    pattern = rng.random((3, 16)) < np.array([[0.3], [0.2], [0.5]])
    pattern[0, 0] = pattern[1, 4] = True
    step = 60 / rng.uniform(80, 160) / 4
    for i, start in enumerate(np.arange(0, n / RATE, step)):
        for drum in np.flatnonzero(pattern[:, i % 16]):
            add(x, start, kit[drum])
    return x


def kick() -> np.ndarray:
    n = samples(0.25)
    return harmonics(50 + 120 * np.exp(-40 * seconds(n)), [1.0]) * stroke(n, 12, 0.002)


def snare(rng) -> np.ndarray:
    n = samples(0.2)
    return (0.5 * tone(n, 190) + noise(rng, n)) * stroke(n, 20, 0.001) * 0.7


def hat(rng) -> np.ndarray:
    n = samples(0.06)
    return filtered(rng.standard_normal(n), band(5000, 8000)) * stroke(n, 60, 0.001) * 0.2


def music(rng, n: int) -> np.ndarray:
    """A small band: chords, a bass, a melody, drums."""
    x = 0.5 * unit(chords(rng, n)) + 0.6 * unit(melody(rng, n)) + 0.8 * unit(drums(rng, n))
    for start in np.arange(0, n / RATE, 0.5):
        add(x, start, 0.5 * note(rng, 65.4 * rng.choice(SCALE), 0.45, 3.0))
    return x


# ---- animals, and what people do besides speaking


def birds(rng, n: int) -> np.ndarray:
    """Groups of chirps: short sweeps between 2 and 7 kHz."""
    x = np.zeros(n)
    for start in events(rng, n, 0.3, 1.5):
        low, high, length = rng.uniform(2000, 4000), rng.uniform(3000, 7000), rng.uniform(0.03, 0.15)
        for i in range(int(rng.integers(1, 8))):
            m = samples(length)
            add(x, start + i * length * 1.4, harmonics(np.linspace(low, high, m), [1.0]) * swell(m))
    return x


def insects(rng, n: int) -> np.ndarray:
    """Crickets: a high tone in pulses, the pulses in groups."""
    t, pulse, group = seconds(n), rng.uniform(25, 70), rng.uniform(0.5, 3)
    pulses = np.maximum(0, np.sin(2 * np.pi * pulse * t)) * (t * group % 1 < rng.uniform(0.3, 0.9))
    return pulses * tone(n, rng.uniform(2500, 6500)) + 0.02 * noise(rng, n, 1)


def calls(rng, n: int, pitch: tuple[float, float], length: tuple[float, float], breath: float) -> np.ndarray:
    """Calls of an animal: a pitch that rises and falls, through the resonances of one throat."""
    x, throat = np.zeros(n), resonances(list(rng.uniform((400, 1000, 2200), (900, 2000, 3500))), 200)
    for start in events(rng, n, 0.25, 1.5):
        m = samples(rng.uniform(*length))
        glide = rng.uniform(*pitch) * (1 + rng.uniform(-0.3, 0.6) * swell(m)) * np.linspace(1, rng.uniform(0.7, 1), m)
        voiced = harmonics(glide, [1 / k for k in range(1, 16)]) + breath * rng.standard_normal(m)
        add(x, start, filtered(voiced * stroke(m, rng.uniform(1, 8), 0.02), throat))
    return x


def barks(rng, n: int) -> np.ndarray:
    return calls(rng, n, (250, 700), (0.08, 0.25), 1.0)


def mews(rng, n: int) -> np.ndarray:
    """Cats, sheep, gulls: longer and clearer than barks."""
    return calls(rng, n, (200, 900), (0.3, 1.0), 0.05)


def coughs(rng, n: int) -> np.ndarray:
    """Coughs and sneezes: bursts of breath through a throat, without a pitch."""
    x = np.zeros(n)
    for start in events(rng, n, 0.2, 1.2):
        m = samples(rng.uniform(0.1, 0.35))
        burst = rng.standard_normal(m) * stroke(m, rng.uniform(8, 25), 0.01)
        add(x, start, filtered(burst, resonances(list(rng.uniform((500, 1200, 2500), (900, 1900, 3500))), 300)))
    return x


@functools.cache
def voices(folder: Path) -> tuple[np.ndarray, ...]:
    """The recordings of a folder, (N,) each, without their pauses."""
    from s2t_np import audio

    found = [audio.load(path, RATE) for path in sorted(folder.rglob("*.flac"))[:200]]
    return tuple(x[np.abs(x) > 0.02 * np.abs(x).max()] for x in found)


def babble(rng, n: int, folder: Path = ROOT / "s2t_np" / "recordings") -> np.ndarray:
    """Eight voices or more at once, at different speeds, some of them backwards: no word can be made out."""
    known, x = voices(folder), np.zeros(n)
    for _ in range(int(rng.integers(8, 20))):
        voice = known[rng.integers(len(known))][:: rng.choice([-1, 1])]
        said = np.interp(np.arange(0, len(voice), rng.uniform(0.8, 1.3)), np.arange(len(voice)), voice)
        x += np.resize(np.roll(unit(said), rng.integers(len(said))), n)
    return x


KINDS = {
    "silence": silence,
    "hum": hum,
    "noise": steady_noise,
    "engine": engine,
    "modulated noise": modulated_noise,
    "wind": wind,
    "rain": rain,
    "applause": applause,
    "clicks": clicks,
    "dtmf": dtmf,
    "signals": signal,
    "sirens": siren,
    "chords": chords,
    "melody": melody,
    "drums": drums,
    "music": music,
    "birds": birds,
    "insects": insects,
    "barks": barks,
    "mews": mews,
    "coughs": coughs,
    "babble": babble,
}
