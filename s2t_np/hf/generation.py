"""A call of `Speech2TextForConditionalGeneration.generate`: its settings, a search for each utterance, the results.

Utterances are decoded together, each with its own hooks; what is returned has one row, or K for its beams, after the
other. Where one utterance had ended before another, its rows hold NaN.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ..errors import OptionError
from ..model import S2T
from ..search import Hooks, Hypothesis, Search
from ..search.hooks import Stop
from ..search.stopping import deadline
from ..settings.fields import show
from ..settings.generation_config import GenerationConfig
from ..together import Sharing, ordered
from .batch import Array, Fields, as_array
from .encoder import memories_of
from .generation_notes import Notes
from .generation_options import Functions, ResultOptions, as_options, plain_options, take
from .generation_results import Found, as_dict
from .lengths import pad_row, stack
from .utterances import Utterance, prompt_rows

DEAD_SCORE = -1e9  # upstream's, for a row that the search found no hypothesis for


class Settings(NamedTuple):
    """The arguments of a call, sorted."""

    config: GenerationConfig
    wanted: ResultOptions
    functions: Functions

    @classmethod
    def of(cls, own: GenerationConfig, given, options: dict) -> "Settings":
        """From the model's own config, the argument generation_config, and the other options. Raises OptionError.

        Options win over a config that was given, and where that says nothing, the model's own counts. As upstream,
        `do_sample` alone keeps the beams.
        """
        if isinstance(given, GenerationConfig):
            own, given = given, None
        functions, rest = take(Functions, options)
        named = plain_options({} if given is None else as_options(given)) | plain_options(rest)
        wanted, named = take(ResultOptions, named)
        wanted.warn_of_unused()
        if named.get("do_sample"):
            named = {"num_beams": own.num_beams} | named
        return cls(own.replace(**named), wanted, functions)


class Generation:
    """One call of `generate`."""

    def __init__(self, s2t: S2T, settings: Settings):
        self.s2t, (self.config, self.wanted, self.functions) = s2t, settings
        self.stops: tuple = ()
        if self.config.max_time is not None:  # for the whole call, as upstream
            self.stops = (deadline(self.config.max_time),)
            self.config = self.config.replace(max_time=None)

    def run(self, batch: list[Utterance], mask, decoder_input_ids) -> np.ndarray | Fields:
        """Search every utterance, or every memory in encoder_outputs, cut by the attention mask. Raises OptionError."""
        memories = self.memories(batch, mask)
        prompts = prompt_rows(decoder_input_ids, len(memories), self.config)
        check_streamer(self.functions.streamer, self.config, len(prompts))
        check_decoder_mask(self.functions.decoder_attention_mask, decoder_input_ids)
        notes = [Notes() for _ in memories]
        found = self.search(batch, memories, prompts, notes)
        sequences = padded([h.tokens for row in found for h in row], self.config.pad_token_id)
        if not self.wanted.return_dict_in_generate:
            return sequences
        return as_dict(self.s2t, self.config, self.wanted, Found(batch, memories, notes, found), sequences)

    def memories(self, batch: list[Utterance], mask) -> list[np.ndarray | None]:
        """The memory (S, D) of each utterance, where there is one already or the results need it; else None."""
        if self.functions.encoder_outputs is not None:
            return memories_of(self.s2t, self.functions.encoder_outputs, mask)
        if self.wanted.return_dict_in_generate and self.wanted.of_layers:
            return [self.s2t.encode(x, length) for x, length in batch]
        return [None] * len(batch)

    def search(
        self,
        batch: list[Utterance],
        memories: list[np.ndarray | None],
        prompts: list[list[int]],
        notes: list[Notes],
    ) -> list[list[Hypothesis]]:
        """The hypotheses of each utterance, as many as were asked for."""
        s2t = dataclasses.replace(self.s2t, generation_config=self.config)

        def begin(i: int) -> Search:
            options = {"prefix": prompts[i][1:], "hooks": self.hooks(i, notes[i])}
            if memories[i] is None:
                search = s2t.begin(batch[i].features, padded_length=batch[i].padded_length, **options)
            else:
                search = s2t.begin_from(memories[i], **options)
            return notes[i].listening(search) if self.wanted.return_dict_in_generate else search

        streamer = self.functions.streamer
        if streamer is not None:
            streamer.put(stack([np.array(prompts[0])] * self.config.num_return_sequences))
        called = self.functions.are_called  # functions of the caller, in the caller's own thread
        sharing = Sharing(s2t.batch_size()) if called else s2t.sharing()
        results = list(ordered(map(begin, range(len(prompts))), s2t.step_together, sharing))
        if streamer is not None:
            streamer.end()
        return [
            filled(row, prompt, self.config.num_return_sequences) for row, prompt in zip(results, prompts, strict=True)
        ]

    def hooks(self, i: int, notes: Notes) -> Hooks:
        """The caller's functions as the search calls them, for one utterance."""
        call, allowed = self.functions, self.functions.prefix_allowed_tokens_fn
        shown = notes.scores if self.wanted.return_dict_in_generate and self.wanted.output_scores else None
        criteria = tuple(
            partial(lambda tokens, f: f(tokens, None if shown is None else tuple(shown)), f=criterion)
            for criterion in as_functions(call.stopping_criteria, "stopping_criteria")
        )
        if call.streamer is not None:
            criteria = (*criteria, streaming(call.streamer))
        return Hooks(
            allowed=None if allowed is None else partial(allowed, i),
            processors=as_functions(call.logits_processor, "logits_processor"),
            stops=(*self.stops, *criteria),
            watch=notes.watch if self.wanted.return_dict_in_generate else None,
            pieces=None if call.tokenizer is None else pieces_of(call.tokenizer),
        )


def as_functions(value, name: str) -> tuple[Callable, ...]:
    """A function, or a list of them, as a tuple. Raises OptionError."""
    functions = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not all(map(callable, functions)):
        raise OptionError(f"{name} is {show(value)}, expected a list of functions of numpy arrays")
    return functions


def streaming(streamer) -> Stop:
    """A reason to stop that never holds, and gives the streamer the newest ids (K,)."""

    def put(tokens):
        streamer.put(np.array(tokens[:, -1]).view(Array))
        return np.zeros(len(tokens), bool)

    return put


def pieces_of(tokenizer) -> list[str]:
    """The text that each id adds, by a tokenizer of this project's or of transformers'."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)  # a processor has a tokenizer, and ours has an inner one
    inner = getattr(inner, "tokenizer", inner)
    if hasattr(inner, "added_texts"):
        return inner.added_texts()
    vocabulary = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return [piece.replace("▁", " ") for piece, _ in vocabulary]


def check_streamer(streamer, config: GenerationConfig, rows: int) -> None:
    """Raise OptionError for a streamer that could not follow the search."""
    if streamer is not None and config.num_beams > 1:
        raise OptionError(
            f"streamer with num_beams {config.num_beams}: a beam search takes tokens back; set num_beams to 1"
        )
    if streamer is not None and rows > 1:
        raise OptionError(f"streamer with {rows} utterances: they do not end together; stream one at a time")


def check_decoder_mask(mask, decoder_input_ids) -> None:
    """Raise OptionError for a decoder_attention_mask (B, P) that hides a part of the prompts."""
    if mask is not None and not (decoder_input_ids is not None and as_array(mask, "decoder_attention_mask").all()):
        raise OptionError(
            "decoder_attention_mask is not supported, but for ones beside decoder_input_ids: prompts have no padding; "
            "give utterances with prompts of different lengths one by one"
        )


def filled(hypotheses: list[Hypothesis], prompt: list[int], count: int) -> list[Hypothesis]:
    """Return as many as were asked for: upstream fills up with rows that hold nothing after the prompt."""
    return hypotheses + [Hypothesis(tuple(prompt), (), DEAD_SCORE, False)] * (count - len(hypotheses))


def padded(rows: list[tuple[int, ...]], value: int) -> Array:
    """B rows of ids -> (B, U) int64, U the length of the longest."""
    longest = max(map(len, rows))
    return stack([pad_row(np.array(row, np.int64), longest - len(row), value, "right") for row in rows])
