"""A folder of assorted files: sound and video in every container that this machine's ffmpeg writes.

    python -m tools.assorted FOLDER [--count 500]

Needs the program ffmpeg. Every recording is one of the bundled ones, so that its text is known: FOLDER/texts.tsv has a
line for each file, with the text, or the reason why there is none. Containers are asked for with their own codecs, at
several rates, with one channel and two, with and without pictures; some files are cut short, some are not sound at all.
"""

import argparse
import itertools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RECORDINGS = Path(__file__).resolve().parents[1] / "s2t_np" / "recordings"
TEXTS = {
    "five-five": "five five",
    "synthetic-one-two-three": "one two three",
    "synthetic-zero-one-four-two": "zero one four two",
    "two-nine-three-four-zero": "two nine three four zero",
}
NOT_SOUND = {"readme.txt": b"A text.\n", "page.html": b"<html></html>", "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(64)}
NOT_FILES = "alsa|oss|pulse|sdl|xv|fbdev|caca|opengl|rtp|rtsp|tee|fifo|null|hash|md5|crc|rtmp|hls|dash|segment|stream"
NOT_FILES += (
    "|decklink|chromaprint|ffmeta|image|sap|whip|smoothstreaming|hds|webm_chunk|uncodedframe|streamhash|mkvtimestamp"
)
SLOW = 15  # seconds after which ffmpeg is given up on a file of three
SKIPPED = re.compile(NOT_FILES)


class Recipe(NamedTuple):
    """A file to be made."""

    name: str
    source: str  # a key of TEXTS
    arguments: tuple[str, ...]  # ffmpeg's, between input and output
    video: bool = False


def muxers() -> list[str]:
    """The containers that ffmpeg writes into a file, by its names."""
    listed = subprocess.run(["ffmpeg", "-v", "error", "-muxers"], capture_output=True, text=True, check=True).stdout
    names = re.findall(r"^ +E[d ]? +([\w,]+)", listed, re.MULTILINE)
    return [name.split(",")[0] for name in names if not SKIPPED.search(name)]


def extension(muxer: str) -> str | None:
    """The suffix of a container's files; None if it has none of its own."""
    told = subprocess.run(["ffmpeg", "-v", "error", "-h", f"muxer={muxer}"], capture_output=True, text=True, check=True)
    found = re.search(r"Common extensions: (\w+)", told.stdout)
    return found and found[1]


def recipes(names: list[str]) -> Iterator[Recipe]:
    """Endlessly many, so that the first few hundred have every container several times."""
    sources, shapes = itertools.cycle(TEXTS), [("16000", "1"), ("48000", "2"), ("44100", "1"), ("8000", "1")]
    for round_ in itertools.count():
        rate, channels = shapes[round_ % len(shapes)]
        for muxer in names:
            arguments = ("-ar", rate, "-ac", channels, "-strict", "-2", "-f", muxer)
            yield Recipe(f"{muxer}-{round_}", next(sources), arguments, video=round_ % 2 == 1)


def make(recipe: Recipe, folder: Path, suffix: str) -> Path | None:
    """Write one file; None where ffmpeg does not."""
    path = folder / f"{recipe.name}.{suffix}"
    pictures = ("-f", "lavfi", "-i", "testsrc=size=176x144:rate=25:duration=3") if recipe.video else ("-vn",)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(RECORDINGS / f"{recipe.source}.flac"), *pictures]
    try:
        done = subprocess.run([*command, *recipe.arguments, str(path)], capture_output=True, check=False, timeout=SLOW)
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode or not path.exists() or not path.stat().st_size:
        path.unlink(missing_ok=True)
        return None
    return path


def has_sound(path: Path) -> bool:
    """Return whether ffprobe finds an audio stream in a file, and can name its codec."""
    command = ["ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "stream=codec_name,sample_rate"]
    told = subprocess.run([*command, "-of", "csv=p=0", str(path)], capture_output=True, text=True, check=False)
    return bool(re.search(r"^(?!unknown)\w+,[1-9]", told.stdout))


def cut_short(path: Path) -> Path:
    """A copy of a file of which 60 % are left."""
    copy = path.with_name(f"cut-{path.name}")
    data = path.read_bytes()
    copy.write_bytes(data[: len(data) * 6 // 10])
    return copy


def fill(folder: Path, count: int, names: list[str] | None = None) -> dict[str, str]:
    """Make `count` files in a folder; returns name -> the text that is said in it, or "" where it is not plain.

    A tenth of the files is cut short; what ffprobe finds no sound in, and what is no sound at all, is there, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    suffixes = {name: extension(name) for name in (muxers() if names is None else names)}
    wanted, made, refused = [name for name, suffix in suffixes.items() if suffix], {}, set()
    for name, data in NOT_SOUND.items():
        (folder / name).write_bytes(data)
        made[name] = ""
    for recipe in itertools.islice(recipes(wanted), 20 * count):
        if len(made) >= count:
            break
        muxer = recipe.arguments[-1]
        kind = (muxer, recipe.video, *recipe.arguments[:4])
        if kind in refused:
            continue
        if path := make(recipe, folder, suffixes[muxer]):
            made[path.name] = TEXTS[recipe.source] if has_sound(path) else ""
            if len(made) % 10 == 0:
                made[cut_short(path).name] = ""
        else:
            refused.add(kind)
    lines = [f"{name}\t{text}\n" for name, text in sorted(made.items())]
    (folder / "texts.tsv").write_text("".join(lines), encoding="utf-8")
    return made


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=500)
    args = parser.parse_args()
    if not shutil.which("ffmpeg"):
        sys.exit("tools.assorted needs the program ffmpeg: apt install ffmpeg")
    made = fill(args.folder, args.count)
    print(f"{len(made)} files, {sum(map(bool, made.values()))} with a known text")


if __name__ == "__main__":
    main()
