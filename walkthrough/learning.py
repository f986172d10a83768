# %% [markdown]
# # Learning, by hand
#
# How a model gets its weights, in small steps, to read next to `s2t_np/training/`. Every
# derivative is worked out in a line or two of numpy, tried against a small change (central
# differences), and then compared with the project's own function. [From sound to
# text](sound_to_text.py) comes first.
#
# Most chapters have an exercise: write a function and give it to the `check_...` function of
# that chapter. The answers are in [answers.py](answers.py). Every chapter ends in something to
# see or to hear.
#
# `dx` is the gradient of the loss by `x`: an array of the shape of `x` that says how the loss
# changes with each number.

# %%
from pathlib import Path

import numpy as np
import s2t_np
from s2t_np import audio, features, ops
from s2t_np.config import ModelConfig
from s2t_np.ops import Conv, LayerNorm, Linear
from s2t_np.training.derivatives import attention, convolution, operations
from s2t_np.training.derivatives.attention import Reach
from s2t_np.training.derivatives.dropout import NO_DROPOUT, Dropout, Rates
from s2t_np.training.derivatives.loss import cross_entropy
from s2t_np.training.derivatives.network import backward, forward, make_batch
from s2t_np.training.derivatives.parameters import named, writable
from s2t_np.training.initial import initial_weights
from s2t_np.training.learner import Learner
from s2t_np.training.optimizer import Adam
from s2t_np.training.recipe import FROM_NOTHING
from s2t_np.training.specaugment import POLICIES, Policy, spec_augment
from s2t_np.weights import build

import hear
import show

RECORDING = Path(s2t_np.__file__).parent / "recordings" / "two-nine-three-four-zero.flac"
rng = np.random.default_rng(0)


def close(a, b, tolerance=1e-6):
    """Whether two arrays are the same but for rounding."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, atol=tolerance, rtol=tolerance)


# %% [markdown]
# ## 1. The loss
#
# The bundled model hears a recording and is given the text so far; for every next token it has
# logits. The loss is how surprised it is by the text: minus the mean log-probability of the
# tokens that are really next.

# %%
model = s2t_np.load("digits", backend="numpy")
memory = model.encode(model.features(RECORDING))
labels = np.array(model.tokenizer.encode("two nine three four zero"))
tokens = np.array([model.config.decoder_start_token_id, *labels[:-1]])
logits = model.logits(memory, tokens)
log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
nll = -log_p[np.arange(len(labels)), labels]
for piece, surprise in zip(model.tokenizer.pieces(labels), nll, strict=True):
    print(f"{piece:8} {surprise:.3f}")
assert close(nll.mean(), model.score(RECORDING, "two nine three four zero").cross_entropy, 1e-4)

# %% [markdown]
# Label smoothing asks for less than certainty: the wanted distribution q has 0.9 at the label,
# and the rest spread over all other tokens. The loss is the cross-entropy of q and p, summed
# over q log p. It keeps a model from being ever more sure of what it knows by heart.

# %%
V, e = logits.shape[1], 0.1
q = np.full(logits.shape, e / (V - 1))
q[np.arange(len(labels)), labels] = 1 - e
assert close(-(q * log_p).sum(), cross_entropy(logits, labels, e).loss, 1e-4)
print(f"loss per token {nll.mean():.3f}, smoothed {-(q * log_p).sum() / len(labels):.3f}")
spoken = model.tokenizer.pieces(labels)
show.bars(nll, spoken, "How surprised the model is by each token: most at the start", "loss")

# %% [markdown]
# **Exercise 1.** A smoothed loss cannot reach zero. Write `lowest_loss(V, e)`, the least that
# it can be for a token.


# %%
def check_lowest_loss(lowest_loss):
    """Exercise 1."""
    for V, e in ((30, 0.1), (10000, 0.1), (2, 0.3)):
        best = np.log(np.array([[1 - e, *[e / (V - 1)] * (V - 1)]]))
        assert close(lowest_loss(V, e), cross_entropy(best, np.array([0]), e).loss)


# %% [markdown]
# ## 2. A derivative, by trying
#
# Change x a little one way, and a little the other way: how does f change? That is slow (a
# forward pass for every direction) and a little wrong, but nothing can go wrong in it. It
# judges everything that follows.


# %%
def slope(f, x, direction, step=1e-5):
    """How fast f(x) changes along a direction: central differences."""
    return (f(x + step * direction) - f(x - step * direction)) / (2 * step)


def agrees(f, x, dx):
    """Whether dx is the gradient of f at x, along three directions."""
    directions = rng.standard_normal((3, *x.shape))
    return all(close(slope(f, x, d), (dx * d).sum(), 1e-5) for d in directions)


assert agrees(lambda x: (x**3).sum(), np.array([2.0, -1.0]), np.array([12.0, 3.0]))

# %% [markdown]
# How small a change? Too large, and the curve bends on the way; too small, and rounding eats
# the difference.

# %%
sizes = 10.0 ** np.arange(-12, 0.5, 0.25)
error = [abs(slope(np.exp, np.array(1.0), 1.0, step) - np.e) + 1e-14 for step in sizes]
assert error[0] > min(error) * 1000 < error[-1]
show.lines(
    [error],
    "The error of a slope by trying: best at a step of about 10⁻⁵",
    "step",
    "error",
    sizes,
    log=True,
)

# %% [markdown]
# ## 3. The derivative of the loss
#
# It is the difference between what the model thinks and what it should: p - q.

# %%
x = 3 * rng.standard_normal((4, 9))
y = np.array([3, 8, 0, 3])
wanted = np.full(x.shape, e / 8)
wanted[np.arange(4), y] = 1 - e
dx = ops.softmax(x) - wanted
assert agrees(lambda x: cross_entropy(x, y, e).loss, x, dx)
assert close(dx, cross_entropy(x, y, e).dlogits)
show.heat(
    dx,
    "p - q, a row for each place: negative at the label, so that its logit will rise",
    "token",
    ticks=[f"label {label}" for label in y],
)

# %% [markdown]
# **Exercise 2.** Logits have one number too many: adding the same to all of them changes
# nothing. So the gradient must have no part in that direction. Write `row_sums(x, y)`, the sum
# of each row of the gradient without smoothing.


# %%
def check_row_sums(row_sums):
    """Exercise 2."""
    logits, labels = rng.standard_normal((4, 9)), np.array([3, 8, 0, 3])
    assert close(
        row_sums(logits, labels), cross_entropy(logits, labels, 0.0).dlogits.sum(axis=1)
    )


# %% [markdown]
# ## 4. One derivative after another
#
# From here on the loss is any function of y, and dy its gradient. To try one out we take the
# loss sum(y dy), whose gradient by y is dy.
#
# **A linear map** y = x W^T + b. Where W carries x to y, its transpose carries dy back to dx;
# and dW collects, for every pair of numbers, how much they met.

# %%
x, W, b, dy = (rng.standard_normal(shape) for shape in ((5, 3), (4, 3), (4,), (5, 4)))
dx, dW, db = dy @ W, dy.T @ x, dy.sum(axis=0)
assert agrees(lambda x: ((x @ W.T + b) * dy).sum(), x, dx)
assert agrees(lambda W: ((x @ W.T + b) * dy).sum(), W, dW)
assert agrees(lambda b: ((x @ W.T + b) * dy).sum(), b, db)
ours = operations.linear_backward(dy, x, Linear(W, b))
assert close(ours[0], dx) and close(ours[1].weight, dW) and close(ours[1].bias, db)

# %% [markdown]
# **ReLU**, max(x, 0), lets the gradient through where it let x through. **A gate**, a
# sigmoid(b): each half gets what the other let through; the slope of the sigmoid s is s (1 -
# s).

# %%
x, dy = rng.standard_normal((5, 8)), rng.standard_normal((5, 8))
assert agrees(lambda x: (np.maximum(x, 0) * dy).sum(), x, dy * (x > 0))
dy = rng.standard_normal((5, 4))
a, s = x[:, :4], 1 / (1 + np.exp(-x[:, 4:]))
dx = np.concatenate([dy * s, dy * a * s * (1 - s)], axis=1)
assert agrees(lambda x: (ops.glu(x) * dy).sum(), x, dx)
assert close(dx, operations.glu_backward(dy, operations.glu_forward(x)[1]))

# %% [markdown]
# **Layer normalisation** makes mean 0 and variance 1 of every row. Whatever the mean and the
# size of a row were, what comes out is the same, so the gradient has no part along these two
# directions: it is taken out.

# %%
x, gain, dy = rng.standard_normal((5, 7)), rng.standard_normal(7), rng.standard_normal((5, 7))
w = LayerNorm(gain, np.zeros(7))
deviation = np.sqrt(x.var(axis=1, keepdims=True) + ops.LAYER_NORM_EPSILON)
n = (x - x.mean(axis=1, keepdims=True)) / deviation
g = dy * gain
dx = (g - g.mean(axis=1, keepdims=True) - n * (g * n).mean(axis=1, keepdims=True)) / deviation
assert agrees(lambda x: (ops.layer_norm(x, w) * dy).sum(), x, dx)
assert close(
    dx, operations.layer_norm_backward(dy, w, operations.layer_norm_forward(x, w)[1])[0]
)

# %% [markdown]
# **Exercise 3.** Write `blind_directions(row)`: two directions in which a row can be moved a
# little without (to first order) changing its normalisation, neither of them zero nor one a
# multiple of the other.


# %%
def check_blind_directions(blind_directions):
    """Exercise 3."""
    row = rng.standard_normal(16)
    first, second = blind_directions(row)
    plain = LayerNorm(np.ones(16), np.zeros(16))
    for direction in (first, second):
        assert np.abs(
            slope(lambda r: ops.layer_norm(r, plain), row, direction)
        ).max() < 1e-4 * np.linalg.norm(direction)
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert np.linalg.norm(first) > 1e-3 and np.linalg.norm(second) > 1e-3 and abs(cosine) < 0.99


# %% [markdown]
# **Softmax.** Shares sum to one, so they cannot all grow: what all would gain on average is
# taken off. **Attention** is product, softmax, product; backwards it is product, softmax,
# product.

# %%
Q, K, W, dy = (rng.standard_normal((n, 6)) for n in (4, 7, 7, 4))
shares = ops.softmax(Q @ K.T)
dW = shares.T @ dy
dshares = dy @ W.T
dscores = shares * (dshares - (dshares * shares).sum(axis=1, keepdims=True))
dQ, dK = dscores @ K, dscores.T @ Q
assert agrees(lambda Q: (ops.softmax(Q @ K.T) @ W * dy).sum(), Q, dQ)
assert agrees(lambda K: (ops.softmax(Q @ K.T) @ W * dy).sum(), K, dK)
assert agrees(lambda W: (ops.softmax(Q @ K.T) @ W * dy).sum(), W, dW)
reach = Reach(np.array([4]), np.array([7]), heads=1)
kept = attention.attention_forward(Q, K, W, reach, NO_DROPOUT)[1]
assert all(map(close, attention.attention_backward(dy, reach, kept), (dQ, dK, dW)))

# %% [markdown]
# **Convolution.** The frames that an output sees, laid out as one row, make it a linear map; a
# frame that several outputs see gets the gradient of all of them.

# %%
x, conv = (
    rng.standard_normal((9, 3)),
    Conv(rng.standard_normal((8, 3, 5)), rng.standard_normal(8)),
)
y, kept = convolution.conv1d_glu_forward(x, np.array([9]), conv)
assert close(y, ops.conv1d_glu(x, conv))
dy = rng.standard_normal(y.shape)
dx, dconv = convolution.conv1d_glu_backward(dy, conv, kept)
assert agrees(lambda x: (ops.conv1d_glu(x, conv) * dy).sum(), x, dx)
assert agrees(
    lambda weight: (ops.conv1d_glu(x, Conv(weight, conv.bias)) * dy).sum(),
    conv.weight,
    dconv.weight,
)

reached = np.zeros((5, 9))
for row in range(5):
    only = np.zeros_like(dy)
    only[row] = 1
    reached[row] = np.abs(convolution.conv1d_glu_backward(only, conv, kept)[0]).sum(axis=1) > 0
show.heat(
    reached,
    "Which frames get a gradient from each of five outputs",
    "frame",
    ticks=[f"output {row}" for row in range(5)],
)

# %% [markdown]
# ## 5. The whole model
#
# A layer's derivative is its forward pass read from the last line up; so is the model's. One
# pass forward and one back give the gradient by all 2.2 million weights at once, for the price
# of about three forward passes.

# %%
heard = model.features(RECORDING)
parameters, weights = writable(model.weights, model.config, np.float64)
batch = make_batch([(heard.astype(np.float64), labels)], model.config)
loss, kept = forward(weights, model.config, batch)
gradient = backward(weights, model.config, kept, by_features=True)
assert close(loss.nll, nll.sum(), 1e-3)
by_name = named(gradient.weights, model.config)
print(f"{len(by_name)} arrays, {sum(g.size for g in by_name.values()):,} numbers")

# %% [markdown]
# One small step against the gradient must lower the loss by its length squared, times the step.

# %%
square = sum((g**2).sum() for g in by_name.values())
for name, g in by_name.items():
    parameters[name] -= 1e-6 * g
after = forward(weights, model.config, batch)[0].nll
print(f"loss {loss.nll:.6f} -> {after:.6f}, expected {loss.nll - 1e-6 * square:.6f}")
assert close((loss.nll - after) / (1e-6 * square), 1.0, 0.05)

# %% [markdown]
# The gradient goes on to the features: it says which sound mattered to these words.

# %%
assert gradient.features.shape == heard.shape
matters = np.abs(gradient.features)
samples = audio.load(RECORDING, 16000)
log_mel = features.fbank(samples, 16000)
strongest = matters >= np.percentile(matters, 80)
sparse = np.where(strongest, log_mel, log_mel.min())
seconds = len(samples) / 16000
show.heat(heard.T, "What the model read", up="mel band", seconds=seconds)
show.heat(matters.T, "Where a change would matter", up="mel band", seconds=seconds)
show.sound(hear.sound_of(sparse), "Only the fifth of the sound that matters most")

# %% [markdown]
# ## 6. Adam
#
# The gradient says where to go, not how far. Adam divides a running mean of it by a running
# mean of its size, number by number, so that all weights move at about the same speed.

# %%
w, g = {"w": np.zeros(4)}, np.array([1.0, -0.5, 1e-3, 1e-7])
optimizer = Adam.start(w, ["w"])
optimizer.step(w, {"w": g}, rate=0.1)
print("first step", w["w"])

# %% [markdown]
# Here are both ways down a long, narrow valley: against the gradient, which crosses the valley
# to and fro, and by Adam, which goes along it.


# %%
def valley_gradient(at):
    """The gradient of (x² + 50 y²) / 2."""
    return at * np.array([1.0, 50.0])


plain, adam = [np.array([-4.0, 1.0])], [np.array([-4.0, 1.0])]
moving = {"at": adam[0].copy()}
optimizer = Adam.start(moving, ["at"])
for _ in range(60):
    plain.append(plain[-1] - 0.038 * valley_gradient(plain[-1]))
    optimizer.step(moving, {"at": valley_gradient(moving["at"])}, rate=0.2)
    adam.append(moving["at"].copy())
heights = [[(way**2 @ np.array([1.0, 50.0])) / 2 for way in ways] for ways in (plain, adam)]
names = ("against the gradient", "Adam")
across = [np.array(plain)[:, 1], np.array(adam)[:, 1]]
show.lines(across, "Across the valley: the gradient swings", "step", "y", names=names)
show.lines(heights, "How high each way still is", "step", "height", names=names)

# %% [markdown]
# **Exercise 4.** Write `after_steps(gradient, rate, count)`: where a weight that began at zero
# is after `count` steps whose gradient was always the same, and not tiny.


# %%
def check_after_steps(after_steps):
    """Exercise 4."""
    for gradient in (0.5, -2.0):
        w = {"w": np.zeros(1)}
        optimizer = Adam.start(w, ["w"])
        for _ in range(7):
            optimizer.step(w, {"w": np.array([gradient])}, rate=0.01)
        assert close(after_steps(gradient, 0.01, 7), w["w"][0])


# %% [markdown]
# ## 7. SpecAugment
#
# While learning, stretches of bands and of time are hidden, other ones each time, so that the
# model cannot lean on a single one. The policy of LibriSpeech's recipe hides up to 26 of 80
# bands and up to 99 frames.

# %%
masked = {
    name: spec_augment(heard, POLICIES[name], np.random.default_rng(2)) for name in ("lb", "ld")
}
hidden = np.where(masked["ld"] == heard, log_mel, log_mel.min())
for name, array in masked.items():
    show.heat(array.T, f"SpecAugment, policy {name.upper()}", up="mel band", seconds=seconds)
show.sound(hear.sound_of(hidden), "What policy LD leaves of the recording")

# %% [markdown]
# **Exercise 5.** Write `hidden_share(bands, F)`: the part of the picture that one mask over
# bands hides on average, if its width is drawn from 0 .. F - 1 alike.


# %%
def check_hidden_share(hidden_share):
    """Exercise 5."""
    noise, draws = rng.standard_normal((2, 80)), np.random.default_rng(1)
    for F in (27, 10):
        pictures = [
            spec_augment(noise, Policy(1, F, 0, 1), draws) != noise for _ in range(4000)
        ]
        assert abs(hidden_share(80, F) - np.mean(pictures)) < 0.005


# %% [markdown]
# ## 8. Learning to spell
#
# Ten words of three letters; each letter is a tone of its own. A model of a few thousand
# weights that begins as noise hears them with noise around and is told how they are spelt, 240
# times.

# %%
LETTERS, WORDS = "abcde", ("abc", "bad", "cab", "dab", "dec", "ace", "bee", "add", "ebb", "ced")
FIRST_LETTER, EOS = 4, 2  # the ids below are the special tokens


def sound(word, draws):
    """A word as samples: 100 ms of a tone for each letter, and noise."""
    t = np.arange(1600) / 16000
    tones = [
        np.sin(2 * np.pi * (300 + 400 * LETTERS.index(letter)) * t) * np.hanning(1600)
        for letter in word
    ]
    return 0.3 * np.concatenate(tones) + 0.01 * draws.standard_normal(4800)


def spelling(word):
    """A word as labels."""
    return [*(FIRST_LETTER + LETTERS.index(letter) for letter in word), EOS]


def pairs(draws):
    """All ten words, each said anew."""
    return [
        (features.cmvn(features.fbank(sound(word, draws), 16000, 20)), spelling(word))
        for word in WORDS
    ]


shape = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "conv_channels": 32,
    "input_feat_per_channel": 20,
}
shape |= {
    f"{side}_{what}": n
    for side in ("encoder", "decoder")
    for what, n in (("attention_heads", 2), ("ffn_dim", 64))
}
small = ModelConfig(vocab_size=FIRST_LETTER + len(LETTERS), **shape)
begin = build(initial_weights(small, seed=0), small, "noise")
learner = Learner.start(begin, small, Rates(), FROM_NOTHING.replace(lr=1e-2, warmup_updates=40))
draws, losses = np.random.default_rng(0), []
for update in range(240):
    found = learner.update([(make_batch(pairs(draws), small), np.random.default_rng(update))])
    losses.append(found.nll)
    if update % 40 == 39:
        print(f"update {update + 1}: loss {found.nll:.3f}, {100 * found.accuracy:.0f} % right")
show.lines([losses], "The loss per letter falls as it learns to listen", "update", "loss")


# %% [markdown]
# What has it learned? It spells by taking the likeliest letter, over and over, until the word
# ends.


# %%
def spell(x):
    """Greedy search: features (T, 20) -> a word."""
    word = []
    while len(word) < 8:
        labels = [*word, EOS]
        batch = make_batch([(x, labels)], small)
        kept = forward(learner.weights, small, batch, dropout=Dropout())[1]
        letter = int((kept.rows @ learner.weights.lm_head.weight.T)[-1].argmax())
        if letter == EOS:
            break
        word.append(letter)
    return "".join(LETTERS[i - FIRST_LETTER] if i >= FIRST_LETTER else "?" for i in word)


spelt = [spell(x) for x, _ in pairs(np.random.default_rng(99))]
print(*spelt)
assert spelt == list(WORDS)
said = np.concatenate([sound(word, np.random.default_rng(7)) for word in ("bad", "cab", "bee")])
heard_tones = features.fbank(said.astype(np.float32), 16000)
show.heat(
    heard_tones.T,
    "Three words of the language: bad, cab, bee",
    up="mel band",
    seconds=len(said) / 16000,
)
show.sound(said, "Three words of the language: bad, cab, bee")
