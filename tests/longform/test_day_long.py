"""The tool that makes a day of sound in one file, on two minutes of it."""

import struct

import numpy as np
import soundfile

from tools import day_long


def test_a_file_with_speech_every_so_many_seconds(tmp_path):
    day_long.make(tmp_path / "day.wav", hours=1 / 30, every=20)
    x, rate = soundfile.read(tmp_path / "day.wav", dtype="float32")
    assert (rate, len(x)) == (16000, 120 * 16000)
    first, _ = soundfile.read(sorted(day_long.RECORDINGS.glob("*.flac"))[0], dtype="float32")
    np.testing.assert_array_equal(x[10 * rate : 10 * rate + len(first)], first)
    loud = [bool(x[i * 20 * rate + 10 * rate :][:rate].any()) for i in range(6)]
    assert loud == [True] * 6 and not x[: 10 * rate].any()
    assert (tmp_path / "day.wav").stat().st_blocks * 512 < 0.7 * (tmp_path / "day.wav").stat().st_size


def test_the_length_above_4_gb_is_in_64_bits():
    head = day_long.header(24 * 3600 * 16000)
    assert struct.unpack_from("<Q", head, 28) == (5_529_600_000,)
    assert head[:4] == b"RF64" and head[4:8] == b"\xff" * 4 == head[-4:]


def test_hours_are_compared_with_the_first():
    hour = [(30.0, 31.5, "one"), (90.0, 91.0, "two")]
    day = [(b + 3600 * n, e + 3600 * n, text) for n in range(3) for b, e, text in hour]
    assert day_long.differing_hours(day) == [] == day_long.differing_hours(day[:-1])
    assert day_long.differing_hours(day[:3] + day[4:]) == [1]
    wrong = [*day[:2], (3630.0, 3631.6, "one"), *day[3:]]
    assert day_long.differing_hours(wrong) == [1]
    assert day_long.differing_hours([*day[:-1], (7290.0, 7291.0, "too")]) == [2]
