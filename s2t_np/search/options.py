"""Which options go together. Where upstream raises, so does this room (OptionError); where it only warns, so does this.

Options that the chosen kind of search does not use (temperature without sampling, early_stopping without beams) are
ignored, as upstream does: generation_config.json files carry them.
"""

import operator
import warnings
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral

from ..errors import InputWarning, OptionError
from ..settings.generation_config import GenerationConfig, as_tuple

MAX_POWER = 1e30  # length ** length_penalty must leave room in float32 for a sum of log-probs divided by it
OPTIONS_WITH_IDS = (
    "bad_words_ids",
    "suppress_tokens",
    "begin_suppress_tokens",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "eos_token_id",
    "pad_token_id",
)


def check_prefix(prefix: Iterable[int]) -> list[int]:
    """The prefix as plain ints. Raises OptionError if it is anything but a sequence of whole numbers from 0 up."""
    try:
        tokens = [operator.index(token) for token in prefix]
    except TypeError:
        raise OptionError(f"prefix is {prefix!r:.80}, expected a sequence of token ids") from None
    if tokens and min(tokens) < 0:
        raise OptionError(f"prefix holds the token id {min(tokens)}, expected ids from 0 up")
    return tokens


def check_options(options: GenerationConfig, prompt_length: int) -> GenerationConfig:
    """Refuse what contradicts itself; return the options with both lengths counted from the start token."""
    options = with_absolute_lengths(options.replace(), prompt_length)  # replace() holds every field to its rule
    check_lengths(options, prompt_length)
    check_rows(options)
    check_forced(options)
    return options


def with_absolute_lengths(options: GenerationConfig, prompt_length: int) -> GenerationConfig:
    """max_new_tokens and min_new_tokens, where given, become max_length and min_length; upstream lets them win."""
    if options.max_new_tokens is options.min_new_tokens is None:
        return options
    lengths = {}
    if options.max_new_tokens is not None:
        lengths["max_length"] = options.max_new_tokens + prompt_length
    if options.min_new_tokens is not None:
        lengths["min_length"] = options.min_new_tokens + prompt_length
    return options.replace(max_new_tokens=None, min_new_tokens=None, **lengths)


def check_lengths(options: GenerationConfig, prompt_length: int) -> None:
    """Require at least one token to generate, and a length penalty that float32 can hold. Raises OptionError."""
    if prompt_length >= options.max_length:
        raise OptionError(
            f"start token and prefix are {prompt_length} tokens and max_length is {options.max_length}, which leaves "
            "none to generate; raise max_length or set max_new_tokens"
        )
    if options.min_length > options.max_length:
        warnings.warn(
            f"min_length is {options.min_length}, more than max_length {options.max_length}: no hypothesis can end by "
            "itself, all are cut off at max_length",
            InputWarning,
            stacklevel=5,
        )
    check_length_penalty(options)


def check_length_penalty(options: GenerationConfig) -> None:
    """The largest divisor, max_length ** |length_penalty|, must be a sensible number."""
    try:
        sensible = float(options.max_length) ** abs(options.length_penalty) <= MAX_POWER
    except OverflowError:
        sensible = False
    if not sensible:
        raise OptionError(
            f"length_penalty is {options.length_penalty}, too far from 0 for max_length {options.max_length}"
        )


def check_rows(options: GenerationConfig) -> None:
    """Hold beams, hypotheses and the kind of search to each other. Raises OptionError."""
    beams, wanted = options.num_beams, options.num_return_sequences
    if wanted > beams and (beams > 1 or not options.do_sample):
        raise OptionError(f"num_return_sequences is {wanted}, more than num_beams {beams}; raise num_beams or sample")
    if not options.do_sample and options.seed is not None:
        raise OptionError(f"seed is {options.seed} but do_sample is false, so nothing is left to chance; drop one")


def check_forced(options: GenerationConfig) -> None:
    """A token cannot be forced and suppressed; of several forced ones, one must be left."""
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        forced = as_tuple(getattr(options, name))
        if forced and set(forced) <= set(options.suppress_tokens or ()):
            raise OptionError(f"{name} is {forced[0]}, which is also in suppress_tokens; take it out of one")


def check_vocabulary(options: GenerationConfig, prompt: Sequence[int], size: int) -> None:
    """Every token id must be below V."""
    held = {"prefix": prompt} | {name: getattr(options, name) for name in OPTIONS_WITH_IDS}
    held["sequence_bias"] = [ids for ids, _ in options.sequence_bias or ()]
    for name, value in held.items():
        highest = max(flat(value), default=-1)
        if highest >= size:
            raise OptionError(f"{name} holds the token id {highest}, expected one from 0 to {size - 1}")


def flat(ids) -> Iterator[int]:
    """The ids in a value that is one, a list of them, a list of lists, or None."""
    if ids is None or isinstance(ids, Integral):
        yield from () if ids is None else (int(ids),)
    else:
        for inner in ids:
            yield from flat(inner)


def no_token_left(length: int) -> OptionError:
    """The error for constraints that ban the whole vocabulary. (Upstream goes on with token 0, or with padding.)"""
    return OptionError(
        f"after {length} tokens the options leave none to choose; loosen suppress_tokens, begin_suppress_tokens, "
        "no_repeat_ngram_size, bad_words_ids or min_length"
    )
