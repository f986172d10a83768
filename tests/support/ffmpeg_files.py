"""Files that only FFmpeg reads, written through PyAV: sound in any of its formats, several streams, pictures."""

import io
from fractions import Fraction

import numpy as np

RATE = 16000


def frames_of(x, rate, begin, size=1024):
    """Frames of a signal (N,) or (N, C), the first at `begin` seconds."""
    import av

    x = np.asarray(x, np.float32).reshape(len(x), -1)
    layout = "mono" if x.shape[1] == 1 else "stereo"
    for at in range(0, len(x), size):
        packed = np.ascontiguousarray(x[at : at + size]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, at + round(begin * rate), Fraction(1, rate)
        yield frame


def add_sound(container, codec, x, rate, begin):
    """A stream of sound; returns the packets of it."""
    import av

    stream = container.add_stream(codec, rate=rate, layout="mono" if np.ndim(x) == 1 else "stereo")
    forms = [form.name for form in stream.codec_context.codec.audio_formats]
    form = next((name for name in ("s16", "s16p") if name in forms), forms[0])
    stream.codec_context.format = form
    if codec == "wmav2":
        stream.bit_rate = 64_000
    layout = "mono" if np.ndim(x) == 1 else "stereo"
    size = stream.codec_context.frame_size or 1024
    resampler = av.AudioResampler(format=form, layout=layout, rate=rate, frame_size=size)
    packets = []
    for frame in [*frames_of(x, rate, begin), None]:
        for ready in resampler.resample(frame):
            packets += stream.encode(ready)
    return packets + list(stream.encode(None))


def add_pictures(container, seconds):
    """A stream of ten small pictures a second; returns the packets of it."""
    import av

    stream = container.add_stream("mpeg4", rate=10)
    stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
    packets = []
    for number in range(round(10 * seconds)):
        picture = av.VideoFrame.from_ndarray(np.full((64, 64, 3), number % 250, np.uint8), format="rgb24")
        packets += stream.encode(picture)
    return packets + list(stream.encode(None))


def written(form, codec, *sounds, rate=RATE, begin=0.0, pictures=0.0, hole=(0, 0)):
    """The bytes of a file in FFmpeg's format `form`: a stream for each of `sounds`, (N,) or (N, 2), at `rate` Hz.

    `begin`: seconds at which the sound begins; `pictures`: seconds of video before it; `hole`: the numbers of packets
    that are left out, the first and the one after the last.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        packets = add_pictures(container, pictures) if pictures else []
        for x in sounds:
            packets += add_sound(container, codec, x, rate, begin)
        for number, packet in enumerate(sorted(packets, key=lambda p: p.dts * p.time_base)):
            if not hole[0] <= number < hole[1]:
                container.mux(packet)
    return file.getvalue()
