"""How much text a model invents where there is no speech.

    python -m tools.nonspeech                            # the rates of `digits`, by kind of sound
    python -m tools.nonspeech --model FOLDER --count 20 --seed 3 --no-vad-filter
    python -m tools.nonspeech --speech ../shared/audio/digits-test/manifest.tsv   # and what the options do to speech
    python -m tools.nonspeech write FOLDER --count 40 --seed 7 [--kinds music babble]

Printed for each kind: pieces, minutes of sound, the share of pieces with any text, words a minute, and which share of
the texts carries a flag (docs/long-recordings.md). Every option of how a recording is cut and heard is taken under its
name, as `s2t-np transcribe` takes it: --option logprob_threshold=-0.2. `write` writes recordings and table.tsv with
empty texts. Rates are given for seed 0; training takes other seeds.
"""

import argparse
import json
import sys
from pathlib import Path

from .corpus import pieces, write
from .kinds import KINDS


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("what", nargs="?", choices=["rate", "write"], default="rate")
    result.add_argument("folder", nargs="?", type=Path, help="where to write")
    result.add_argument("--model", default="digits")
    result.add_argument("--count", type=int, default=10, help="pieces of each kind (10)")
    result.add_argument("--seed", type=int, default=0)
    result.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    result.add_argument("--beams", type=int, default=5)
    result.add_argument("--no-vad-filter", action="store_true", help="the model alone, without the detector")
    result.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="one of StreamOptions")
    result.add_argument("--speech", type=Path, help="a table of speech, to be heard with the same options")
    result.add_argument("--most", type=int, default=200, help="utterances of it (200)")
    return result


def rate(asked: argparse.Namespace) -> None:
    """Print the rates."""
    import s2t_np
    from s2t_np.longform.options import StreamOptions

    from .rate import invented, lost, report

    own = dict(pair.split("=", 1) for pair in asked.option)
    options = StreamOptions(vad_filter=not asked.no_vad_filter, **{k: json.loads(v) for k, v in own.items()})
    model = s2t_np.load(asked.model)
    print(*report(invented(model, pieces(asked.count, asked.seed, asked.kinds), options, asked.beams)), sep="\n")
    if asked.speech:
        print(lost(model, asked.speech, options, asked.beams, asked.most))


def main() -> int:
    asked = parser().parse_args()
    if asked.what == "rate":
        rate(asked)
    elif asked.folder is None:
        parser().error("write needs a folder")
    else:
        print(f"{asked.folder}: {write(asked.folder, asked.count, asked.seed, asked.kinds)} recordings, table.tsv")
    return 0


if __name__ == "__main__":
    sys.exit(main())
