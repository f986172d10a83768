"""`Speech2TextForConditionalGeneration`: batches in, batches out, each utterance by itself in between.

A batch exists only at this border. The attention mask says which frames of a row are the utterance's; those alone are
encoded, so a result never depends on its neighbours. Upstream's does: it masks nothing between the two convolutions,
and what they make of the padding reaches the last encoder position. `padded_as_upstream=True` reproduces that.
"""

import dataclasses
import math
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..backend import DTYPES, choose
from ..checkpoint import read_tensors, safetensors
from ..config import GenerationConfig, read_json, write_json
from ..errors import InputWarning, OptionError
from ..loading import model_of_network, read_network
from ..model import S2T
from ..ops import log_softmax
from ..search import Hypothesis
from ..together import ordered
from ..weights import check, expected_shapes
from .batch import Array, Fields, OnCPU, as_array, rows_of
from .generation_options import drop_neutral, generation_json, plain_options
from .lengths import pad_row, stack
from .pretrained import Pretrained

IGNORED = -100  # torch's: a label that has no part in the loss
DEAD_SCORE = -1e9  # upstream's, for a row that the search found no hypothesis for


class Speech2TextForConditionalGeneration(OnCPU, Pretrained):
    """A loaded network: `generate` ids, or call it for logits and loss.

    `config` is for reading; `generation_config` may be set to another one, made by its `replace(num_beams=1)`.
    """

    device = "cpu"
    main_input_name = "input_features"
    training = False

    def __init__(self, s2t: S2T):
        """`s2t` as `s2t_np.load` returns it."""
        self.s2t = s2t
        self.config = s2t.config
        self.generation_config = s2t.generation_config

    @classmethod
    def from_folder(
        cls, folder: Path, backend: str = "auto", dtype="float32", torch_dtype=None
    ) -> "Speech2TextForConditionalGeneration":
        """From config.json, generation_config.json and the weights. Raises ModelError, BackendError, OptionError.

        dtype: as in `s2t_np.load`; "auto" is float32. Types of torch and numpy are taken by their names, and
        torch_dtype is the older name of dtype.
        """
        dtype = dtype_name(dtype if torch_dtype is None else torch_dtype)
        chosen = choose(backend, dtype)
        return cls(model_of_network(read_network(folder), chosen, DTYPES[dtype]))

    def write_files(self, folder: Path) -> list[Path]:
        """Write config.json, generation_config.json and model.safetensors, the weights as they came."""
        source = self.s2t.folder
        tensors = check(read_tensors(source), self.config, str(source))
        safetensors.write(folder / "model.safetensors", tensors)
        write_json(folder / "config.json", read_json(source / "config.json"))
        write_json(folder / "generation_config.json", generation_json(self.generation_config))
        return [folder / name for name in ("config.json", "generation_config.json", "model.safetensors")]

    def eval(self) -> "Speech2TextForConditionalGeneration":
        """Return self (inference only)."""
        return self

    def train(self, mode: bool = True) -> "Speech2TextForConditionalGeneration":
        """Return self, with an InputWarning for True: this class does not train."""
        if mode:
            warnings.warn(".train() changes nothing: this class is for inference", InputWarning, stacklevel=2)
        return self

    def requires_grad_(self, requires_grad: bool = True) -> "Speech2TextForConditionalGeneration":
        """Return self: there are no gradients here."""
        return self

    def num_parameters(self) -> int:
        """The number of weights."""
        return sum(math.prod(shape) for shape in expected_shapes(self.config).values())

    def can_generate(self) -> bool:
        """True, as upstream has it."""
        return True

    def generate(
        self,
        input_features=None,
        attention_mask=None,
        *,
        inputs=None,
        decoder_input_ids=None,
        generation_config: GenerationConfig | None = None,
        **options,
    ) -> np.ndarray | Fields:
        """Features (B, T, M), and a mask (B, T) of the frames that count -> ids (B * num_return_sequences, U) int64.

        Rows begin with the start token and end in EOS, then padding. Features carry no sound for a detector of speech,
        so there is none: noise may come out as words. `inputs` is another name for the features;
        `decoder_input_ids` (B, P) are the beginning of each row. `options` are the fields of GenerationConfig and of
        ResultOptions; arguments of upstream's without a meaning here are accepted with their neutral values. As a dict:
        `sequences`, `sequences_scores` (if `output_scores`; see `Hypothesis.score`) and `hypotheses`, a list for each
        utterance. Raises OptionError.
        """
        wanted, rest = ResultOptions.split(plain_options(options))
        features = inputs if input_features is None else input_features
        batch = split(features, attention_mask, wanted.padded_as_upstream)
        config = (self.generation_config if generation_config is None else checked(generation_config)).replace(**rest)
        s2t = dataclasses.replace(self.s2t, generation_config=config)
        prompts = prompt_rows(decoder_input_ids, len(batch), config)
        rows = zip(batch, prompts, strict=True)
        begun = (s2t.begin(x, prefix=prompt[1:], padded_length=length) for (x, length), prompt in rows)
        results = ordered(begun, s2t.step_together, s2t.batch_size())
        found = [filled(row, prompt, config.num_return_sequences) for row, prompt in zip(results, prompts, strict=True)]
        return wanted.results(found, config.pad_token_id)

    def __call__(
        self,
        input_features,
        attention_mask=None,
        decoder_input_ids=None,
        labels=None,
        *,
        padded_as_upstream: bool = False,
        **options,
    ) -> Fields:
        """Teacher forcing: features (B, T, M) and ids (B, U) -> `logits` (B, U, V), with `labels` also `loss`.

        Without `decoder_input_ids` the labels are their source, shifted right by one. The loss is the mean of the
        cross-entropies of the labels that are not -100. `options`, such as use_cache, are accepted with neutral values.
        Raises OptionError.
        """
        if unknown := drop_neutral(options):
            raise OptionError(f"unknown argument {', '.join(unknown)}")
        batch = split(input_features, attention_mask, padded_as_upstream)
        targets = None if labels is None else id_rows(labels, "labels", len(batch))
        if decoder_input_ids is None and targets is None:
            raise OptionError("give decoder_input_ids or labels")
        tokens = self.shifted(targets) if decoder_input_ids is None else id_rows(decoder_input_ids, "ids", len(batch))
        memories = [self.s2t.encode(x, length) for x, length in batch]
        logits = stack([self.s2t.logits(memory, row) for memory, row in zip(memories, tokens, strict=True)])
        return Fields(loss=None if targets is None else cross_entropy(logits, targets), logits=logits)

    def shifted(self, labels: np.ndarray) -> np.ndarray:
        """The ids the decoder reads to say `labels` (B, U): start token first, last label dropped, padding for -100."""
        start = np.full((len(labels), 1), self.config.decoder_start_token_id)
        tokens = np.concatenate([start, labels[:, :-1]], axis=1)
        return np.where(tokens == IGNORED, self.config.pad_token_id, tokens)


def checked(config) -> GenerationConfig:
    """A generation_config of the right type. Raises OptionError."""
    if not isinstance(config, GenerationConfig):
        raise OptionError(f"generation_config is {config!r:.40}, expected a GenerationConfig of this project")
    return config


class ResultOptions(NamedTuple):
    """The options of `generate` that are not the search's: what it returns, and whose padding shows."""

    return_dict_in_generate: bool = False
    output_scores: bool = False
    padded_as_upstream: bool = False

    @classmethod
    def split(cls, options: dict) -> tuple["ResultOptions", dict]:
        """These options, and the others."""
        own = {name: options[name] for name in cls._fields if options.get(name) is not None}
        return cls(**own), {name: value for name, value in options.items() if name not in cls._fields}

    def results(self, found: list[list[Hypothesis]], pad_token_id: int) -> np.ndarray | Fields:
        """The hypotheses of each utterance as `generate` returns them."""
        flat = [hypothesis for row in found for hypothesis in row]
        sequences = padded([hypothesis.tokens for hypothesis in flat], pad_token_id)
        if not self.return_dict_in_generate:
            return sequences
        scores = np.array([hypothesis.score for hypothesis in flat], np.float32).view(Array)
        return Fields(sequences=sequences, sequences_scores=scores if self.output_scores else None, hypotheses=found)


class Utterance(NamedTuple):
    """One row of a batch: its own frames (T, M), and the length it was padded to where that is to show."""

    features: np.ndarray
    padded_length: int | None


def split(input_features, attention_mask, padded_as_upstream: bool) -> list[Utterance]:
    """A batch (B, T, M), or a list of B arrays (T, M), with a mask (B, T) -> its utterances. Raises OptionError."""
    rows = arrays(input_features)
    if not rows or any(row.ndim != 2 or row.dtype.kind not in "fiu" for row in rows):
        found = ", ".join(str(row.shape) for row in rows[:3]) or repr(input_features)
        raise OptionError(f"input_features hold {found:.80}, expected (frames, bins) for each utterance of a batch")
    masks = full_masks(rows) if attention_mask is None else arrays(attention_mask)
    if (shapes := [mask.shape for mask in masks]) != (expected := [(len(row),) for row in rows]):
        raise OptionError(f"attention_mask holds rows of {shapes!s:.60}, expected {expected!s:.60}: one a frame")
    longest = max(map(len, rows))
    runs = [run_of_ones(mask, i) for i, mask in enumerate(masks)]
    if padded_as_upstream and any(run.start > 0 for run in runs):
        raise OptionError("padded_as_upstream with padding on the left: upstream masks the wrong end there")
    return [Utterance(row[run], longest if padded_as_upstream else None) for row, run in zip(rows, runs, strict=True)]


def full_masks(rows: list[np.ndarray]) -> list[np.ndarray]:
    """A mask (T,) of ones for each row (T, M), with an InputWarning where a row seems to end in padding."""
    if len(rows) > 1 and any(len(row) and not row[-1].any() for row in rows):
        told = "pass attention_mask: without it the padding of the shorter rows counts as sound"
        warnings.warn(told, InputWarning, stacklevel=4)
    return [np.ones(len(row)) for row in rows]


def arrays(batch) -> list[np.ndarray]:
    """The rows of an array, of a tensor, or of a list of either; none for what is neither."""
    return [as_array(row, "a row of the batch") for row in rows_of(batch)]


def dtype_name(dtype) -> str:
    """The name of a type that may be torch's or numpy's: torch.float16 -> "float16". "auto" and None are float32."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    name = name.removeprefix("torch.")
    if name == "bfloat16":
        warnings.warn('dtype bfloat16 is not computed in here; "float32" is used', InputWarning, stacklevel=4)
    return "float32" if name in ("auto", "None", "bfloat16") else name


def run_of_ones(mask: np.ndarray, row: int) -> slice:
    """Where the ones of a mask (T,) are. Raises OptionError unless they are one run."""
    ones = np.flatnonzero(mask)
    if len(ones) == 0 or ones[-1] - ones[0] + 1 != len(ones):
        raise OptionError(f"attention_mask row {row} has {len(ones)} ones, expected one run of at least one")
    return slice(int(ones[0]), int(ones[-1]) + 1)


def id_rows(ids, name: str, count: int) -> np.ndarray:
    """Token ids (B, U) as int64. Raises OptionError."""
    try:
        rows = np.asarray(ids)
    except Exception:  # a ragged list, or a tensor that cannot be had as an array
        raise OptionError(f"{name} have rows of different lengths; pad them, labels with -100") from None
    if rows.ndim != 2 or len(rows) != count or rows.shape[1] == 0 or rows.dtype.kind not in "iu":
        raise OptionError(f"{name} have shape {rows.shape} and type {rows.dtype}, expected integers ({count}, length)")
    return rows.astype(np.int64)


def prompt_rows(decoder_input_ids, count: int, config: GenerationConfig) -> list[list[int]]:
    """The beginning of each of B rows: the start token, which upstream adds where it is missing, and the prefix."""
    start = [config.decoder_start_token_id]
    if decoder_input_ids is None:
        return [start] * count
    rows = id_rows(decoder_input_ids, "decoder_input_ids", count).tolist()
    return [row if row[:1] == start else start + row for row in rows]


def filled(hypotheses: list[Hypothesis], prompt: list[int], count: int) -> list[Hypothesis]:
    """As many as were asked for: upstream fills up with rows that hold nothing after the prompt."""
    return hypotheses + [Hypothesis(tuple(prompt), (), DEAD_SCORE, False)] * (count - len(hypotheses))


def padded(rows: list[tuple[int, ...]], pad_token_id: int) -> Array:
    """B rows of ids -> (B, U) int64, U the length of the longest."""
    longest = max(map(len, rows))
    return stack([pad_row(np.array(row, np.int64), longest - len(row), pad_token_id, "right") for row in rows])


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.floating:
    """Mean of -log P(label) over the labels (B, U) that are not -100; logits (B, U, V). Raises OptionError."""
    kept = labels != IGNORED
    if not kept.any() or labels[kept].min() < 0 or labels.max() >= logits.shape[-1] or labels.shape != logits.shape[:2]:
        raise OptionError(f"labels must be ids below {logits.shape[-1]}, one a position, or -100, and not all -100")
    return -log_softmax(np.asarray(logits))[kept, labels[kept]].mean()
