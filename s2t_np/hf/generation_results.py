"""The dict that `generate` returns: scores, logits, beams, and what the layers gave, as transformers lays them out.

Of every step there is one array, with a row for each hypothesis, or with beams K rows for each utterance. Rows of what
had ended hold NaN.
"""

from typing import NamedTuple

import numpy as np

from ..model import S2T
from ..ops import log_softmax
from ..search import Hypothesis
from ..settings.generation_config import GenerationConfig
from .batch import Array, Fields
from .encoder import by_layer, layer_outputs, stack_padded
from .generation_notes import Notes, Passes
from .generation_options import ResultOptions
from .layer_outputs import decoder_outputs
from .utterances import Utterance


class Found(NamedTuple):
    """The outcome of a call of `generate`, for each of B utterances."""

    batch: list[Utterance]
    memories: list[np.ndarray | None]
    notes: list[Notes]
    hypotheses: list[list[Hypothesis]]


def as_dict(s2t: S2T, config: GenerationConfig, wanted: ResultOptions, found: Found, sequences: np.ndarray) -> Fields:
    """All that was asked for; what was not is None."""
    flat = [hypothesis for row in found.hypotheses for hypothesis in row]
    beams = config.num_beams
    return Fields(
        sequences=sequences,
        sequences_scores=scores_of(flat) if wanted.output_scores else None,
        scores=steps_of(found, beams, "scores") if wanted.output_scores else None,
        logits=steps_of(found, beams, "logits") if wanted.output_logits else None,
        beam_indices=beam_indices(found, beams) if beams > 1 else None,
        **encoder_fields(s2t, wanted, found),
        **decoder_fields(s2t, beams, wanted, found),
        hypotheses=found.hypotheses,
    )


def transition_scores(sequences, scores, beam_indices=None, normalize_logits: bool = False) -> Array:
    """The score of every generated token, as transformers' `compute_transition_scores`: (rows, steps) float32.

    sequences (rows, U), scores (a tuple of (rows of a step, V)) and, after a beam search, beam_indices (rows, steps)
    are those of a dict that `generate` returned. `normalize_logits` takes log_softmax of the scores first. Steps after
    the end of a row have 0.
    """
    table = np.stack([np.asarray(step, np.float32) for step in scores])  # (steps, rows of a step, V)
    if normalize_logits:
        table = log_softmax(table)
    rows = np.broadcast_to(np.arange(len(sequences))[:, None], (len(sequences), len(table)))
    rows = rows if beam_indices is None else np.asarray(beam_indices)
    steps = (rows >= 0).sum(axis=1).max()
    rows, tokens = rows[:, :steps], np.asarray(sequences)[:, -steps:]
    found = table[np.arange(steps), np.maximum(rows, 0), tokens]
    return np.where((rows < 0) | np.isnan(found), np.float32(0), found).view(Array)


def scores_of(hypotheses: list[Hypothesis]) -> Array:
    """The score of each."""
    return np.array([hypothesis.score for hypothesis in hypotheses], np.float32).view(Array)


def shown_rows(found: Found, beams: int) -> list[list[list[int | None]]]:
    """For each utterance and step the rows to show, None for those that had ended."""
    longest = max(len(notes.rows) for notes in found.notes)
    shown = []
    for notes, hypotheses in zip(found.notes, found.hypotheses, strict=True):
        rows = notes.chosen_rows(hypotheses, beams)
        count = beams if beams > 1 else len(hypotheses)
        shown.append(rows + [[None] * count] * (longest - len(rows)))
    return shown


def steps_of(found: Found, beams: int, field: str) -> tuple[Array, ...]:
    """For each step an array (rows, V) of a field of the notes."""
    shown, width = shown_rows(found, beams), found.notes[0].scores[0].shape[1]
    nothing = np.full(width, np.nan, np.float32)
    steps = []
    for step in range(len(shown[0])):
        pairs = [(notes, row) for notes, rows in zip(found.notes, shown, strict=True) for row in rows[step]]
        rows = [nothing if row is None else getattr(notes, field)[step][row] for notes, row in pairs]
        steps.append(np.stack(rows).view(Array))
    return tuple(steps)


def beam_indices(found: Found, beams: int) -> Array:
    """For each generated token the beam that it continued, counted over all utterances; -1 after the end."""
    rows = [
        [i * beams + row for row in notes.path(hypothesis)]
        for i, (notes, hypotheses) in enumerate(zip(found.notes, found.hypotheses, strict=True))
        for hypothesis in hypotheses
    ]
    return stack_padded([np.array(row, np.int32) for row in rows], -1)


def encoder_fields(s2t: S2T, wanted: ResultOptions, found: Found) -> dict:
    """Return the outputs of the encoder's layers; None where no features were given."""
    if not (wanted.of_layers and found.batch):
        return {"encoder_attentions": None, "encoder_hidden_states": None}
    seen = layer_outputs(s2t, found.batch)
    return {
        "encoder_attentions": by_layer([x.attentions for x in seen]) if wanted.output_attentions else None,
        "encoder_hidden_states": by_layer([x.hidden_states for x in seen]) if wanted.output_hidden_states else None,
    }


def decoder_fields(s2t: S2T, beams: int, wanted: ResultOptions, found: Found) -> dict:
    """Return the outputs of the decoder's layers: for each step, for each layer, an array over the rows."""
    asked = {
        "decoder_attentions": ("attentions", wanted.output_attentions),
        "cross_attentions": ("cross_attentions", wanted.output_attentions),
        "decoder_hidden_states": ("hidden_states", wanted.output_hidden_states),
    }
    if not wanted.of_layers:
        return dict.fromkeys(asked)
    passes = [
        Passes(notes, lambda tokens, memory=memory: decoder_outputs(s2t, memory, tokens))
        for notes, memory in zip(found.notes, found.memories, strict=True)
    ]
    shown = shown_rows(found, beams)
    return {name: layers_of(passes, shown, field) if on else None for name, (field, on) in asked.items()}


def layers_of(passes: list[Passes], shown: list[list[list[int | None]]], field: str) -> tuple:
    """For each step, for each layer, an array over the rows; NaN where a row had ended, zeros in shorter memories."""
    steps = []
    for step in range(len(shown[0])):
        pairs = [(one, row) for one, rows in zip(passes, shown, strict=True) for row in rows[step]]
        seen = [None if row is None else one.at(step, row, field) for one, row in pairs]
        example = next(layers for layers in seen if layers is not None)
        missing = [np.full_like(x, np.nan) for x in example]
        steps.append(by_layer([missing if layers is None else layers for layers in seen]))
    return tuple(steps)
