#!/usr/bin/env python3
"""Make the pictures of docs/gallery.md: all of them, or those that are named.

    python -m tools.gallery                          # docs/images/*.webp
    python -m tools.gallery explorer_map -o FOLDER   # one of them, somewhere else

It needs a Chromium, playwright, matplotlib, Pillow, and what the server and the walkthrough need:
pip install ".[browser,plot,serve,walkthrough]". Look at what it has made before you commit it.
"""

import argparse
import tempfile
from pathlib import Path

from .scenes import SCENES
from .stage import ROOT, browser, save

IMAGES = ROOT / "docs" / "images"


def main():
    names = {scene.__name__: scene for scene in SCENES}
    parser = argparse.ArgumentParser(
        prog="python -m tools.gallery", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"which ones: {', '.join(names)} (default: all)")
    parser.add_argument("-o", "--output", type=Path, default=IMAGES, help="the folder (default: docs/images)")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenes) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: not a scene; there are {', '.join(names)}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    with browser() as running:
        for name in arguments.scenes or names:
            with tempfile.TemporaryDirectory() as folder:
                size = save(arguments.output / f"{name}.webp", names[name](running, Path(folder)))
            print(f"{name}.webp: {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
