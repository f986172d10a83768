"""The explorer: a page, in one file that needs no network, that follows a recording through the model.

    from s2t_np.inspect.explorer import STAGES, page
    html = page(trace(model, "recording.flac", STAGES), model)

    sections.py   the sections of the page in order: text, formula and arrays of each stage
    pictures.py   arrays -> small integers with a scale, all compressed into one block
    search.py     the beam tree and the alternatives to each token
    live/         experiments: the answer to a changed model, computed in the page or by a server
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

import numpy as np

from ...config import FeatureConfig
from ...errors import OptionError
from ...features import LOWEST_FREQUENCY, mel
from ...model import S2T
from ..trace import Trace
from ..trace.plan import is_readable
from .live import fragment
from .model_map import model_map
from .pictures import Pictures
from .search import alternatives, tokens_of, tree_of
from .sections import SECTIONS, STAGES, Section, View
from .tour import tour_of

__all__ = ["STAGES", "check_backend", "page"]

PROGRAM = ("page.js", "page.draw.js", "page.axes.js", "page.parts.js", "page.views.js", "page.tour.js")  # one script


def page(trace: Trace, model: S2T, address: str | None = None) -> str:
    """A Trace that holds STAGES, and the model that was traced -> one HTML document. Raises OptionError.

    Only backend numpy has all of STAGES. `address`: the URL that answers experiments; without it the page computes them
    itself, if the model is small.
    """
    check_backend(model)
    pictures = Pictures()
    sections = [section_record(section, trace, pictures) for section in SECTIONS]
    data = {
        "about": trace.about | {"model": model.folder.name},  # without its path on this machine
        "rate": model.feature_config.sampling_rate,
        "mel_centres": mel_centres(model.feature_config),
        "sections": sections,
        "tokens": tokens_of(trace, model.tokenizer),
        "alternatives": alternatives(trace, model.tokenizer),
        "tree": tree_of(trace, model.tokenizer),
        "tour": tour_of(trace, model.feature_config.sampling_rate),
        "arrays": pictures.index,
    }
    live = fragment(trace, model, address)
    return fill(read("page.html"), data, pictures.packed(), model_map(trace), live)


def mel_centres(config: FeatureConfig) -> list[float]:
    """The frequency (Hz) at the top of each mel filter: the inverse of 1127 ln(1 + f / 700) at equal steps."""
    ends = mel(LOWEST_FREQUENCY), mel(config.sampling_rate / 2)
    steps = np.linspace(*ends, config.num_mel_bins + 2)[1:-1]
    return (700 * np.expm1(steps / 1127)).tolist()


def check_backend(model: S2T) -> None:
    """Raise OptionError unless the model's backend has the stages of the page."""
    if not is_readable(model):
        raise OptionError(
            f"the page shows stages that backend {model.backend.name!r} computes in one go with others; "
            'load the model with backend "numpy" (--backend numpy)'
        )


def fill(html: str, data: dict, block: str, drawn: str = "", live: str = "") -> str:
    """The document with style, program, data, map and experiments filled in."""
    title = f"s2t-np: {data['about']['audio'] or 'a recording'}"
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


def section_record(section: Section, trace: Trace, pictures: Pictures) -> dict:
    """One section as the page needs it: texts, shapes for this recording, pictures, source."""
    names = [name for view in section.views for name in view.names_in(trace)]
    return {
        "id": section.id,
        "title": section.title,
        "text": section.text,
        "formula": section.formula,
        "stages": [stage_record(trace, name) for name in dict.fromkeys(names)],
        "views": [view_record(view, trace, pictures) for view in section.views],
        "sources": [source_record(place) for place in section.functions],
    }


def stage_record(trace: Trace, name: str) -> dict:
    """Name, shape and statistics of a stage."""
    entry = trace.entries[name]
    statistics = {key: getattr(entry, key) for key in ("minimum", "maximum", "mean", "std")}
    return {"name": name, "shape": list(entry.shape), "dtype": entry.dtype} | statistics


def view_record(view: View, trace: Trace, pictures: Pictures) -> dict:
    """One picture or row of pictures: its kind, its labels, and the keys of its arrays."""
    keys = []
    for name in view.names_in(trace):
        array, rows = trace[name], None
        if view.most_rows and len(array) > view.most_rows:
            rows = np.linspace(0, len(array) - 1, view.most_rows).astype(int)
            array = array[rows]
        keys += pictures.add(name, array, rows)
    labels = {"kind": view.kind, "title": view.title, "rows": view.rows, "columns": view.columns}
    return labels | {"seconds": view.seconds, "signed": view.signed, "arrays": keys}


def source_record(place: str) -> dict:
    """ "ops.layer_norm" or "tokenizer.Tokenizer.string" -> its file and line, and source as it stands."""
    module_name, name = re.fullmatch(r"([a-z0-9_.]+)\.((?:[A-Z]\w+\.)?\w+)", place).groups()
    function = attrgetter(name)(import_module(f"s2t_np.{module_name}"))
    lines, first = inspect.getsourcelines(inspect.unwrap(function))
    file = f"s2t_np/{module_name.replace('.', '/')}.py"
    return {"name": place, "file": file, "line": first, "source": "".join(lines)}
