"""Live experiments on the page: the weights travel in the page, and a forward pass in JavaScript computes with them.

    ops.js layers.js encoder.js decoder.js search.js    the readable forward pass once more, file by file as in s2t_np
    experiment.js    the twin of s2t_np/inspect/experiments.py: the same description, the same comparison
    worker.js computers.js    the thread that computes; the choice between this page and a server
    controls.js answers.js panel.js live.css    the controls, the answers side by side, both together

A page of a small model computes by itself (kind "page"). A page that a server sends asks it: that of `s2t-np explore`
always, that of `s2t-np serve` where the model is too large for a page (kind "server"). Any other page says how to get
there (kind "none").

Weights travel in float16, as `--dtype float16` keeps them, and are computed with in float32. The first bytes of all
numbers come first, then their second bytes: so the exponents deflate well.
"""

import base64
import json
import zlib
from dataclasses import asdict
from importlib.resources import files

import numpy as np

from ....model import S2T
from ....parts import named_leaves
from ....settings.generation_config import GenerationConfig
from ...trace import Trace
from ...trace.plan import of_the_search

NETWORK_PROGRAM = ("ops.js", "layers.js", "encoder.js", "decoder.js", "search.js", "experiment.js")
PROGRAM = (*NETWORK_PROGRAM, "worker.js", "computers.js", "controls.js", "answers.js", "panel.js")
MOST_WEIGHTS = 2_500_000  # numbers: 6 MB of page
SEARCH = (
    *("num_beams", "length_penalty", "early_stopping", "max_length", "eos_token_id", "decoder_start_token_id"),
    "pad_token_id",
)  # options that search.js knows
NETWORK = (
    "encoder_attention_heads",
    "decoder_attention_heads",
    "pad_token_id",
    "scale_embedding",
)  # encoder.js, decoder.js


def read(name: str) -> str:
    """The text of a file in this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def program() -> str:
    """All files as one function, so that none of their names meets one of the page's; `live` is what it gives out."""
    parts = "\n".join(f"/* ==== {name} ==== */\n{read(name)}" for name in PROGRAM)
    return f'"use strict";\nconst live = (() => {{\n{parts}\nreturn {{ panel, listen: worker.listen }};\n}})();'


def fragment(trace: Trace, model: S2T, asking: bool = False) -> str:
    """The part of the page that computes: description, weights and program. `asking`: it asks its server instead."""
    record, block = ({"kind": "server"}, "") if asking else page_record(trace, model)
    data = json.dumps(record | shape_of(trace, model), allow_nan=False).replace("<", "\\u003c")
    return (
        f'<style>\n{read("live.css")}</style>\n<script type="application/json" id="live-data">{data}</script>\n'
        f'<script type="text/plain" id="live-block">{block}</script>\n'
        f'<script id="live-program">\n{program()}\n</script>'
    )


def shape_of(trace: Trace, model: S2T) -> dict:
    """The numbers that the controls need to know."""
    config, search = model.config, searched(trace, model)
    return {
        "encoder_layers": len(model.weights.encoder.layers),
        "decoder_layers": len(model.weights.decoder.layers),
        "encoder_heads": config.encoder_attention_heads,
        "decoder_heads": config.decoder_attention_heads,
        "bins": model.feature_config.num_mel_bins,
        "num_beams": search.num_beams,
        "length_penalty": search.length_penalty,
    }


def page_record(trace: Trace, model: S2T) -> tuple[dict, str]:
    """The description of a page that computes by itself, and its block; or of one that cannot, and why."""
    if why := why_not(trace, model):
        return {"kind": "none", "why": why}, ""
    tensors = dict(named_leaves(model.weights, np.ndarray))
    table, block = packed(tensors | halved(trace["features.cmvn"].astype(np.float32)))
    generation = searched(trace, model)
    return {
        "kind": "page",
        "config": {name: getattr(model.config, name) for name in NETWORK},
        "generation": {name: getattr(generation, name) for name in SEARCH},
        "pieces": model.tokenizer.id_to_piece,
        "special": sorted(model.tokenizer.special_ids),
        "tensors": table,
    }, block


def searched(trace: Trace, model: S2T) -> GenerationConfig:
    """The options of the search that the trace follows."""
    return model.generation_config.replace(**of_the_search(trace.about["options"]))


def why_not(trace: Trace, model: S2T) -> str:
    """The reason why the page cannot compute by itself; nothing if it can."""
    if sum(tensor.size for _, tensor in named_leaves(model.weights, np.ndarray)) > MOST_WEIGHTS:
        return "the weights of this model are too large for a page"
    options, plain = asdict(searched(trace, model)), asdict(GenerationConfig())
    unknown = [name for name in plain if name not in SEARCH and options[name] != plain[name]]
    if "prefix" in trace.about["options"] or unknown:
        used = ", ".join(unknown) or "a prefix"
        return f"the search of this page used {used}, which the page's own program does not know"
    if not isinstance(options["eos_token_id"], int) or model.config.activation_function != "relu":
        return "the page's own program does not know this model's options"
    return ""


def halved(x: np.ndarray) -> dict[str, np.ndarray]:
    """float32 numbers as the sum of two in float16, which is off by 2**-22 at most: any shape -> two of the same."""
    large = x.astype(np.float16)
    return {"features": large, "features_rest": (x - large.astype(np.float32)).astype(np.float16)}


def packed(tensors: dict[str, np.ndarray]) -> tuple[dict, str]:
    """{name: {"shape", "offset"}} and the block of all numbers, in float16, deflated, in base64.

    A tensor that has two names is there once. The block holds the first byte of every number, then the second of each.
    """
    table, parts, places, size = {}, [], {}, 0
    for name, tensor in tensors.items():
        if id(tensor) not in places:
            places[id(tensor)] = size
            parts.append(tensor.ravel().astype(np.float16))
            size += tensor.size
        table[name] = {"shape": list(tensor.shape), "offset": places[id(tensor)]}
    planes = np.concatenate(parts).astype(">f2").view(np.uint8).reshape(-1, 2).T  # (2, numbers)
    return table, base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()
