"""Checkpoints as fairseq's S2T writes them: one .pt, a config.yaml, a dictionary, a sentencepiece model.

    checkpoint.py   all of it, read as one thing
    objects.py      what the pickle may name, as descriptions
    arguments.py    the settings of the network -> the fields of config.json
    tensors.py      names of fairseq -> names of transformers
    data_config.py  config.yaml: features, normalisation, vocabulary
    dictionary.py   the dictionary (piece, count) -> vocab.json

Nothing in a file is imported or executed, and only the tensors of the network are read: the state of the optimiser,
twice their size, stays on the disk.
"""

from pathlib import Path

from ...errors import ModelError


def find(place: Path) -> Path | None:
    """The .pt that a path means: itself, or the one in a folder without config.json; None where there is none.

    Of several in a folder, the best one by its training's own name is taken. Raises ModelError where none is.
    """
    if place.is_file():
        return place if place.suffix == ".pt" else None
    if (place / "config.json").exists() or not place.is_dir():
        return None
    found = sorted(place.glob("*.pt"))
    best = [path for path in found if path.name in ("model.pt", "checkpoint_best.pt")]
    if len(found) > 1 and len(best) != 1:
        names = ", ".join(path.name for path in found[:6])
        raise ModelError(f"{place}: holds {len(found)} checkpoints ({names}); name the one to use, folder/NAME.pt")
    return (best or found or [None])[0]
