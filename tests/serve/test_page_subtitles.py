"""The subtitles that the page writes are, letter by letter, those of `transcribe`: the JavaScript runs in node."""

import json
import random
import shutil
import subprocess
from importlib.resources import files

import pytest

from s2t_np.formats import Layout, render
from s2t_np.longform.segment import Recording, Segment, Word
from s2t_np.serve.parameters import Wanted
from s2t_np.serve.replies import segment_record

NODE = shutil.which("node") or shutil.which("nodejs")
pytestmark = pytest.mark.skipif(NODE is None, reason="needs node: runs the page's JavaScript")
RUN = """
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const written = ({ segments, broken }) => [subtitles.srt(segments, broken), subtitles.vtt(segments, broken)];
console.log(JSON.stringify(asked.map(written)));
"""


def words_from(rng: random.Random, start: float) -> list[Word]:
    """Words of all lengths with pauses, some without any duration."""
    found = []
    for _ in range(rng.randint(1, 40)):
        start = round(start + rng.choice([0, 0.01, 0.3, 3.5]), 3)
        end = round(start + rng.choice([0, 0.2, 1.1]), 3)
        text = "".join(rng.choices("abcde'->", k=rng.choice([1, 3, 7, 12, 50])))
        found.append(Word(f" {text}", start, end, 0.9))
        start = end
    return found


def drawn(rng: random.Random) -> Recording:
    """A recording of a few segments, with and without word times, cut off or not, breaking off or not."""
    segments, start = [], 0.0
    for i in range(rng.randint(1, 4)):
        words = words_from(rng, start)
        end = round(words[-1].end + 0.1, 3)
        text = " ".join(word.text.strip() for word in words)
        flags, timed = rng.choice([(), ("unfinished",)]), rng.choice([tuple(words), None])
        segments.append(Segment(i, start, end, text, (), -0.1, 1.0, timed, flags))
        start = end
    return Recording("x", tuple(segments), start, rng.choice([None, "breaks off --> early"]))


def test_they_are_those_of_transcribe():
    rng = random.Random(16)
    recordings = [drawn(rng) for _ in range(200)] + [Recording("x", (), 5.0, "breaks off"), Recording("x", (), 5.0)]
    asked = [
        {
            "segments": [segment_record(segment, Wanted()) for segment in recording.segments],
            "broken": recording.incomplete and {"at": recording.duration, "reason": recording.incomplete},
        }
        for recording in recordings
    ]
    program = files("s2t_np.serve").joinpath("web", "subtitles.js").read_text() + RUN
    done = subprocess.run([NODE, "-e", program], input=json.dumps(asked), capture_output=True, text=True, check=True)
    for recording, (srt, vtt) in zip(recordings, json.loads(done.stdout), strict=True):
        assert srt == render("srt", recording, None, Layout())
        assert vtt == render("vtt", recording, None, Layout())
