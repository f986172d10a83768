"""Sub-commands that move models: `convert`, `download`."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from ...model import DEFAULT_MODEL
from ..command import Command
from ..terminal import say, show


def convert(args: Namespace) -> int:
    """Write a model as model.safetensors and its JSON files."""
    from ...checkpoint.hub import find
    from ...errors import OptionError
    from ...hf.convert import check_target, convert
    from ...loading import ensemble_parts

    target = Path(args.target)
    check_target(target, args.force)  # before anything is downloaded
    if len(ensemble_parts(args.source)) > 1:
        raise OptionError(
            f"{args.source:.200} names an ensemble, and a folder holds one model: convert each of them by itself, and "
            "join the folders by the same sign for --model"
        )
    done = convert(find(args.source, args.revision), target, args.dtype, args.force)
    say(
        f"{args.target}: {done.tensors} tensors, {done.parameters:,} parameters, {args.dtype}, "
        f"{done.size / 1e6:.1f} MB in model.safetensors"
    )
    return 0


def add_convert_arguments(parser: ArgumentParser) -> None:
    """The arguments of `convert`."""
    parser.add_argument("source", metavar="SRC", help="digits (bundled), a folder, or a hub id")
    parser.add_argument("target", metavar="DST", help="the folder to write, empty or new")
    parser.add_argument("--dtype", default="float32", choices=["float32", "float16"], help="default: float32")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub id")
    parser.add_argument("--force", action="store_true", help="replace a model that exists at DST")


def download(args: Namespace) -> int:
    """Download a model into the local cache and print its folder."""
    from ...checkpoint.hub import download

    show(f"{download(args.id, args.revision, force=args.force)}\n")
    return 0


def add_download_arguments(parser: ArgumentParser) -> None:
    """The arguments of `download`."""
    parser.add_argument(
        "id", metavar="ID", nargs="?", default=DEFAULT_MODEL, help=f"a hub id (default: {DEFAULT_MODEL})"
    )
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit")
    parser.add_argument(
        "--force", action="store_true", help="download files again that are cached already, as they may be damaged"
    )


CONVERT = Command(
    add_convert_arguments,
    convert,
    description="Write a folder with model.safetensors and the JSON files, which transformers loads as well. The\n"
    "folder appears only when it is complete and has been loaded once.",
    examples="examples:\n  s2t-np convert old-folder/ new-folder/\n"
    f"  s2t-np convert {DEFAULT_MODEL} half-size/ --dtype float16",
)
DOWNLOAD = Command(
    add_download_arguments,
    download,
    examples="Needs the package huggingface_hub, which documents the variables HF_HOME, HF_TOKEN and HF_ENDPOINT.",
)
