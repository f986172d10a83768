"""The pictures of the gallery, one function each: what runs, and what is shown of it.

A scene is given a browser and an empty folder, and returns the picture as PNG. Its docstring is what the picture shows.
"""

import dataclasses
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import s2t_np
from s2t_np import audio
from s2t_np.inspect.golden import write_pack
from s2t_np.inspect.golden.pack import forward
from s2t_np.inspect.plot import envelope
from s2t_np.ops import numpy_ops

from .stage import RECORDINGS, ROOT, SIZE, command, joined, terminal_page, write_sound

SPOKEN = ["synthetic-one-two-three", "two-nine-three-four-zero", "five-five"]
FIVE = RECORDINGS / "five-five.flac"
TWO = RECORDINGS / "two-nine-three-four-zero.flac"


def page_of(browser, html: str, **options):
    """A tab that shows a page made here."""
    tab = browser.new_page(viewport=dict(zip(("width", "height"), SIZE, strict=True)), **options)
    tab.set_content(html)
    return tab


def terminal(browser, lines: list[tuple[str, str]]) -> bytes:
    """A picture of commands and what they wrote."""
    tab = page_of(browser, terminal_page(lines), device_scale_factor=1.25)
    return tab.query_selector("body").screenshot()


PLAYER = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; } video { width: 1100px; height: 460px; } video::cue { font: 34px system-ui, sans-serif; }
</style><video controls><track kind="subtitles" default src="/talk.vtt"></video>"""
# From a blob, since a player seeks only where it may ask for parts of a file; and played, since a player that has not
# begun shows no subtitles.
SEEK = """async () => {
  const video = document.querySelector('video'), talk = await (await fetch('/talk.webm')).blob();
  video.src = URL.createObjectURL(talk);
  await new Promise(done => video.oncanplaythrough = done);
  await video.play();
  video.currentTime = 3.1;
  await new Promise(done => setTimeout(done, 300));
  video.pause();
}"""


def wave_picture(path: Path, samples: np.ndarray) -> None:
    """Draw the waveform of samples (N,) as the picture behind the subtitles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), facecolor="#141b29")
    axes = figure.add_axes((0, 0.25, 1, 0.65))
    low, high = envelope(samples, 1100)
    axes.fill_between(range(len(low)), low, high, color="#5b8fd6", linewidth=0)
    axes.set_xlim(0, len(low))
    axes.set_axis_off()
    figure.savefig(path, dpi=100)


def subtitles(browser, folder: Path) -> bytes:
    """Subtitles that `transcribe --format vtt` wrote, in a browser's player."""
    samples = joined(SPOKEN)
    write_sound(folder / "talk.flac", samples)
    wave_picture(folder / "wave.png", samples)
    if shutil.which("ffmpeg") is None:
        raise SystemExit("the gallery needs ffmpeg on the PATH, to make a video of a recording")
    program = "ffmpeg -v error -loop 1 -framerate 10 -i wave.png -i talk.flac"
    program += " -c:v libvpx -pix_fmt yuv420p -b:v 1M -shortest talk.webm"
    subprocess.run(program.split(), cwd=folder, check=True)
    command("s2t-np transcribe --model digits talk.flac --format vtt --output talk.vtt", folder)
    files = {
        "/": ("text/html", PLAYER.encode()),
        "/talk.vtt": ("text/vtt", (folder / "talk.vtt").read_bytes()),
        "/talk.webm": ("video/webm", (folder / "talk.webm").read_bytes()),
    }
    tab = browser.new_page(viewport={"width": 1100, "height": 460})

    def answer(route):
        kind, body = files.get(re.sub(r"^https?://[^/]+", "", route.request.url), ("text/plain", b""))
        route.fulfill(content_type=kind, body=body)

    tab.route("**/*", answer)
    tab.goto("http://gallery/")
    tab.evaluate(SEEK)
    tab.wait_for_function("document.querySelector('video').textTracks[0].activeCues?.length")
    tab.mouse.move(500, 300)
    tab.wait_for_timeout(500)
    return tab.screenshot()


def plot(browser, folder: Path) -> bytes:
    """`s2t-np plot`: waveform, log-mel features, and for each word where the decoder listened."""
    write_sound(folder / "talk.flac", joined(SPOKEN))
    command("s2t-np plot --model digits talk.flac -o talk.png", folder)
    return (folder / "talk.png").read_bytes()


def confidence(browser, folder: Path) -> bytes:
    """`transcribe --highlight` on speech in ever louder noise: uncertain words are yellow, doubtful ones red."""
    lines, two = [], SPOKEN[1:2]
    for name, spoken, noise in (("quiet", SPOKEN, 0.0), ("noisy", two, 3.0), ("loud", two, 4.0)):
        write_sound(folder / f"{name}.flac", joined(spoken, 1.0 if spoken is SPOKEN else 0.1, noise))
        line = f"s2t-np transcribe --model digits --highlight {name}.flac"
        lines.append((line, command(line, folder)))
    return terminal(browser, lines)


def without_mean(x: np.ndarray, w) -> np.ndarray:
    """Layer normalisation as a port might get it wrong: the mean stays in. x (..., D)."""
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-5) * w.weight + w.bias


def check(browser, folder: Path) -> bytes:
    """`s2t-np check` on a port whose layer normalisation forgets the mean: the first wrong stage, and why."""
    model = s2t_np.load("digits", backend="numpy")
    manifest = write_pack(model, FIVE, folder / "pack")
    broken = dataclasses.replace(model, backend=model.backend._replace(ops=numpy_ops._replace(layer_norm=without_mean)))
    samples = audio.load(FIVE, 16000)
    np.savez(folder / "port.npz", **forward(broken, samples, np.array(manifest["tokens"])).arrays)
    line = "s2t-np check pack port.npz"
    return terminal(browser, [(line, command(line, folder))])


def serve(browser, folder: Path) -> bytes:
    """The page of `s2t-np serve` after a file was dropped on it: words that play, subtitles to keep."""
    sound = write_sound(folder / "talk.flac", joined(SPOKEN))
    program = [sys.executable, "-m", "s2t_np", "serve", "--model", "digits", "--port", "0"]
    server = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = next(found[0] for line in server.stdout if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        tab = browser.new_page(viewport={"width": 1000, "height": 620}, color_scheme="light")
        tab.goto(address)
        tab.wait_for_selector("html[data-ready]", state="attached")
        tab.set_input_files("#file", sound)
        tab.wait_for_selector("#status:has-text('s heard')")
        return tab.screenshot()
    finally:
        server.terminate()
        server.wait()


def walkthrough(browser, folder: Path) -> bytes:
    """A page of the walkthrough: beam search as a tree, in the dark."""
    program = [sys.executable, "-m", "tools.walkthrough.page", "search", "-o", str(folder)]
    subprocess.run(program, cwd=ROOT, check=True)
    tab = browser.new_page(viewport={"width": 1100, "height": 620}, color_scheme="dark")
    tab.goto((folder / "search.html").as_uri())
    tab.evaluate("document.querySelector('[aria-label^=\"A search with\"]').closest('figure').scrollIntoView()")
    tab.evaluate("window.scrollBy(0, -150)")
    return tab.screenshot()


def explorer_page(browser, folder: Path, scheme: str):
    """A tab with the page of `s2t-np trace --html`."""
    command(f"s2t-np trace --model digits {TWO} --html page.html", folder)
    tab = browser.new_page(viewport={"width": 1250, "height": 800}, color_scheme=scheme)
    tab.goto((folder / "page.html").as_uri())
    tab.wait_for_function("document.documentElement.dataset.ready")
    return tab


def shown_section(tab, name: str) -> None:
    """Go to a section of the explorer and wait for its pictures."""
    tab.focus(f'nav a[href="#{name}"]')
    tab.keyboard.press("Enter")
    tab.wait_for_function(f"document.getElementById('{name}').dataset.drawn")
    tab.wait_for_timeout(700)


def explorer_map(browser, folder: Path) -> bytes:
    """The explorer: the map of the whole model on this recording, which is its navigation."""
    return explorer_page(browser, folder, "light").screenshot()


def explorer_attention(browser, folder: Path) -> bytes:
    """The explorer in the dark: where the decoder listened while it wrote each word."""
    tab = explorer_page(browser, folder, "dark")
    shown_section(tab, "decoder")
    tab.query_selector_all("#decoder .words button")[1].click()
    tab.wait_for_timeout(300)
    return tab.screenshot()


def explorer_follow(browser, folder: Path) -> bytes:
    """The explorer: how one number of the features was made, with its operands."""
    tab = explorer_page(browser, folder, "light")
    shown_section(tab, "cmvn")
    tab.focus("#cmvn canvas")
    for key in (*["Shift+ArrowRight"] * 4, *["Shift+ArrowUp"] * 2, "Enter"):
        tab.keyboard.press(key)
    tab.wait_for_timeout(600)
    return tab.screenshot()


def explorer_search(browser, folder: Path) -> bytes:
    """The explorer: what beam search considered at every step."""
    tab = explorer_page(browser, folder, "light")
    shown_section(tab, "search")
    return tab.screenshot()


SCENES = (
    subtitles,
    plot,
    confidence,
    check,
    serve,
    walkthrough,
    explorer_map,
    explorer_attention,
    explorer_follow,
    explorer_search,
)
