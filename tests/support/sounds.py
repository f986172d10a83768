"""Sound for the tests: a signal that is easy to recognise again, and files made from it."""

import io
import struct
import warnings

import numpy as np

from s2t_np import audio
from s2t_np.errors import InputWarning


def signal(samples=16000, rate=16000, channels=1, seed=0):
    """Three tones and a little noise, peak about 0.6: (N,) or (N, channels) float32."""
    t = np.arange(samples)[:, None] / rate
    pitch = 200.0 * (1 + np.arange(channels))
    noise = 0.01 * np.random.default_rng(seed).standard_normal((samples, channels))
    tones = sum(a * np.sin(2 * np.pi * k * pitch * t) for k, a in ((1, 0.3), (2, 0.2), (5, 0.1)))
    x = (tones + noise).astype(np.float32)
    return x[:, 0] if channels == 1 else x


def encode(x, rate=16000, container="WAV", subtype=None, **options):
    """The bytes of a file that holds `x`, (N,) or (N, channels)."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, x, rate, format=container, subtype=subtype, **options)
    return file.getvalue()


def pcm16(x):
    """`x` in [-1, 1) as 16-bit integers, little endian: the body of a data chunk."""
    return np.round(x * 32768).clip(-32768, 32767).astype("<i2").tobytes()


def chunk(name, body, length=None, order="<", pad=True):
    """A RIFF chunk; `length` is what its header claims."""
    claimed = len(body) if length is None else length
    return name + struct.pack(order + "I", claimed) + body + b"\0" * (len(body) % 2 if pad else 0)


def wave_format(rate=16000, channels=1, bits=16, tag=1, align=None, byte_rate=None, order="<", extra=b""):
    """The body of a fmt chunk, true or not."""
    align = channels * bits // 8 % 65536 if align is None else align
    byte_rate = rate * align % 2**32 if byte_rate is None else byte_rate
    return struct.pack(order + "HHIIHH", tag, channels, rate, byte_rate, align, bits) + extra


def riff(*chunks, magic=b"RIFF", form=b"WAVE", length=None, order="<"):
    """A RIFF file of these chunks; `length` is what its header claims."""
    body = form + b"".join(chunks)
    return magic + struct.pack(order + "I", len(body) if length is None else length) + body


def patched(data, offset, layout, *values):
    """`data` with some bytes replaced."""
    changed = bytearray(data)
    struct.pack_into(layout, changed, offset, *values)
    return bytes(changed)


def read(source, rate=16000):
    """Through the room under test: file bytes -> (samples at `rate`, the words of all warnings)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        samples = audio.read(io.BytesIO(source), rate)
    assert samples.dtype == np.float32 and samples.ndim == 1 and np.isfinite(samples).all()
    assert all(w.category is InputWarning for w in caught)
    return samples, " ".join(str(w.message) for w in caught)
