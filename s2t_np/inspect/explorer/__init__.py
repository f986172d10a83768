"""The explorer: a page, in one file that needs no network, that follows a recording through the model.

    from s2t_np.inspect.explorer import STAGES, page
    html = page(trace(model, "recording.flac", STAGES), model)

    sections.py   the sections of the page in order: text, formula and arrays of each stage
    carried.py    which arrays the page carries, and how exactly
    pictures.py   arrays -> exact numbers, or small integers with a scale, all compressed into one block
    description.py  what the page's program must know of the model to compute a number once more
    search.py     the beam tree and the alternatives to each token
    live/         experiments: the answer to a changed model, computed in the page or by a server
    questions.py  what a page may ask the server that sent it: experiments, numbers, gradients
    local_server.py  the server of one page, for `s2t-np explore`
    model_map.py  the map of the whole model, which is the navigation
    tour.py       the guided tour
    page.html, page.css, page.js, page.*.js   the page for the browser; `page` fills it in

The source code on the page is that of the functions that computed the numbers, read when the page is written, so it
cannot drift from the code.
"""

import inspect
import json
import re
from importlib import import_module
from importlib.resources import files
from operator import attrgetter
from typing import NamedTuple

from ...errors import OptionError
from ...model import S2T
from ...ops import LayerNorm
from ..trace import Trace
from ..trace.plan import is_readable
from ..trace.recorder_backend import named_parts
from .carried import BUDGET, carried, columns_of, is_derived
from .description import description, mel_centres, norms_of
from .live import fragment, why_not
from .model_map import model_map
from .pictures import Pictures, keys_of
from .questions import GRADIENT_WIDTH, WEIGHT, Gradients
from .search import alternatives, tokens_of, tree_of, words_of
from .sections import SECTIONS, STAGES, Section, View, seconds_of, views_of
from .tour import tour_of

__all__ = ["STAGES", "Asked", "check_backend", "lacking_stages", "page"]

PROGRAM = (  # one script
    *("page.js", "page.asking.js", "page.math.js", "page.derived.js", "page.draw.js", "page.axes.js"),
    *("page.parts.js", "page.views.js"),
    *("page.inside.js", "page.rules.sound.js", "page.rules.network.js"),
    *("page.follow.js", "page.tree.js", "page.word.js", "page.tour.js"),
)


class Asked(NamedTuple):
    """The server that sent the page and answers its questions (questions.py)."""

    address: str  # that the names of questions are appended to, relative to the page's
    gradients: bool  # whether it has them
    experiments: bool  # whether it is asked for experiments that the page could compute itself


def page(trace: Trace, model: S2T, asked: Asked | None = None, gradients: Gradients | None = None) -> str:
    """A Trace that holds STAGES, and the model that was traced -> one HTML document. Raises OptionError.

    Only backend numpy has all of STAGES. `asked`: the server of the page; a page without one computes experiments
    itself, if the model is small. `gradients`: words, as places of their tokens -> for each the gradient by features
    (T, M), which shows what sound mattered to it.
    """
    check_backend(model)
    options, words = alternatives(trace, model.tokenizer), words_of(trace, model.tokenizer)
    found = list(gradients([word["tokens"] for word in words])) if gradients and words else []
    live = fragment(trace, model, asked is not None and (asked.experiments or bool(why_not(trace, model))))
    budget = BUDGET - 7 * len(live) // 5  # weights are deflated already, arrays still shrink
    pictures = carried_arrays(trace, model, {option["id"] for listed in options for option in listed}, found, budget)
    data = {
        "words": words,
        "gradients": bool(found) or (asked is not None and asked.gradients),
        "asked": asked and asked.address,
        "about": trace.about | {"model": model.folder.name},  # without its path on this machine
        "rate": model.feature_config.sampling_rate,
        "mel_centres": mel_centres(model.feature_config),
        "sections": [section_record(section, trace, pictures, asked is not None) for section in SECTIONS],
        "tokens": tokens_of(trace, model.tokenizer),
        "alternatives": options,
        "tree": tree_of(trace, model.tokenizer),
        "tour": tour_of(trace, model.feature_config.sampling_rate),
        "arrays": pictures.index,
    }
    return fill(read("page.html"), data | description(trace, model), pictures.packed(), model_map(trace), live)


def carried_arrays(trace: Trace, model: S2T, listed: set[int], gradients: list, budget: int) -> Pictures:
    """The arrays that the page carries, the gradients, and the gains and offsets of the layer normalisations."""
    pictures, columns = Pictures(), columns_of(trace["log_probs"], listed)
    drawn = [name for section in SECTIONS for view in section.views if not view.spare for name in view.names_in(trace)]
    for name, width in carried(trace, drawn, budget - sum(array.size for array in gradients)).items():
        if name in ("log_probs", "lm_head") and columns is not None:
            pictures.add(name, trace[name][:, columns], width, columns)
        else:
            pictures.add(name, trace[name], width)
    for i, array in enumerate(gradients):
        pictures.add(f"gradient:{i}", array, GRADIENT_WIDTH)
    for name, array in norms_of(trace).items():
        pictures.add(name, array)
    for name, part in named_parts(model.weights):
        if isinstance(part, LayerNorm):
            pictures.add(f"{WEIGHT}{name}.weight", part.weight)
            pictures.add(f"{WEIGHT}{name}.bias", part.bias)
    return pictures


def check_backend(model: S2T) -> None:
    """Raise OptionError unless the model's backend has the stages of the page."""
    if not is_readable(model):
        raise lacking_stages(model.backend.name)


def lacking_stages(backend: str) -> OptionError:
    """The error for a backend that has not all stages of the page."""
    return OptionError(
        f"the page shows stages that backend {backend!r} computes in one go with others; "
        'load the model with backend "numpy" (--backend numpy)'
    )


def fill(html: str, data: dict, block: str, drawn: str = "", live: str = "") -> str:
    """The document with style, program, data, map and experiments filled in."""
    about = data["about"]
    title = f"s2t-np: {about['audio'] or about['text'][:60] or 'a recording'}"
    parts = {
        "TITLE": title.replace("&", "&amp;").replace("<", "&lt;"),
        "STYLE": read("page.css"),
        "PROGRAM": "\n".join(map(read, PROGRAM)),
        "MAP": drawn,
        "LIVE": live,
        "DATA": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        "BLOCK": block,
    }
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda place: parts[place[1]], html)  # in one pass: parts may look like places


def read(name: str) -> str:
    """The text of a file in this folder."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def section_record(section: Section, trace: Trace, pictures: Pictures, asks: bool) -> dict:
    """One section as the page needs it: texts, shapes for this recording, pictures, source.

    A page that `asks` a server names the arrays that it lacks, too.
    """
    names = section.names_in(trace)
    return {
        "id": section.id,
        "title": section.title,
        "text": section.text.replace("{milliseconds}", f"{1000 * seconds_of(trace):g}"),
        "formula": section.formula,
        "stages": [stage_record(trace, name) for name in names],
        "views": [view_record(view, trace, pictures, asks) for view in views_of(section, trace)],
        "sources": [source_record(place) for place in section.functions],
    }


def stage_record(trace: Trace, name: str) -> dict:
    """Name, shape and statistics of a stage."""
    entry = trace.entries[name]
    statistics = {key: getattr(entry, key) for key in ("minimum", "maximum", "mean", "std")}
    return {"name": name, "shape": list(entry.shape), "dtype": entry.dtype} | statistics


def view_record(view: View, trace: Trace, pictures: Pictures, asks: bool) -> dict:
    """One picture or row of pictures: its kind, its labels, and the keys of its arrays."""
    keys = [key for name in view.names_in(trace) for key in keys_of(name, trace[name].shape)]
    labels = {"kind": view.kind, "title": view.title, "rows": view.rows, "columns": view.columns}
    if view.kind == "norms":
        keys = list(norms_of(trace))
    there = [key for key in keys if key in pictures.index or is_derived(key) or (view.spare and asks)]
    return labels | {"seconds": view.seconds, "signed": view.signed, "arrays": there}


def source_record(place: str) -> dict:
    """ "ops.layer_norm" or "tokenizer.Tokenizer.string" -> its file and line, and source as it stands."""
    module_name, name = re.fullmatch(r"([a-z0-9_.]+)\.((?:[A-Z]\w+\.)?\w+)", place).groups()
    function = attrgetter(name)(import_module(f"s2t_np.{module_name}"))
    lines, first = inspect.getsourcelines(inspect.unwrap(function))
    file = f"s2t_np/{module_name.replace('.', '/')}.py"
    return {"name": place, "file": file, "line": first, "source": "".join(lines)}
