"""Experiments on a model: mute heads, skip layers, leave out positions, hide sound, search otherwise; compare answers.

    from s2t_np.inspect.experiments import Experiment, run
    done = run(model, "recording.flac", Experiment(muted_heads=("decoder.layers.2.encoder_attn/0",)))
    done.before.text, done.after.text, done.largest_change

No layer function has a flag for any of this, because an experiment is a change of the model, and a model is a value:

    a muted head       the columns of out_proj that read the head are zero, so it adds nothing to the residual stream
                       (Michel et al. 2019, "Are sixteen heads really better than one?", arXiv 1905.10650)
    a muted layer      the layer is not in the tuple of layers; the residual stream passes by it (LayerDrop, Fan et al.
                       2019, arXiv 1909.11556)
    dropped positions  the sinusoids are not added
    a mask             normalised features are set to 0, each bin's mean, in a band of bins or a stretch of time
                       (SpecAugment, Park et al. 2019, arXiv 1904.08779)

The explorer's page does the same in JavaScript (explorer/live/experiment.js) and takes the same description as JSON.
"""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from ..encoder import through_layers
from ..ensemble import Ensemble
from ..errors import OptionError
from ..features import HOP_MS
from ..layers import embedding_scale, subsample
from ..model import S2T
from ..ops import Ops, log_softmax
from ..parts import Attention, Encoder
from ..search import Hypothesis
from ..settings.fields import check_fields, frozen, is_integers, is_real, is_texts, rule, show
from .trace import Trace
from .trace.plan import is_readable

STACKS = ("encoder", "decoder")
HEAD = re.compile(r"(?:(encoder)\.layers\.(\d+)\.(self_attn)|(decoder)\.layers\.(\d+)\.(self_attn|encoder_attn))/(\d+)")
LAYER = re.compile(r"(encoder|decoder)\.layers\.(\d+)")
OF_THE_SEARCH = ("num_beams", "length_penalty")


def is_span(value, accepts) -> bool:
    """A beginning and a larger end, neither negative."""
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(accepts, value)) and 0 <= value[0] < value[1]


def is_seconds(value) -> bool:
    return is_span(value, is_real)


def is_bins(value) -> bool:
    return is_integers(value) and is_span(value, lambda _: True)


@dataclass(frozen=True)
class Experiment:
    """A change of the model, of its input, or of the search. With nothing set, everything is as it was."""

    muted_heads: tuple[str, ...] = rule((), 'a list of heads such as "encoder.layers.3.self_attn/2"', is_texts)
    muted_layers: tuple[str, ...] = rule((), 'a list of layers such as "decoder.layers.0"', is_texts)
    dropped_positions: tuple[str, ...] = rule((), 'a list of "encoder" and "decoder"', is_texts)
    masked_bins: tuple[int, int] | None = rule(None, "a first mel bin and the one after the last", is_bins, True)
    masked_seconds: tuple[float, float] | None = rule(None, "a beginning and an end, in seconds", is_seconds, True)
    num_beams: int | None = None  # None: the search is as before
    length_penalty: float | None = None

    def __post_init__(self):
        """Hold every field to its rule. Raises OptionError."""
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, frozen(getattr(self, field.name)))
        check_fields(self, "experiment", OptionError)

    @classmethod
    def from_json(cls, data) -> "Experiment":
        """The experiment of a parsed JSON object, whose keys are the fields. Raises OptionError."""
        names = [field.name for field in dataclasses.fields(cls)]
        if not isinstance(data, dict) or not data.keys() <= set(names):
            raise OptionError(f"experiment: found {show(data)}, expected an object with some of {', '.join(names)}")
        return cls(**data)

    @property
    def search(self) -> dict:
        """The options of the search that it sets."""
        return {name: getattr(self, name) for name in OF_THE_SEARCH if getattr(self, name) is not None}


# ---- the changed model


def check_model(model: S2T) -> None:
    """Raise OptionError unless the model is one of the released arrangement, computed by the readable functions."""
    if isinstance(model, Ensemble):
        raise OptionError("experiments change one model, not an ensemble; name one of them")
    if unlike := model.config.unknown_to_transformers():
        raise OptionError(f"experiments know the layers of the released models only; this network has {unlike}")
    if not is_readable(model):
        raise OptionError(
            f"experiments change weights, which backend {model.backend.name!r} has packed; "
            'load the model with backend "numpy"'
        )


def applied(model: S2T, experiment: Experiment) -> S2T:
    """The model that the experiment makes of this one, which stays as it is. Raises OptionError.

    The masks are not in it: they change features (`masked`).
    """
    check_model(model)
    weights = model.weights
    for name in experiment.muted_heads:
        weights = with_muted_head(weights, name, model.config)
    weights = without_layers(weights, experiment.muted_layers)
    config, backend = model.config, model.backend
    if wrong := set(experiment.dropped_positions) - set(STACKS):
        raise OptionError(f"experiment: dropped_positions has {show(min(wrong))}, expected encoder or decoder")
    if "decoder" in experiment.dropped_positions:
        config = dataclasses.replace(config, no_token_positional_embeddings=True)
    if "encoder" in experiment.dropped_positions:
        backend = backend._replace(encode=encode_without_positions)
    return dataclasses.replace(model, weights=weights, config=config, backend=backend, origin=None)


def with_muted_head(weights, name: str, config):
    """Weights in which the columns of out_proj that read one head are zero. Raises OptionError for an unknown head."""
    found = HEAD.fullmatch(name)
    stack, layer, block, head = filter(None, found.groups()) if found else ("encoder", "0", "self_attn", "-1")
    heads = getattr(config, f"{stack}_attention_heads")
    layers = getattr(weights, stack).layers
    if not (found and int(layer) < len(layers) and int(head) < heads):
        raise OptionError(
            f"experiment: there is no head {show(name)}; {len(weights.encoder.layers)} encoder and "
            f'{len(weights.decoder.layers)} decoder layers have heads such as "{stack}.layers.0.{block}/{heads - 1}"'
        )
    muted = muted_attention(getattr(layers[int(layer)], block), int(head), heads)
    return with_layers(weights, stack, [
        one._replace(**{block: muted}) if i == int(layer) else one for i, one in enumerate(layers)
    ])  # fmt: skip


def muted_attention(w: Attention, head: int, heads: int) -> Attention:
    """An attention block whose `head` adds nothing: head h owns the h-th D/H columns of out_proj's weight (D, D)."""
    width = w.out_proj.weight.shape[1] // heads
    weight = w.out_proj.weight.copy()
    weight[:, head * width : (head + 1) * width] = 0
    return w._replace(out_proj=w.out_proj._replace(weight=weight))


def without_layers(weights, names: Sequence[str]):
    """Weights without the named layers. Raises OptionError for one that is not there."""
    for stack in STACKS:
        layers = getattr(weights, stack).layers
        here = [f"{stack}.layers.{i}" for i in range(len(layers))]
        if unknown := [n for n in names if n not in here and (not LAYER.fullmatch(n) or n.startswith(stack))]:
            raise OptionError(f"experiment: there is no layer {show(unknown[0])}, expected {here[0]} to {here[-1]}")
        weights = with_layers(weights, stack, [w for w, name in zip(layers, here, strict=True) if name not in names])
    return weights


def with_layers(weights, stack: str, layers: Sequence):
    """Weights with other layers in one stack."""
    return weights._replace(**{stack: getattr(weights, stack)._replace(layers=tuple(layers))})


def encode_without_positions(
    ops: Ops, w: Encoder, config, features: np.ndarray, padded_length: int | None = None
) -> np.ndarray:
    """As encoder.encode, but nothing tells a row where it stands: features (T, M) -> memory (S, D)."""
    x = subsample(ops, w.conv, features, padded_length)
    return through_layers(ops, w, config, x * x.dtype.type(embedding_scale(config)))


def masked(features: np.ndarray, experiment: Experiment) -> np.ndarray:
    """Normalised features (T, M) with the hidden ones at 0, which is each bin's mean. Raises OptionError."""
    x = features.copy()
    if experiment.masked_bins is not None:
        first, end = experiment.masked_bins
        if end > x.shape[1]:
            raise OptionError(f"experiment: masked_bins end at {end}, expected at most {x.shape[1]}")
        x[:, first:end] = 0
    if experiment.masked_seconds is not None:
        first, end = (int(1000 * second / HOP_MS + 0.5) for second in experiment.masked_seconds)
        x[first:end] = 0
    return x


# ---- the answers


@dataclass(frozen=True)
class Answer:
    """A best transcript."""

    text: str
    pieces: tuple[str, ...]  # one for each generated token
    probabilities: tuple[float, ...]  # one for each of them
    score: float

    def record(self) -> dict:
        """As JSON has it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Subject:
    """A model, a recording and a search, with the answer before any experiment."""

    model: S2T
    features: np.ndarray  # (T, M) normalised
    generation: dict  # options of S2T.generate
    tokens: np.ndarray  # (U + 1,) the best transcript, start token first
    answer: Answer
    logits: np.ndarray  # (U, V) of each of its tokens after the first


@dataclass(frozen=True)
class Comparison:
    """Answers and logits before and after. Both logits are for the same inputs, the transcript before."""

    experiment: Experiment
    before: Answer
    after: Answer
    logits_before: np.ndarray  # (U, V)
    logits_after: np.ndarray  # (U, V)
    targets: np.ndarray  # (U,) the tokens before, whose probabilities `record` compares
    seconds: float  # that the experiment took

    def __str__(self) -> str:
        return f"{self.before.text}\n{self.after.text}\nlargest change of a logit: {self.largest_change:.3f}"

    @property
    def largest_change(self) -> float:
        """The largest absolute change of a logit."""
        return float(np.abs(self.logits_after - self.logits_before).max())

    def record(self) -> dict:
        """The comparison as the page shows it, JSON: `steps` are the tokens of the transcript before, one by one."""
        at = np.arange(len(self.targets)), self.targets
        p, q = (np.exp(log_softmax(x)[at]).tolist() for x in (self.logits_before, self.logits_after))
        changes = np.abs(self.logits_after - self.logits_before).max(axis=1).tolist()
        places = range(-len(self.before.pieces), 0)  # a prefix has no piece among the generated ones
        steps = [
            {"piece": piece, "before": p[i], "after": q[i], "change": changes[i]}
            for i, piece in zip(places, self.before.pieces, strict=True)
        ]
        answers = {"before": self.before.record(), "after": self.after.record()}
        return answers | {"steps": steps, "largest_change": self.largest_change, "seconds": self.seconds}


def answer_of(model: S2T, best: Hypothesis) -> Answer:
    """A hypothesis as text, pieces and probabilities."""
    probabilities = tuple(np.exp(best.token_log_probs).tolist())
    pieces = tuple(model.tokenizer.pieces(best.generated))
    return Answer(model.tokenizer.decode(best.tokens), pieces, probabilities, float(best.score))


def subject(model: S2T, features: np.ndarray, **generation) -> Subject:
    """Normalised features (T, M) and the answer to them, ready for experiments. `generation` as in S2T.generate.

    Raises OptionError.
    """
    check_model(model)
    memory = model.encode(features)
    best = model.generate_from(memory, **generation)[0]
    tokens = np.array(best.tokens)
    return Subject(model, features, generation, tokens, answer_of(model, best), model.logits(memory, tokens[:-1]))


def traced_subject(model: S2T, trace: Trace, **generation) -> Subject:
    """The same for a recording that was traced, whose search need not be repeated. Raises OptionError."""
    check_model(model)
    best = trace.transcript.hypotheses[0]
    tokens, logits = np.array(best.tokens), trace["logits"]
    return Subject(model, trace["features.cmvn"], generation, tokens, answer_of(model, best), logits)


def compare(before: Subject, experiment: Experiment) -> Comparison:
    """Carry out an experiment. Raises OptionError for one that this model cannot have."""
    begun = perf_counter()
    model = applied(before.model, experiment)
    memory = model.encode(masked(before.features, experiment))
    best = model.generate_from(memory, **before.generation | experiment.search)[0]
    logits = model.logits(memory, before.tokens[:-1])
    answer = answer_of(model, best)
    took = perf_counter() - begun
    return Comparison(experiment, before.answer, answer, before.logits, logits, before.tokens[1:], took)


def run(model: S2T, audio, experiment: Experiment, sampling_rate: int | None = None, **generation) -> Comparison:
    """The answers to one utterance before and after an experiment. `audio` as in S2T.features, `generation` as in
    S2T.generate. Raises AudioError, OptionError.
    """
    return compare(subject(model, model.features(audio, sampling_rate), **generation), experiment)
