"""Sub-commands that make models: `train`, `average`."""

import argparse
import dataclasses
from argparse import ArgumentParser, Namespace

from ...errors import OptionError
from ...training.data import NORMALIZATIONS
from ...training.derivatives.dropout import Rates
from ...training.recipe import FINE_TUNING, FROM_NOTHING, Recipe
from ..command import Command
from ..generation import language

DESCRIPTION = """\
Train a model: fine-tune one on recordings of your own, or make one from nothing. Options have fairseq's names; their
defaults depend on which of the two is asked for.

RUN/best is the best model on the validation set, RUN/average the mean of the last checkpoints, RUN/checkpoints/* are
whole models as well; all of them can be given to --model. A run that was stopped or killed goes on with --resume, with
the same bits as if it had not been."""
EXAMPLES = """\
examples:
  s2t-np train --from facebook/s2t-small-librispeech-asr
      --train mine.tsv --valid some.tsv -o run
  s2t-np train --from run/best --freeze encoder
      --train more.tsv --valid some.tsv -o second-run
  s2t-np train --config config.json --vocab-size 5000
      --train LibriSpeech/train-clean-100 --valid LibriSpeech/dev-clean
      -o run --max-tokens 40000 --update-freq 8
  s2t-np train --resume -o run"""
TYPES = {int: int, float: float, str: str}


def numbers(text: str) -> tuple[float, ...]:
    """Numbers separated by commas, for argparse."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a list of numbers, such as 0.9,1,1.1") from None


def words(text: str) -> tuple[str, ...]:
    """Words separated by commas, for argparse."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


LISTS = {"speed": numbers, "freeze": words}


def flag(name: str) -> str:
    """The option of a field."""
    return "--" + name.replace("_", "-")


def brief(value) -> str:
    """A default as the help shows it."""
    return ",".join(f"{v:g}" for v in value) or "none" if isinstance(value, tuple) else f"{value}"


def default_of(name: str) -> str:
    """The default of an option, or both of its defaults."""
    nothing, tuning = (brief(getattr(recipe, name)) for recipe in (FROM_NOTHING, FINE_TUNING))
    return nothing if nothing == tuning else f"{tuning}; from nothing {nothing}"


def add_recipe_arguments(parser: ArgumentParser) -> None:
    """An option for every field of the recipe, and for every rate of dropout."""
    group = parser.add_argument_group("recipe")
    for field in dataclasses.fields(Recipe):
        kind = LISTS.get(field.name, TYPES.get(field.type))
        says = f"{field.metadata['help']} (default: {default_of(field.name)})"
        group.add_argument(flag(field.name), type=kind, metavar="X", help=says.replace("%", "%%"))
    group = parser.add_argument_group("noise", "probabilities; the default is what config.json says")
    for name in Rates.__dataclass_fields__:
        group.add_argument(flag(name), type=float, metavar="P", help=argparse.SUPPRESS if "layer" in name else None)


def add_data_arguments(parser: ArgumentParser) -> None:
    """The options of recordings and texts."""
    group = parser.add_argument_group("data")
    says = "lower: lower case, as for LibriSpeech; words: and without punctuation; none (default: lower, or none for "
    says += "a vocabulary that has upper case)"
    group.add_argument("--normalize-text", choices=list(NORMALIZATIONS), help=says)
    says = "language of the texts, for a model that writes several"
    group.add_argument("--lang", metavar="XX", type=language, help=says)
    says = "pieces of a new vocabulary (default: 1000; as few as the texts give)"
    group.add_argument("--vocab-size", metavar="V", type=int, default=1000, help=says)
    says = "where features are kept (default: RUN/features); - computes them at each use"
    group.add_argument("--features", metavar="DIR", help=says)
    says = "per cent of rows that may be left out because they cannot be used (default: 5)"
    group.add_argument("--max-bad-rows", metavar="P", type=float, help=says)
    says = "validation utterances that are transcribed for the word error rate (default: 200)"
    group.add_argument("--valid-utterances", metavar="N", type=int, help=says)


def add_train_arguments(parser: ArgumentParser) -> None:
    """The arguments of `train`."""
    parser.add_argument("--from", dest="source", metavar="MODEL", help="digits (bundled), a folder, or a hub id")
    parser.add_argument("--config", metavar="FILE", help="from nothing: a config.json that gives the shape")
    parser.add_argument("--train", metavar="CORPUS", help="a .tsv, .csv or .jsonl table, or LibriSpeech's tree")
    parser.add_argument("--valid", metavar="CORPUS", help="recordings to measure on; none: the last model is the best")
    parser.add_argument("-o", "--output", metavar="RUN", required=True, help="the folder of the run, new or empty")
    parser.add_argument("--resume", action="store_true", help="go on with the run in RUN")
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit of a hub id")
    add_data_arguments(parser)
    group = parser.add_argument_group("progress")
    group.add_argument("--log-interval", metavar="N", type=int, help="updates in a line of log.jsonl (default: 20)")
    group.add_argument("--backend", default="auto", help="that transcribes the validation set: numba, numpy, auto")
    group.add_argument("--threads", metavar="N", type=int, help="default: as many as this process may use")
    add_recipe_arguments(parser)


def check(args: Namespace) -> None:
    """Raise OptionError for options that do not go together."""
    if args.resume:
        given = [name for name in ("source", "config", "train", "valid") if getattr(args, name) is not None]
        if given:
            option = flag(given[0].replace("source", "from"))
            raise OptionError(f"--resume goes on with what RUN/run.json says; leave out {option}")
    elif (args.source is None) == (args.config is None):
        raise OptionError("give --from, a model to begin with, or --config, a shape to begin with from nothing")
    elif args.train is None:
        raise OptionError("--train is missing: a table of recordings and texts, or LibriSpeech's tree")
    if args.max_bad_rows is not None and not 0 <= args.max_bad_rows <= 100:
        raise OptionError(f"--max-bad-rows is {args.max_bad_rows:g}, expected per cent from 0 to 100")
    for name in ("vocab_size", "log_interval"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise OptionError(f"{flag(name)} is {getattr(args, name)}, expected at least 1")


def train(args: Namespace) -> int:
    """Train."""
    from .training_run import train

    check(args)
    return train(args)


def average(args: Namespace) -> int:
    """Average checkpoints."""
    from .training_run import average

    return average(args)


def add_average_arguments(parser: ArgumentParser) -> None:
    """The arguments of `average`."""
    says = "folders of checkpoints, or one RUN, whose last checkpoints are meant"
    parser.add_argument("source", metavar="CHECKPOINT", nargs="+", help=says)
    parser.add_argument("-o", "--output", metavar="DST", required=True, help="the folder to write, empty or new")
    parser.add_argument("--last", metavar="N", type=int, help="of a RUN, the last N (default: all that are there)")
    parser.add_argument("--force", action="store_true", help="replace a model that exists at DST")


TRAIN = Command(add_train_arguments, train, DESCRIPTION, EXAMPLES)
AVERAGE = Command(
    add_average_arguments,
    average,
    examples="examples:\n  s2t-np average run -o run/average --last 5\n  s2t-np average run/checkpoints/* -o mean",
)
