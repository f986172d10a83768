"""The options of the search, as arguments of every sub-command that transcribes."""

import argparse
import os
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from ..errors import InputWarning, OptionError
from ..hotwords import hotwords, parsed
from ..search.fairseq import check_fairseq_options
from ..search.options import check_options, check_prefix
from ..settings.generation_config import SAMPLING, GenerationConfig
from ..tokenizer import Tokenizer
from .terminal import say

EARLY_STOPPING = {"true": True, "false": False, "never": "never"}
SAMPLING_ONLY = (*SAMPLING, "seed")


def token_ids(text: str) -> list[int]:
    """A list of token ids, separated by commas, for argparse."""
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a list of token ids, such as 4,17") from None


def language(text: str) -> str:
    """The code of a language, for argparse; also the piece of a vocabulary that stands for it: fr, <lang:fr>."""
    return text.removeprefix("<lang:").removesuffix(">")


def typed_text(text: str) -> str:
    """A text of the command line, which is UTF-8 whatever the locale says of its encoding (LC_ALL=C)."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


def early_stopping(text: str) -> bool | str:
    """true, false or never, for argparse."""
    if text.lower() not in EARLY_STOPPING:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not one of {', '.join(EARLY_STOPPING)}")
    return EARLY_STOPPING[text.lower()]


def decay(text: str) -> tuple[int, float]:
    """A position and a factor, for argparse."""
    try:
        position, factor = text.split(",")
        return int(position), float(factor)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r:.60} is not a position and a factor, such as 10,1.1") from None


# Every option that is a field of GenerationConfig: flags, type, metavar, help. The last flag is the name that the field
# has here and in transformers; the default is the checkpoint's own.
GENERATION_OPTIONS = (
    ("--beams --num-beams", int, "K", "hypotheses followed side by side; 1 is greedy search"),
    ("--nbest --num-return-sequences", int, "N", "give the N best transcripts, best first"),
    ("--max-length", int, "U", "at most U tokens, including the start token"),
    ("--max-new-tokens", int, "U", "at most U tokens after the prefix (replaces --max-length)"),
    ("--min-length", int, "U", "at least U tokens, including the start token"),
    ("--min-new-tokens", int, "U", "at least U tokens after the prefix"),
    ("--max-time", float, "S", "stop each search where it is after S seconds"),
    ("--stop-string --stop-strings", typed_text, "TEXT", "stop after this text; may be given more than once"),
    ("--search", str, "WHOSE", "whose rules the search follows: transformers (default) or fairseq"),
    ("--lenpen --length-penalty", float, "P", "divide scores by length ** P: P above 0 favours long texts"),
    ("--unkpen --unk-penalty", float, "P", "with --search fairseq: taken from the score of each unknown piece"),
    ("--early-stopping", early_stopping, "WHEN", "when a beam search has found enough: true, false or never"),
    ("--no-repeat-ngram-size", int, "N", "let no sequence of N tokens occur twice; 0 allows it"),
    ("--repetition-penalty", float, "P", "above 1 makes tokens that occurred before less likely"),
    ("--bad-words-ids", token_ids, "IDS", "a sequence of token ids that must not occur; may be given more than once"),
    (
        "--decay --exponential-decay-length-penalty",
        decay,
        "N,F",
        "after N tokens make an end likelier by F at each step",
    ),
    ("--suppress-tokens", token_ids, "IDS", "token ids that must not occur, as in 4,17"),
    ("--begin-suppress-tokens", token_ids, "IDS", "token ids that must not be first"),
    ("--forced-first --forced-bos-token-id", int, "ID", "the first token"),
    ("--forced-last --forced-eos-token-id", int, "ID", "the last token of a text that reaches --max-length"),
    ("--temperature", float, "T", "with --sample: above 0; below 1 prefers likely tokens"),
    ("--top-k", int, "K", "with --sample: draw from the K likeliest tokens; 0 means all"),
    ("--top-p", float, "P", "with --sample: draw from the likeliest tokens whose probabilities sum to P"),
    ("--min-p", float, "P", "with --sample: draw from tokens at least P times as likely as the likeliest"),
    ("--typical-p", float, "P", "with --sample: draw from the most typical tokens whose probabilities sum to P"),
    ("--top-h", float, "H", "with --sample: draw from the likeliest tokens that have this share of the entropy"),
    ("--epsilon-cutoff", float, "P", "with --sample: draw from tokens with at least this probability"),
    ("--eta-cutoff", float, "P", "with --sample: the same, but lower where many tokens are likely"),
    ("--seed", int, "S", "with --sample: the same seed gives the same text again"),
)


SEVERAL = ("stop_strings", "bad_words_ids")  # fields that are lists, one entry for each time the option is given


def field_name(flags: str) -> str:
    """The field of GenerationConfig that a row of GENERATION_OPTIONS sets."""
    names = {"--forced-first": "forced_bos_token_id", "--forced-last": "forced_eos_token_id"}
    first, *rest = flags.split()
    return names.get(first, (rest or [first])[-1].removeprefix("--").replace("-", "_"))


def add_generation_arguments(parser: ArgumentParser) -> None:
    """The options of the search; those not given are left to the checkpoint."""
    group = parser.add_argument_group("generation", "Defaults are those of the checkpoint.")
    for flags, kind, metavar, says in GENERATION_OPTIONS:
        name = field_name(flags)
        action = "append" if name in SEVERAL else "store"
        group.add_argument(*flags.split(), dest=name, type=kind, metavar=metavar, help=says, action=action)
    group.add_argument("--sample", "--do-sample", dest="do_sample", action="store_true", help="draw tokens at random")
    group.add_argument(
        "--lang", type=language, metavar="XX", help="target language of a multilingual model, such as fr"
    )
    says = 'phrases to prefer, each perhaps with its weight (default: 1): "Kubernetes, Łódź:4"'
    group.add_argument("--hotwords", type=typed_text, metavar="WORDS", help=says)
    prefix = group.add_mutually_exclusive_group()
    prefix.add_argument("--prefix", type=typed_text, metavar="TEXT", help="begin the transcript with this text")
    prefix.add_argument("--prefix-tokens", type=token_ids, metavar="IDS", help="the same, as token ids")


def generation_options(args: Namespace) -> dict:
    """The options that were given, as fields of GenerationConfig. Raises OptionError for invalid values."""
    names = [*map(field_name, (flags for flags, *_ in GENERATION_OPTIONS))]
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.do_sample:
        options = {"num_beams": 1} | options | {"do_sample": True}
    elif unused := [name for name in SAMPLING_ONLY if name in options]:
        raise OptionError(f"--{unused[0].replace('_', '-')} has no effect without --sample")
    given = [f for f in ("lang", "prefix", "prefix_tokens") if getattr(args, f) is not None]
    if given and args.forced_bos_token_id is not None:
        raise OptionError(f"--{given[0].replace('_', '-')} and --forced-first both set the first token; give one")
    list(parsed(args.hotwords or ""))
    if args.hotwords is not None and options.get("search") == "fairseq":
        raise OptionError("--hotwords has no effect with --search fairseq")
    if "unk_penalty" in options and options.get("search") != "fairseq":
        raise OptionError("--unkpen has no effect without --search fairseq")
    check_together(options, args.prefix_tokens or ())
    return options


def check_together(options: dict, prefix_tokens: Sequence[int]) -> None:
    """Raise OptionError for what no model accepts; what depends on a model's own options is let through."""
    config = GenerationConfig(num_beams=options.get("num_return_sequences", 1)).replace(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InputWarning)  # the search will say it again, knowing the model's own options
        check_options(config, 1 + len(check_prefix(prefix_tokens)))
    if config.search == "fairseq":
        check_fairseq_options(config)


def warn_of_unknown(tokens: Sequence[int], tokenizer: Tokenizer, what: str) -> None:
    """Say on stderr how much of a text the model has no tokens for; `what` names the text."""
    if unknown := list(tokens).count(tokenizer.unk_token_id):
        pieces = "1 piece of {} is" if unknown == 1 else f"{unknown} pieces of {{}} are"
        say(f"warning: {pieces.format(what)} not in the model's vocabulary; are its words and letter case right?")


def with_vocabulary(args: Namespace, tokenizer: Tokenizer) -> dict:
    """The options that need the model's vocabulary: language, prefix, hotwords. Raises OptionError."""
    words = None if args.hotwords is None else hotwords(args.hotwords, tokenizer)
    return beginning(args, tokenizer) | ({"hotwords": words} if words else {})


def beginning(args: Namespace, tokenizer: Tokenizer) -> dict:
    """The options for the beginning, language and prefix. Raises OptionError."""
    language = [] if args.lang is None else [tokenizer.language_id(args.lang)]
    known = ", ".join(tokenizer.languages)
    if args.prefix is not None:
        if known and not language:
            raise OptionError(f"this model writes {known}: --prefix needs --lang")
        prefix = tokenizer.encode(args.prefix, args.lang)[:-1]  # the language's piece first, and no EOS
        warn_of_unknown(prefix, tokenizer, "--prefix")
        return {"prefix": prefix}
    if args.prefix_tokens is not None:
        return {"prefix": [*language, *args.prefix_tokens]}
    if language:
        return {"forced_bos_token_id": language[0]}
    if known and args.forced_bos_token_id is None:
        warnings.warn(tokenizer.any_language, InputWarning, stacklevel=2)
    return {}
