"""Mistakes in the network: gate, positions, normalisation, attention, residuals."""

import numpy as np

from .... import ops
from ....layers import sinusoids
from .evidence import Evidence, Guesses


def gate(evidence: Evidence, stage: str) -> Guesses:
    """GLU, a * sigmoid(b) of x = [a | b]."""
    x = evidence(stage.removesuffix(".glu"))
    a, b = np.split(x, 2, axis=-1)
    yield "the halves of the gate are swapped: sigmoid(a) * b; it is a * sigmoid(b)", b * sigmoid(a)
    yield "even and odd columns are gated; it is the first and the second half", x[:, ::2] * sigmoid(x[:, 1::2])
    yield "the gate has no sigmoid", a * b
    yield "tanh(a) * sigmoid(b); a has no tanh", np.tanh(a) * sigmoid(b)
    yield "a * tanh(b); the gate is a sigmoid", a * np.tanh(b)
    yield "a ReLU instead of the gate", np.maximum(a, 0)
    yield "the gate is missing: the first half of the channels as they are", a


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), any shape."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def tables(evidence: Evidence, first: int, count: int) -> Guesses:
    """Other position tables: (count, D); the right one begins with row `first`."""
    D = evidence.config.d_model
    half = D // 2
    right = sinusoids(first, count, D, np.float64)
    for other in (0, 1, first - 1, first + 1):
        if other != first and other >= 0:
            yield (
                f"positions count from {other}; they count from pad_token_id + 1 = {first}",
                sinusoids(other, count, D, np.float64),
            )
    paired = right[:, : 2 * half].reshape(count, 2, half)
    yield "sine and cosine are interleaved; it is [all sines | all cosines]", paired.swapaxes(1, 2).reshape(count, -1)
    yield "[cosines | sines]; it is [sines | cosines]", paired[:, ::-1].reshape(count, -1)
    for says, exponents in (("D/2", np.arange(half) / half), ("D/2 + 1", np.arange(half) / (half + 1))):
        angles = np.arange(first, first + count)[:, None] * np.exp(-np.log(10000.0) * exponents)
        waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
        yield f"the frequencies divide by {says}; they divide by D/2 - 1", waves
        woven = np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(count, -1)
        yield f"sine and cosine interleaved, and the frequencies divide by {says} instead of D/2 - 1", woven
    yield "no positions", np.zeros_like(right)


def positions(evidence: Evidence, stage: str) -> Guesses:
    """The table of positions, or the sum with it."""
    stack, last = stage.split(".")
    count = len(evidence.pack.truth[stage])
    base = 0.0 if last == "embed_positions" else evidence(f"{stack}.embed_scale")
    for says, table in tables(evidence, evidence.config.pad_token_id + 1, count):
        if table.shape[1] == evidence.config.d_model:
            yield says, base + table


def scale(evidence: Evidence, stage: str) -> Guesses:
    """sqrt(D), by which embeddings are multiplied."""
    root, right = evidence.config.d_model**0.5, evidence.pack.truth[stage]
    yield "not multiplied by sqrt(D)", right / root
    yield "multiplied by sqrt(D) twice", right * root
    yield "divided by sqrt(D) instead of multiplied", right / root**2


def embeddings(evidence: Evidence, stage: str) -> Guesses:
    """Scale and sum."""
    stack = stage.split(".", 1)[0]
    root, x, p = evidence.config.d_model**0.5, evidence(f"{stack}.embed_scale"), evidence(f"{stack}.embed_positions")
    yield "embeddings are not multiplied by sqrt(D) before positions are added", x / root + p
    yield "the sum is multiplied by sqrt(D); only the embeddings are, before positions are added", x + root * p


def norm(evidence: Evidence, stage: str) -> Guesses:
    """Layer normalisation: its input, its gain and offset, its formula."""
    gain, offset = evidence.vector(f"{stage}.weight"), evidence.vector(f"{stage}.bias")
    x, later = evidence(evidence.input_of(stage)), later_residual(stage)
    right = ops.layer_norm(x, ops.LayerNorm(np.ones(1), np.zeros(1)))
    yield "gain and offset are missing", right
    yield "the offset is missing", right * gain
    yield "the gain is missing", right + offset
    for says, y in normalisations(x):
        yield says, y * gain + offset
    if later in evidence.dump:
        after = ops.layer_norm(evidence(later), ops.LayerNorm(gain, offset))
        yield (
            "applied after its block, to the sum with the residual (post-norm); S2T normalises before (pre-norm)",
            after,
        )


def normalisations(x: np.ndarray) -> Guesses:
    """Other ways to bring the rows of x (..., D) to mean 0 and variance 1."""
    centred, variance, D = x - x.mean(-1, keepdims=True), x.var(-1, keepdims=True), x.shape[-1]
    unbiased = variance * (D / (D - 1))
    yield "the unbiased variance, over D - 1; it is the biased one, over D", centred / np.sqrt(unbiased + 1e-5)
    yield "the mean is not subtracted (RMS norm)", x / np.sqrt(np.mean(x * x, -1, keepdims=True) + 1e-5)
    yield "epsilon is added to the deviation instead of the variance", centred / (np.sqrt(variance) + 1e-5)
    for epsilon in (1e-12, 1e-8, 1e-6, 1e-3):
        yield f"epsilon is {epsilon:g} instead of 1e-5", centred / np.sqrt(variance + epsilon)


def later_residual(norm: str) -> str:
    """The stage of the residual sum after the block that a normalisation precedes."""
    layer = norm.rpartition(".")[0]
    return f"{layer}.output" if norm.endswith("final_layer_norm") else norm.replace("_layer_norm", "_residual")


def weights(evidence: Evidence, stage: str) -> Guesses:
    """softmax(q k^T), scaled and masked."""
    block, H = stage.removesuffix(".attn_weights"), evidence.heads(stage)
    q, k = ops.split_heads(evidence(f"{block}.q_proj"), H), ops.split_heads(evidence(f"{block}.k_proj"), H)
    raw, size, D = q @ np.swapaxes(k, -1, -2), q.shape[-1], evidence.config.d_model
    causal = block.startswith("decoder") and block.endswith("self_attn")
    mask = np.triu(np.full(raw.shape[-2:], -np.inf), 1) if causal else 0.0
    scores = raw * size**-0.5
    yield "queries are not scaled by (D/H)^-0.5", ops.softmax(raw + mask)
    yield "queries are scaled twice", ops.softmax(raw / size + mask)
    yield "queries are scaled by D^-0.5; it is (D/H)^-0.5, by the width of a head", ops.softmax(raw * D**-0.5 + mask)
    yield "the scores before the softmax", scores + mask
    if not causal:
        yield (
            "the softmax runs over the queries; it runs over the keys",
            ops.softmax(scores.swapaxes(-1, -2)).swapaxes(-1, -2),
        )
    else:
        yield from masks(scores)
    other = [
        x.reshape(len(x), size, H).transpose(2, 0, 1)
        for x in (evidence(f"{block}.q_proj"), evidence(f"{block}.k_proj"))
    ]
    yield (
        "heads are interleaved columns; head h is the h-th slice of D/H columns",
        ops.softmax(other[0] @ other[1].swapaxes(-1, -2) * size**-0.5 + mask),
    )


def masks(scores: np.ndarray) -> Guesses:
    """Other masks than the causal one over scores (H, U, U)."""
    yield "the causal mask is missing: tokens see what comes after them", ops.softmax(scores)
    late = np.triu(np.full(scores.shape[-2:], -np.inf), 2)
    yield "the causal mask is off by one: tokens see the next one", ops.softmax(scores + late)
    early = np.triu(np.full(scores.shape[-2:], -np.inf), 0)
    early[0, 0] = 0
    yield "the causal mask is off by one: tokens do not see themselves", ops.softmax(scores + early)
    with np.errstate(invalid="ignore"):
        early[0, 0] = -np.inf
        x = np.exp(scores + early)
        yield (
            "the causal mask is off by one: tokens do not see themselves, the first sees nothing",
            x / x.sum(-1, keepdims=True),
        )
    yield (
        "the causal mask is the wrong way round: tokens see only what comes after them",
        ops.softmax(scores + np.tril(np.full(scores.shape[-2:], -np.inf), -1)),
    )


def context(evidence: Evidence, stage: str) -> Guesses:
    """Weights times values, heads side by side."""
    block, H = stage.removesuffix(".context"), evidence.heads(stage)
    v = ops.split_heads(evidence(f"{block}.v_proj"), H)
    mixed = evidence(f"{block}.attn_weights") @ v  # (H, rows, D/H)
    rows, D = evidence.pack.truth[stage].shape
    yield "heads are put together without bringing rows to the front", mixed.reshape(rows, D)
    yield "columns of the heads are interleaved; they stand side by side", mixed.transpose(1, 2, 0).reshape(rows, D)


def residual(evidence: Evidence, stage: str) -> Guesses:
    """The residual stream after a block: the stream before it plus the output of the block."""
    block = stage.removesuffix("_residual")
    last, norm = (f"{block}.out_proj", f"{block}_layer_norm")
    if stage.endswith(".output"):
        layer = stage.removesuffix(".output")
        last, norm = f"{layer}.fc2", f"{layer}.final_layer_norm"
    yield "the residual is missing", evidence(last)
    yield (
        "the normalised stream is added instead of the stream before the normalisation",
        evidence(norm) + evidence(last),
    )
    yield "the block is missing: the stream as it was before", evidence(evidence.input_of(norm))


def activation(evidence: Evidence, stage: str) -> Guesses:
    """ReLU."""
    x = evidence(stage.replace("activation_fn", "fc1"))
    from scipy.special import erf  # imported here: it takes longer than all the rest of the check

    yield "GELU (exact, with erf) instead of ReLU", 0.5 * x * (1 + erf(x / np.sqrt(2)))
    inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
    yield "GELU (its tanh approximation) instead of ReLU", 0.5 * x * (1 + np.tanh(inner))
    yield "SiLU instead of ReLU", x * sigmoid(x)
    yield "the ReLU is missing", x


def bias(evidence: Evidence, stage: str) -> Guesses:
    """The bias of a projection or convolution."""
    vector = evidence.vector(f"{stage}.bias")
    if vector is not None:
        yield "the bias is missing", evidence.pack.truth[stage] - vector
        yield "the bias is added twice", evidence.pack.truth[stage] + vector


def probabilities(evidence: Evidence, stage: str) -> Guesses:
    """The logarithm of the softmax."""
    logits = evidence("lm_head")
    yield "probabilities instead of their logarithms", ops.softmax(logits)
    yield "the logits as they are", logits
    yield "logarithms to base 2 instead of natural ones", ops.log_softmax(logits) / np.log(2)
