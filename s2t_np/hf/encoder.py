"""`get_encoder()`: the encoder by itself, and its output as what `generate` continues from."""

import numpy as np

from ..errors import OptionError
from ..layers import subsampled_length
from ..model import S2T
from .batch import Array, Fields, as_array, rows_of
from .layer_outputs import LayerOutputs, encoder_outputs
from .utterances import Utterance, run_of_ones, split


class Encoder:
    """Features in, memory out."""

    main_input_name = "input_features"

    def __init__(self, s2t: S2T):
        self.s2t = s2t

    def __call__(
        self,
        input_features,
        attention_mask=None,
        *,
        output_attentions: bool | None = False,
        output_hidden_states: bool | None = False,
        padded_as_upstream: bool = False,
        return_dict: bool | None = True,
    ) -> Fields:
        """Features (B, T, M) and a mask (B, T) of the frames that count -> `last_hidden_state` (B, S, D).

        Shorter utterances end in rows of zeros. On request also `hidden_states`, one more than layers, and `attentions`
        (B, H, S, S) of each layer. Raises OptionError.
        """
        batch = split(input_features, attention_mask, padded_as_upstream)
        memories = [self.s2t.encode(x, length) for x, length in batch]
        seen = layer_outputs(self.s2t, batch) if output_attentions or output_hidden_states else []
        return Fields(
            last_hidden_state=stack_padded(memories),
            hidden_states=by_layer([x.hidden_states for x in seen]) if output_hidden_states else None,
            attentions=by_layer([x.attentions for x in seen]) if output_attentions else None,
        )


def layer_outputs(s2t: S2T, batch: list[Utterance]) -> list[LayerOutputs]:
    """Return the outputs of the encoder's layers for each utterance."""
    return [encoder_outputs(s2t, np.asarray(x), length) for x, length in batch]


def by_layer(utterances: list[list[np.ndarray]]) -> tuple[Array, ...]:
    """Arrays of each layer, for each utterance -> for each layer an array of all utterances, padded with zeros."""
    return tuple(stack_padded(list(arrays)) for arrays in zip(*utterances, strict=True))


def stack_padded(arrays: list[np.ndarray], value: float = 0.0) -> Array:
    """B arrays of one dimension, with axes of different lengths, as one (B, ...); `value` where one is shorter."""
    shape = np.max([array.shape for array in arrays], axis=0)
    whole = np.full((len(arrays), *shape), value, arrays[0].dtype)
    for row, array in zip(whole, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return whole.view(Array)


def memories_of(s2t: S2T, output, attention_mask) -> list[np.ndarray]:
    """The memories (S, D) in an encoder's output: `last_hidden_state`, or the first of a tuple, (B, S, D).

    attention_mask (B, T), over frames, says how many positions of each are the utterance's. Raises OptionError.
    """
    whole = as_array(last_hidden_state(output), "encoder_outputs")
    if whole.ndim != 3 or whole.shape[-1] != s2t.config.d_model or whole.dtype.kind != "f":
        raise OptionError(
            f"encoder_outputs have shape {whole.shape}, expected (batch, positions, {s2t.config.d_model})"
        )
    if attention_mask is None:
        return list(whole)
    masks = [as_array(mask, "a row of the mask") for mask in rows_of(attention_mask)]
    if len(masks) != len(whole):
        raise OptionError(f"attention_mask has {len(masks)} rows, encoder_outputs {len(whole)}")
    runs = [run_of_ones(mask, i) for i, mask in enumerate(masks)]
    if any(run.start > 0 for run in runs):
        raise OptionError("attention_mask with padding on the left does not go with encoder_outputs")
    return [x[: subsampled_length(run.stop, s2t.config.num_conv_layers)] for x, run in zip(whole, runs, strict=True)]


def last_hidden_state(output):
    """The memory in an encoder's output, which may be a dict, an object with attributes, a tuple, or the array."""
    if hasattr(output, "last_hidden_state"):
        return output.last_hidden_state
    if isinstance(output, dict):
        return output.get("last_hidden_state")
    return output[0] if isinstance(output, list | tuple) and output else output
