"""What the scenes of the gallery share: sounds, a command in a terminal, a browser, small files."""

import html
import io
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from s2t_np import audio

ROOT = Path(__file__).parent.parent.parent
RECORDINGS = ROOT / "s2t_np" / "recordings"
SIZE = (1100, 660)
FLAGS = ["--disable-gpu", "--disable-sync", "--autoplay-policy=no-user-gesture-required", "--mute-audio"]
COLOURS = {"31": "red", "32": "green", "33": "yellow", "1": "bold", "2": "faint", "90": "faint"}


def joined(names: list[str], gap: float = 1.0, noise: float = 0.0) -> np.ndarray:
    """Bundled recordings one after another, with pauses and white noise of `noise` times their power: (N,)."""
    draws, parts = np.random.default_rng(2), []
    for name in names:
        x = audio.load(RECORDINGS / f"{name}.flac", 16000)
        parts += [x + draws.standard_normal(len(x)) * np.sqrt(noise * (x**2).mean()), np.zeros(int(16000 * gap))]
    whole = np.concatenate(parts)
    whole += 0.001 * draws.standard_normal(len(whole))  # the hiss of a room: digital silence would end a segment
    return (0.9 * whole / np.abs(whole).max()).astype(np.float32)


def write_sound(path: Path, samples: np.ndarray) -> Path:
    """Samples (N,) as a FLAC file."""
    soundfile.write(path, samples, 16000)
    return path


def command(line: str, folder: Path) -> str:
    """What `line`, a command of s2t-np, writes to a terminal of 96 columns, colours included."""
    program = [sys.executable, "-m", "s2t_np", *shlex.split(line)[1:]]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "96", "NO_COLOR": ""}
    reader, writer = pty.openpty()
    process = subprocess.Popen(program, cwd=folder, env=environment, stdin=writer, stdout=writer, stderr=writer)
    os.close(writer)
    written = b""
    with open(reader, "rb", buffering=0) as terminal:
        while block := read_terminal(terminal):
            written += block
    process.wait()
    return written.decode().replace("\r\n", "\n")


def read_terminal(terminal: io.RawIOBase) -> bytes:
    """The next bytes; none when the program has closed its side, which Linux reports as an error."""
    try:
        return terminal.read(65536)
    except OSError:
        return b""


def as_html(text: str) -> str:
    """Text with colours of ECMA-48 -> HTML; lines that were overwritten, as a progress bar is, are left out."""
    lines = [line.rpartition("\r")[2] for line in text.split("\n")]
    parts, opened = [], 0
    for piece in re.split(r"(\x1b\[[0-9;]*[A-Za-z])", "\n".join(lines)):
        code = re.fullmatch(r"\x1b\[([0-9;]*)m", piece)
        if code and code[1] in COLOURS:
            parts.append(f'<span class="{COLOURS[code[1]]}">')
            opened += 1
        elif code:
            parts.append("</span>" * opened)
            opened = 0
        elif not piece.startswith("\x1b"):
            parts.append(html.escape(piece, quote=False))
    return "".join(parts) + "</span>" * opened


TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; padding: 22px; background: #3b4252; width: fit-content; }
div { background: #15181e; border-radius: 9px; overflow: hidden; min-width: 46rem; }
i { display: block; height: 30px; background: #2a2f3a; }
pre { margin: 0; padding: 14px 20px 18px; color: #e5e9f0; font: 15px/1.5 "DejaVu Sans Mono", monospace; }
b { color: #8fbcbb; } .red { color: #ff7b72; } .yellow { color: #f2cc60; } .green { color: #7ee787; }
.bold { font-weight: bold; } .faint { color: #a4adb9; }
</style><div><i></i><pre>"""


def terminal_page(lines: list[tuple[str, str]]) -> str:
    """A page that shows commands and what they wrote."""
    shown = [f"<b>$ {html.escape(line)}</b>\n{as_html(text).rstrip()}\n" for line, text in lines]
    return TERMINAL + "\n".join(shown).rstrip() + "</pre></div>"


@contextmanager
def browser():
    """A Chromium, driven by playwright. Ends with one line that names what is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        raise SystemExit('the gallery needs playwright: pip install ".[browser]"') from None
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        raise SystemExit("the gallery needs a Chromium on the PATH (chromium or google-chrome)")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=path, args=FLAGS + sandbox)
        yield running
        running.close()


def save(path: Path, png: bytes, width: int = 1100) -> int:
    """A picture as a small WebP file, at most `width` wide: its size in bytes."""
    from PIL import Image

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    picture.save(path, "WEBP", quality=82, method=6)
    return path.stat().st_size
