"""Arguments that several commands take: the model, and the format of what is printed."""

from argparse import ArgumentParser, Namespace

from ..backend import DTYPES
from ..errors import HubError
from ..loading import load
from ..model import DEFAULT_MODEL, S2T
from ..system.threads import set_threads


def add_format(parser: ArgumentParser) -> None:
    """--format txt|json."""
    parser.add_argument(
        "--format", choices=["txt", "json"], default="txt", help="print lines of text or one JSON object"
    )


def add_model_arguments(parser: ArgumentParser, default: str | None = DEFAULT_MODEL) -> None:
    """--model, --revision, --backend, --dtype, --threads."""
    group = parser.add_argument_group("model")
    says = (
        f"digits (bundled; it knows the ten English digits), a folder, a .pt of fairseq's, or a hub id (default: "
        f"{default}; it writes English in lower case without punctuation); A:B averages the probabilities of both"
    )
    group.add_argument("--model", metavar="NAME", default=default, help=says if default else "the model to describe")
    group.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub id")
    group.add_argument("--backend", default="auto", help="numba, numpy or auto (default): numba if installed")
    says = "float32 (default), float64 with numpy; weights kept in float16 or int8 with numba"
    group.add_argument("--dtype", default="float32", choices=list(DTYPES), help=says)
    group.add_argument("--threads", metavar="N", type=int, help="default: as many as this process may use")


def load_model(args: Namespace) -> S2T:
    """The model that the arguments name; its calls use the number of threads they give.

    Raises ModelError, BackendError, OptionError.
    """
    set_threads(args.threads)
    try:
        return load(args.model, backend=args.backend, dtype=args.dtype, revision=args.revision)
    except HubError as error:
        if args.model != DEFAULT_MODEL:
            raise
        raise HubError(f"{error}; `--model digits` runs the small bundled model") from error
