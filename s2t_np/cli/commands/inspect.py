"""Sub-commands that report numbers: `info`, `features`, `score`."""

import math
import os
import platform
from argparse import ArgumentParser, Namespace
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from ... import __version__
from ...audio import name_of
from ...backend import Backend, choose
from ...checkpoint.hub import BUNDLED, MODELS, cached, find, hub_source, verify
from ...checkpoint.official import recognised
from ...errors import AudioError, HubError, OptionError
from ...formats import file_record, finite, to_json
from ...loading import ensemble_parts
from ...model import DEFAULT_MODEL, S2T, Score
from ...system import openblas
from ...system.atomic_files import atomic_file
from ...system.threads import get_threads, set_threads
from ...weights import expected_shapes
from ..command import Command
from ..generation import language, typed_text, warn_of_unknown
from ..model_arguments import add_format, add_model_arguments, load_model
from ..terminal import say, show

PACKAGES = ("soundfile", "sentencepiece", "huggingface_hub", "numba")


def print_record(record: dict, as_json: bool) -> None:
    """A record as `key: value` lines or as one line of JSON."""
    if as_json:
        show(to_json(record) + "\n")
        return
    for key, value in record.items():
        value = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        show(f"{key}: {value}\n")


def installed(package: str) -> str | None:
    """The version of a package, found without importing it."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def default_model_state() -> str:
    """Return where the released model is, or how to get it."""
    try:
        folder = cached(hub_source(DEFAULT_MODEL))
    except HubError as error:
        return str(error)
    return str(folder) if folder else f"not in the local cache; `s2t-np download {DEFAULT_MODEL}` fetches it"


def system_record(backend: Backend) -> dict:
    """Return what `info` prints about the program and the machine."""
    library = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    return {
        "s2t-np": __version__,
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "numpy": f"{np.__version__} ({library.get('name', 'unknown BLAS')} {library.get('version', '')})",
        **{package: installed(package) or "not installed" for package in PACKAGES},
        "backend": backend.name,
        **backend.describe(),
        "threads": get_threads(),
        "threads of numpy's BLAS": openblas.state(),
        "bundled models": ", ".join(BUNDLED),
        "bundled recordings": str(MODELS.parent / "recordings"),
        DEFAULT_MODEL: default_model_state(),
    }


def task(model: S2T) -> dict[str, str]:
    """The task of a model, as far as its name and its vocabulary tell, and its published score."""
    if (known := recognised(model.folder)) is not None:
        return {"task": known.task, "published": known.published}
    if model.folder == MODELS / "digits":
        return {"task": "transcription of spoken English digits"}
    if model.tokenizer.languages:
        return {"task": f"translation into one of {', '.join(model.tokenizer.languages)} (--lang)"}
    return {"task": "what it was trained for; its files do not say"}


def model_record(model: S2T) -> dict:
    """Return what `info` prints about a loaded model: its shape and the defaults of its search (beams, ...)."""
    c, g = model.config, model.generation_config
    shown = ("encoder_layers", "decoder_layers", "d_model", "encoder_attention_heads", "tie_word_embeddings")
    several = {"ensemble": f"{len(model.places)} models, whose probabilities are averaged; this is the first"}
    unlike = c.unlike_released()
    return {
        "folder": os.pathsep.join(map(str, model.places)),
        **(several if len(model.places) > 1 else {}),
        **task(model),
        **({"network": unlike} if unlike else {}),
        "parameters": sum(math.prod(shape) for shape in expected_shapes(c).values()),
        **{name: getattr(c, name) for name in shown},
        "sampling_rate": model.feature_config.sampling_rate,
        "num_mel_bins": model.feature_config.num_mel_bins,
        "vocabulary": len(model.tokenizer),
        "languages": ", ".join(model.tokenizer.languages) or "one",
        "batch": f"{model.batch_size()} utterances are decoded together in each thread",
        "generation": {name: value for name, value in vars(g).items() if value is not None},
    }


def checksums(args: Namespace) -> str:
    """Compare the model's files with the checksums announced for them. Raises ModelError where one differs."""
    places = [find(name, args.revision) for name in ensemble_parts(args.model or "digits")]
    prefixes = [f"{place}/" if len(places) > 1 else "" for place in places]
    compared = {
        f"{prefix}{file}": known
        for prefix, place in zip(prefixes, places, strict=True)
        for file, known in verify(place).items()
    }
    unknown = [file for file, known in compared.items() if not known]
    told = f"{len(compared) - len(unknown)} files as announced"
    return told + (f"; nothing to compare with for {', '.join(unknown)}" if unknown else "")


def info(args: Namespace) -> int:
    """Print what runs here and, with --model, describe that model."""
    set_threads(args.threads)
    verified = {"checksums": checksums(args)} if args.verify else {}  # first: a damaged file may not load
    model = load_model(args) if args.model else None
    record = system_record(choose(args.backend, args.dtype) if model is None else model.backend) | verified
    if model is not None:
        record |= {"model": args.model, "dtype": args.dtype, **model_record(model)}
    print_record(record, args.format == "json")
    return 0


def add_info_arguments(parser: ArgumentParser) -> None:
    """The arguments of `info`."""
    add_format(parser)
    parser.add_argument("--verify", action="store_true", help="compare the model's files with their checksums")
    add_model_arguments(parser, default=None)


@contextmanager
def about(path: str):
    """Within this context every AudioError begins with the name of the recording."""
    name = name_of(path)
    try:
        yield
    except AudioError as error:
        raise AudioError(f"{name}: {str(error).removeprefix(f'{name}: ')}") from error


def features(args: Namespace) -> int:
    """Write the features of one recording as a .npy file."""
    if Path(args.output).is_dir():
        raise OptionError(f"--output {args.output} is a folder, expected a file to write")
    model = load_model(args)
    if args.cmvn is not None:
        config = replace(model.feature_config, one_pass_variance=args.cmvn == "fairseq")
        model = replace(model, feature_config=config)
    with about(args.file):
        array = model.features(args.file)
    with atomic_file(args.output) as file:
        np.lib.format.write_array(file, array, allow_pickle=False)
    say(f"{args.output}: {array.shape[0]} frames of 10 ms x {array.shape[1]} mel bins, {array.dtype}")
    return 0


def add_features_arguments(parser: ArgumentParser) -> None:
    """The arguments of `features`."""
    parser.add_argument("file", metavar="FILE", help='a recording, or "-" for standard input')
    parser.add_argument("-o", "--output", metavar="OUT.npy", required=True, help="the file to write")
    parser.add_argument(
        "--cmvn",
        choices=["fairseq", "stable"],
        help="how the variance of an utterance is computed: as fairseq does, E[x^2] - mean^2 in float32, or in float64 "
        "(default: as the model asks)",
    )
    add_model_arguments(parser)


def transcript_to_score(args: Namespace) -> str:
    """The text to score, from the command line or from a file, whose line breaks become spaces. Raises OptionError."""
    if args.text is not None:
        return args.text
    try:
        return " ".join(Path(args.text_file).read_text(encoding="utf-8").split())
    except OSError as error:
        raise OptionError(f"--text-file {args.text_file}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        raise OptionError(f"--text-file {args.text_file}: not UTF-8 at byte {error.start}") from None


def score_record(model: S2T, path: str, text: str, result: Score) -> dict:
    """A score as a record, with the field names of the json format."""
    tokens = [int(token) for token in result.tokens]
    return {
        **file_record(path),
        "text": text,
        "log_prob": finite(result.log_prob),
        "cross_entropy": finite(result.cross_entropy),
        "tokens": tokens,
        "pieces": model.tokenizer.pieces(tokens),
        "token_log_probs": [finite(p) for p in result.token_log_probs],
    }


def score(args: Namespace) -> int:
    """Print the log-probability of a transcript of a recording."""
    text = transcript_to_score(args)
    model = load_model(args)
    with about(args.file):
        record = score_record(model, args.file, text, model.score(args.file, text, lang=args.lang))
    warn_of_unknown(record["tokens"], model.tokenizer, "the text")
    if args.format == "txt":
        record = {key: record[key] for key in ("log_prob", "cross_entropy")} | {"tokens": len(record["tokens"])}
    print_record(record, args.format == "json")
    return 0


def add_score_arguments(parser: ArgumentParser) -> None:
    """The arguments of `score`."""
    parser.add_argument("file", metavar="FILE", help='a recording, or "-" for standard input')
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--text", type=typed_text, help="the transcript")
    text.add_argument("--text-file", metavar="FILE", help="a UTF-8 file that holds it")
    parser.add_argument("--lang", type=language, metavar="XX", help="its language, for a multilingual model")
    add_format(parser)
    add_model_arguments(parser)


INFO = Command(add_info_arguments, info)
FEATURES = Command(
    add_features_arguments,
    features,
    examples="example:\n  s2t-np features talk.flac -o talk.npy",
)
SCORE = Command(
    add_score_arguments,
    score,
    description="The log-probability (natural logarithm) of a given transcript, end of sentence included, and its\n"
    "cross-entropy, minus the mean over the tokens; --format json adds the figure of every token.",
    examples='example:\n  s2t-np score --model digits digits.wav --text "one two three"',
)
