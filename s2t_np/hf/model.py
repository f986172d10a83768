"""`Speech2TextForConditionalGeneration`: batches in, batches out, each utterance by itself in between.

A batch exists only at this border. The attention mask says which frames of a row are the utterance's; those alone are
encoded, so a result never depends on its neighbours. Upstream's does: it masks nothing between the two convolutions,
and what they make of the padding reaches the last encoder position. `padded_as_upstream=True` reproduces that.
"""

import math
import warnings
from pathlib import Path

import numpy as np

from ..backend import DTYPES, choose
from ..checkpoint import read_tensors, safetensors
from ..config import GenerationConfig, read_json, write_json
from ..errors import InputWarning, OptionError
from ..loading import model_of_network, read_network
from ..model import S2T
from ..ops import log_softmax
from ..weights import check, expected_shapes
from .batch import Fields, OnCPU
from .encoder import Encoder
from .generation import Generation, Settings
from .generation_options import NEUTRAL_IN_CALL, drop_neutral, generation_json
from .generation_results import transition_scores
from .lengths import stack
from .pretrained import Pretrained
from .utterances import id_rows, split

IGNORED = -100  # torch's: a label that has no part in the loss


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
        cls, folder: Path, backend: str = "auto", dtype="float32", torch_dtype=None, **unknown
    ) -> "Speech2TextForConditionalGeneration":
        """From config.json, generation_config.json and the weights. Raises ModelError, BackendError, OptionError.

        dtype: as in `s2t_np.load`; "auto" is float32. Types of torch and numpy are taken by their names, and
        torch_dtype is the older name of dtype.
        """
        if unknown:
            names = ", ".join(sorted(unknown))
            raise OptionError(f"from_pretrained does not know {names}; dtype says how weights are kept (int8, float16)")
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

    def bfloat16(self) -> "Speech2TextForConditionalGeneration":
        """Return self, with an InputWarning: nothing is computed in bfloat16 here."""
        warnings.warn(".bfloat16() changes nothing: it is not computed in here", InputWarning, stacklevel=2)
        return self

    @property
    def dtype(self) -> np.dtype:
        """The type that is computed in, also where weights are kept smaller: float32 or float64."""
        return np.dtype(self.s2t.dtype)

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
        generation_config: GenerationConfig | dict | None = None,
        **options,
    ) -> np.ndarray | Fields:
        """Features (B, T, M), and a mask (B, T) of the frames that count -> ids (B * num_return_sequences, U) int64.

        Rows begin with the start token and end in EOS, then padding. Features carry no sound for a detector of speech,
        so there is none: noise may come out as words. `inputs` is another name for the features;
        `decoder_input_ids` (B, P) are the beginning of each row. `options` are the fields of GenerationConfig, of
        ResultOptions and of Functions (generation_options.py); arguments of upstream's without a meaning here are
        accepted with their neutral values. `generation_config` may be a dict, or an object of transformers'. As a dict:
        `sequences`, `sequences_scores` (see `Hypothesis.score`), `scores`, `logits`, `beam_indices`, what the layers
        gave (`decoder_attentions`, ...), each on request, and `hypotheses`, a list for each utterance. Raises
        OptionError.
        """
        settings = Settings.of(self.generation_config, generation_config, options)
        features = inputs if input_features is None else input_features
        given = settings.functions.encoder_outputs is not None
        batch = [] if given else split(features, attention_mask, settings.wanted.padded_as_upstream)
        return Generation(self.s2t, settings).run(batch, attention_mask, decoder_input_ids)

    def compute_transition_scores(self, sequences, scores, beam_indices=None, normalize_logits: bool = False):
        """The score of every generated token of `sequences`, (rows, steps) float32: see transition_scores."""
        return transition_scores(sequences, scores, beam_indices, normalize_logits)

    def get_encoder(self) -> Encoder:
        """The encoder by itself; `generate(encoder_outputs=...)` continues from what it returns."""
        return Encoder(self.s2t)

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
        if unknown := drop_neutral(options, NEUTRAL_IN_CALL):
            raise OptionError(f"unknown argument {', '.join(unknown)}")
        batch = split(input_features, attention_mask, padded_as_upstream)
        targets = None if labels is None else id_rows(labels, "labels", len(batch))
        if decoder_input_ids is None and targets is None:
            raise OptionError("give decoder_input_ids or labels")
        tokens = self.shifted(targets) if decoder_input_ids is None else id_rows(decoder_input_ids, "ids", len(batch))
        memories = [self.s2t.encode(x, length) for x, length in batch]
        logits = stack([self.s2t.logits(memory, row) for memory, row in zip(memories, tokens, strict=True)])
        return Fields(loss=None if targets is None else cross_entropy(logits, targets), logits=logits)

    def forward(self, *args, **kwargs) -> Fields:
        """The call itself, by the name that torch has for it."""
        return self(*args, **kwargs)

    def shifted(self, labels: np.ndarray) -> np.ndarray:
        """The ids the decoder reads to say `labels` (B, U): start token first, last label dropped, padding for -100."""
        start = np.full((len(labels), 1), self.config.decoder_start_token_id)
        tokens = np.concatenate([start, labels[:, :-1]], axis=1)
        return np.where(tokens == IGNORED, self.config.pad_token_id, tokens)


def dtype_name(dtype) -> str:
    """The name of a type that may be torch's or numpy's: torch.float16 -> "float16". "auto" and None are float32."""
    name = dtype if isinstance(dtype, str) else getattr(dtype, "__name__", str(dtype))
    name = name.removeprefix("torch.")
    if name == "bfloat16":
        warnings.warn('dtype bfloat16 is not computed in here; "float32" is used', InputWarning, stacklevel=4)
    return "float32" if name in ("auto", "None", "bfloat16") else name


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> np.floating:
    """Mean of -log P(label) over the labels (B, U) that are not -100; logits (B, U, V). Raises OptionError."""
    kept = labels != IGNORED
    if not kept.any() or labels[kept].min() < 0 or labels.max() >= logits.shape[-1] or labels.shape != logits.shape[:2]:
        raise OptionError(f"labels must be ids below {logits.shape[-1]}, one a position, or -100, and not all -100")
    return -log_softmax(np.asarray(logits))[kept, labels[kept]].mean()
