# %% [markdown]
# # From sound to text, by hand
#
# The whole of S2T in small steps, to read next to the code in `s2t_np/`. Every step says what
# it does in a line or two of numpy, and then asserts that the project's own function does the
# same. Run it as a script, cell by cell in an editor that knows `# %%`, or open
# `sound_to_text.ipynb`. It needs the package and the two helpers beside it, `show.py` and
# `hear.py`; with matplotlib (`pip install ".[plot]"`) it also draws.
#
# Three more walkthroughs follow: [search](search.py), [word times](word_times.py) and
# [learning](learning.py).
#
# Most chapters have an exercise: write a function and give it to the `check_...` function of
# that chapter. The answers are in [answers.py](answers.py). Every chapter ends in something to
# see or to hear.
#
# Letters for shapes, here as everywhere in the code: N samples, T frames, M mel bins, S encoder
# positions, U tokens, K beams, H heads, D model width, F feed-forward width, V vocabulary.

# %%
from pathlib import Path

import numpy as np
import s2t_np
from s2t_np import audio, decoder, encoder, features, layers, ops
from s2t_np.ops import numpy_ops

import hear
import show

RECORDING = Path(s2t_np.__file__).parent / "recordings" / "two-nine-three-four-zero.flac"


def close(a, b, tolerance=1e-5):
    """Whether two arrays are the same but for rounding."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, atol=tolerance, rtol=tolerance)


model = s2t_np.load("digits", backend="numpy")
config, weights = model.config, model.weights
print(f"D {config.d_model}, {config.encoder_layers} + {config.decoder_layers} layers")

# %% [markdown]
# ## 1. Sound
#
# `audio.load` reads a file, mixes its channels by their mean, resamples to the model's rate:
# numbers between -1 and 1, 16,000 of them for a second.

# %%
samples = audio.load(RECORDING, 16000)
print("samples", samples.shape, samples.dtype, f"{len(samples) / 16000:.2f} s")
assert np.abs(samples).max() <= 1
seconds = len(samples) / 16000
show.wave(samples, "The samples over time: five words in one breath")
show.sound(samples, "The recording: two nine three four zero")

# %% [markdown]
# ## 2. Frames
#
# A frame is 25 ms (400 samples); the next one begins 10 ms (160 samples) later. Only whole
# frames count. Kaldi, on whose features the model was trained, counts in 16-bit integers: hence
# the factor 2¹⁵.

# %%
T = 1 + (len(samples) - 400) // 160
frames = np.stack([samples[160 * t : 160 * t + 400] for t in range(T)]) * 2.0**15
assert close(frames, features.frames(samples, 400, 160) * 2.0**15)
print("frames", frames.shape)

# %% [markdown]
# Each frame loses its mean; high frequencies are lifted by subtracting most of the sample
# before (the first one stands for its own predecessor); the ends are faded out with the povey
# window, a Hann window to the power 0.85.

# %%
centred = frames - frames.mean(axis=1, keepdims=True)
before = np.concatenate([centred[:, :1], centred[:, :-1]], axis=1)
lifted = centred - 0.97 * before
window = np.hanning(400) ** 0.85
windowed = lifted * window
assert close(lifted, features.preemphasize(features.remove_dc(frames)))
assert close(window, features.povey_window(400))
middle = T // 2
show.lines(
    [frames[middle] - frames[middle].mean(), windowed[middle]],
    "One frame as it was, and lifted and windowed: the slow swing is gone, the ends fade out",
    "milliseconds",
    "amplitude",
    np.arange(400) / 16,
    ("as it was", "windowed"),
)
brighter = np.append(samples[0], samples[1:] - 0.97 * samples[:-1])
show.sound(
    0.5 * brighter / np.abs(brighter).max(), "The recording with its high frequencies lifted"
)

# %% [markdown]
# **Exercise 1.** How many frames does a recording of `n` samples have at `rate` Hz? Write
# `frame_count(n, rate)`. Mind recordings shorter than one window.


# %%
def check_frame_count(frame_count):
    """Exercise 1."""
    for n in (0, 399, 400, 559, 560, 16000, 160123):
        assert frame_count(n, 16000) == len(features.frames(np.zeros(n), 400, 160)), n
    assert frame_count(48000, 48000) == 98


# %% [markdown]
# ## 3. Energies
#
# The Fourier transform of a frame, padded to 512 samples, has 257 frequencies 31.25 Hz apart.
# Its squared size says how much of each there is. The Nyquist bin is left out: no mel filter
# reaches it.

# %%
spectrum = np.abs(np.fft.rfft(windowed, 512)[:, :256]) ** 2
assert close(spectrum, features.power_spectrum(windowed, 512), 1e-3 * spectrum.max() * 1e-6)
print("power spectrum", spectrum.shape)

# %% [markdown]
# 80 triangular filters from 20 Hz to 8000 Hz, equally spaced in mel, sum the energies up. Their
# feet stand on the centres of their neighbours. The logarithm follows, with a floor for
# silence.


# %%
def mel(hertz):
    """Kaldi's mel scale."""
    return 1127 * np.log(1 + hertz / 700)


corners = np.linspace(mel(20), mel(8000), 82)
bins = mel(np.arange(256) * 31.25)
bank = np.zeros((256, 80))
for m in range(80):
    left, centre, right = corners[m : m + 3]
    bank[:, m] = np.clip(
        np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)), 0, None
    )
assert close(bank, features.mel_bank(16000, 80))
log_mel = np.log(np.maximum(spectrum @ bank, 2.0**-23))
assert close(log_mel, features.fbank(samples, 16000))
show.heat(
    log_mel.T,
    "Log-mel energies: words as bright columns, vowels as bands across",
    up="mel band",
    seconds=seconds,
)

# %% [markdown]
# Every bin gets mean 0 and variance 1 over the utterance, so that it matters neither how loud
# the recording is nor how its microphone colours it. This is what the network reads.

# %%
x = log_mel - log_mel.mean(axis=0)
x = (x / np.sqrt(np.maximum((x**2).mean(axis=0), 1e-10))).astype(np.float32)
assert close(x, model.features(RECORDING), 1e-4)
print("features", x.shape)
show.heat(x.T, "Normalised features, which the network reads", up="mel band", seconds=seconds)

# %% [markdown]
# How much of the sound is left in 80 numbers every 10 ms? `hear.sound_of` makes samples of
# log-mel energies again: it spreads each band over its frequencies and guesses the phases,
# which are gone. The voice is coarser, and the words are all there; the model hears the same
# words in it.

# %%
again = hear.sound_of(log_mel).astype(np.float32)
assert model.transcribe(again, 16000).text == model.transcribe(RECORDING).text
show.sound(again, "The log-mel energies made audible: what the features kept of the recording")

# %% [markdown]
# **Exercise 2.** A recording twice as loud gives the same features. Show it: write
# `loudness_change(samples, factor)`, the greatest difference that the factor makes to the
# normalised features. (Why is it not exactly 0, and what happens with a factor of 10⁻⁶? The
# floor of the logarithm.)


# %%
def check_loudness_change(loudness_change):
    """Exercise 2."""
    assert loudness_change(samples, 1.0) == 0
    assert 0 < loudness_change(samples, 0.3) < 0.05
    assert loudness_change(samples, 1e-6) > 0.5


# %% [markdown]
# ## 4. Four frames into one
#
# A convolution looks at five frames at a time and moves on by two: tap k meets every second
# frame from the k-th on, so it is five matrix products. Of its channels one half says how much
# of the other half passes (a gated linear unit).


# %%
def convolve(x, w):
    """Stride 2, two zeros on both sides: (T, I) -> ((T-1)//2 + 1, O)."""
    length = (len(x) - 1) // 2 + 1
    padded = np.pad(x, ((2, 2), (0, 0)))
    return w.bias + sum(
        padded[k : k + 2 * length - 1 : 2] @ w.weight[:, :, k].T for k in range(5)
    )


def gate(x):
    """a * sigmoid(b), where x = [a | b]."""
    a, b = np.split(x, 2, axis=1)
    return a / (1 + np.exp(-b))


for conv in weights.encoder.conv.conv_layers:
    assert close(gate(convolve(x, conv)), ops.conv1d_glu(x, conv))
    x = gate(convolve(x, conv))
    print("after a convolution", x.shape)
assert len(x) == layers.subsampled_length(T)
largest = np.abs(x).max(axis=0)
show.heat(
    (x / largest).T,
    "After both convolutions, each channel by its largest value",
    up="channel",
    seconds=seconds,
)

# %% [markdown]
# A row now stands for 40 ms. To hear how coarse that is, here is the mean of every four frames,
# held for 40 ms.

# %%
fours = log_mel[: len(log_mel) // 4 * 4].reshape(-1, 4, 80).mean(axis=1)
show.sound(
    hear.sound_of(fours.repeat(4, axis=0)),
    "Energies of which only the mean of every 40 ms is left",
)

# %% [markdown]
# **Exercise 3.** How many milliseconds of sound can one row see after both convolutions? Write
# `receptive_field(kernel, stride, convolutions)`, in frames.


# %%
def check_receptive_field(receptive_field):
    """Exercise 3: nudge one frame after the other, and see which reach the middle row."""
    assert receptive_field(5, 2, 1) == 5
    quiet = np.zeros((81, config.input_feat_per_channel), np.float32)
    row = layers.subsample(numpy_ops, weights.encoder.conv, quiet)[10]
    seen = 0
    for t in range(81):
        nudged = quiet.copy()
        nudged[t] = 1
        seen += not np.array_equal(
            layers.subsample(numpy_ops, weights.encoder.conv, nudged)[10], row
        )
    assert receptive_field(5, 2, 2) == seen


# %% [markdown]
# ## 5. Where in time
#
# Attention does not know what comes before what, so every row gets the sines and cosines of its
# position added: slow ones and fast ones, first all sines, then all cosines. Positions count
# from 2 (fairseq keeps 1 for padding). The rows are first scaled by the root of D, to be of the
# size of what is added.

# %%
S, D = x.shape
frequency = np.exp(-np.log(10000) / (D // 2 - 1) * np.arange(D // 2))
angle = (2 + np.arange(S))[:, None] * frequency
position = np.concatenate([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32)
assert close(position, layers.positions(0, S, config, np.float32))
x = x * np.float32(D**0.5) + position
assert close(
    x,
    encoder.embed_features(numpy_ops, weights.encoder, config, model.features(RECORDING)),
    1e-3,
)
show.heat(
    position.T,
    "Positions: sines in the lower half, cosines in the upper, ever slower",
    up="feature",
    seconds=seconds,
)

# %% [markdown]
# ## 6. Attention
#
# First the row is normalised: mean 0, variance 1, then a gain and an offset for each feature.


# %%
def normalise(x, w):
    """Layer normalisation of each row."""
    centred = x - x.mean(axis=-1, keepdims=True)
    return (
        centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5) * w.weight + w.bias
    )


def linear(x, w):
    """x W^T + b."""
    return x @ w.weight.T + w.bias


first = weights.encoder.layers[0]
h = normalise(x, first.self_attn_layer_norm)
assert close(h, ops.layer_norm(x, first.self_attn_layer_norm), 1e-4)

# %% [markdown]
# Every position asks a question (query); every position has something to be found by (key) and
# something to give (value). The heads do this side by side, each in its own part of the
# features. The more a key fits the query, the larger the share of its value: softmax makes
# shares out of the products.


# %%
def softmax(x):
    """Shares that sum to one."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attend(q, k, v, heads):
    """Attention head by head: (Q, D), (S, D), (S, D) -> (Q, D); also the shares (H, Q, S)."""
    parts, shares = [], []
    for Q, K, W in zip(*(np.split(a, heads, axis=1) for a in (q, k, v)), strict=True):
        shares.append(softmax(Q @ K.T / np.sqrt(Q.shape[1])))
        parts.append(shares[-1] @ W)
    return np.concatenate(parts, axis=1), np.stack(shares)


H = config.encoder_attention_heads
q, k, v = (
    linear(h, w)
    for w in (first.self_attn.q_proj, first.self_attn.k_proj, first.self_attn.v_proj)
)
mixed, shares = attend(q, k, v, H)
assert close(mixed, ops.attention(q / np.float32((D // H) ** 0.5), k, v, H), 1e-4)
assert close(shares.sum(axis=-1), np.ones((H, S)))
show.grid(
    shares,
    [f"head {head}" for head in range(H)],
    "Each head's shares in the first layer: who looks at whom",
    "seconds looked at",
    "seconds looking",
    seconds,
)

# %% [markdown]
# What comes out is projected once more and added to the stream. Then every row by itself goes
# through two matrices with a ReLU between them. Both parts add to what was there; neither
# replaces it.


# %%
def encoder_layer(x, w):
    """Look around, then think."""
    h = normalise(x, w.self_attn_layer_norm)
    q, k, v = (
        linear(h, p) for p in (w.self_attn.q_proj, w.self_attn.k_proj, w.self_attn.v_proj)
    )
    x = x + linear(attend(q, k, v, H)[0], w.self_attn.out_proj)
    h = normalise(x, w.final_layer_norm)
    return x + linear(np.maximum(linear(h, w.fc1), 0), w.fc2)


assert close(encoder_layer(x, first), encoder.encoder_layer(numpy_ops, first, config, x), 1e-3)

# %% [markdown]
# All layers and a last normalisation make the memory: a row for every 40 ms, all that the
# decoder will know of the sound.

# %%
memory = x
for layer in weights.encoder.layers:
    memory = encoder_layer(memory, layer)
memory = normalise(memory, weights.encoder.layer_norm)
assert close(memory, model.encode(model.features(RECORDING)), 1e-3)
print("memory", memory.shape)
scaled = (memory - memory.mean(axis=0)) / memory.std(axis=0)
show.heat(
    scaled.T,
    "The memory, each feature with mean 0 and variance 1",
    up="feature",
    seconds=seconds,
)

# %% [markdown]
# **Exercise 4.** Without positions attention could not tell one order from another: permute the
# rows that go into a layer, and the rows that come out are permuted likewise. Write
# `permuted_difference(layer, x, order)`, the greatest difference between the two ways, where
# `layer` is a function from rows to rows.


# %%
def check_permuted_difference(permuted_difference):
    """Exercise 4."""
    order = np.random.default_rng(0).permutation(S)
    assert permuted_difference(lambda rows: encoder_layer(rows, first), x, order) < 1e-3
    assert permuted_difference(lambda rows: np.cumsum(rows, axis=0), x, order) > 1


# %% [markdown]
# ## 7. The decoder
#
# The text is written token by token. A decoder layer is an encoder layer with one more part
# between: it looks back at the tokens so far (never ahead), then at the memory, then thinks.
# For a text that is known the whole of it goes through at once; a mask keeps each token from
# seeing later ones.


# %%
def attend_back(q, k, v, heads):
    """Attention in which row i sees rows 0 .. i only."""
    future = np.triu(np.full((len(q), len(q)), -np.inf, np.float32), 1)
    parts = []
    for Q, K, W in zip(*(np.split(a, heads, axis=1) for a in (q, k, v)), strict=True):
        parts.append(softmax(Q @ K.T / np.sqrt(Q.shape[1]) + future) @ W)
    return np.concatenate(parts, axis=1)


def decoder_layer(x, w, memory):
    """Look at the text so far, look at the sound, think."""
    h = normalise(x, w.self_attn_layer_norm)
    q, k, v = (
        linear(h, p) for p in (w.self_attn.q_proj, w.self_attn.k_proj, w.self_attn.v_proj)
    )
    x = x + linear(attend_back(q, k, v, H), w.self_attn.out_proj)
    h = normalise(x, w.encoder_attn_layer_norm)
    q, k, v = (
        linear(*pair)
        for pair in (
            (h, w.encoder_attn.q_proj),
            (memory, w.encoder_attn.k_proj),
            (memory, w.encoder_attn.v_proj),
        )
    )
    x = x + linear(attend(q, k, v, H)[0], w.encoder_attn.out_proj)
    h = normalise(x, w.final_layer_norm)
    return x + linear(np.maximum(linear(h, w.fc1), 0), w.fc2)


def stream(tokens):
    """What enters the first layer, the tokens' rows and positions: (U,) -> (U, D)."""
    u = np.arange(len(tokens))[:, None] + 2
    position = np.concatenate([np.sin(u * frequency), np.cos(u * frequency)], axis=1)
    return weights.decoder.embed_tokens.weight[tokens] * np.float32(D**0.5) + position.astype(
        np.float32
    )


def logits_of(tokens, memory):
    """For every token, how much the model would like each piece next: (U,) -> (U, V)."""
    x = stream(tokens)
    for layer in weights.decoder.layers:
        x = decoder_layer(x, layer, memory)
    return normalise(x, weights.decoder.layer_norm) @ weights.lm_head.weight.T


start = config.decoder_start_token_id
tokens = np.array([start, *model.tokenizer.encode("two nine")[:-1]])
logits = logits_of(tokens, memory)
assert close(logits, decoder.decode_full(numpy_ops, weights, config, tokens, memory), 1e-3)
for token, row in zip(tokens, logits, strict=True):
    likeliest = int(row.argmax())
    before, after = model.tokenizer.pieces([token, likeliest])
    print(f"after {before:8} {after:8} {softmax(row).max():.2f}")

# %% [markdown]
# While writing, all rows but the last were computed before. What they left, their keys and
# values, is kept in a cache, and a step computes one row only. It gives the same logits.

# %%
cache = decoder.start_cache(numpy_ops, weights, config, memory, beams=1)
for i, token in enumerate(tokens):
    step = decoder.decoder_step(numpy_ops, weights, config, np.array([token]), cache)
    assert close(step[0], logits[i], 1e-3)

# %% [markdown]
# **Exercise 5.** The mask must hide the future and nothing else: changing a later token must
# not change an earlier row. Write `earliest_change(logits_of, tokens, place, other)`: put the
# token `other` at `place` and return the first row of the logits that moves.


# %%
def check_earliest_change(earliest_change):
    """Exercise 5."""
    text = np.array([start, *model.tokenizer.encode("two nine three four")[:-1]])
    for place in (1, 2, 4):
        assert (
            earliest_change(lambda tokens: logits_of(tokens, memory), text, place, 20) == place
        )


# %% [markdown]
# What does it listen to while it writes? Here are the shares of the last layer's look at the
# sound, the mean of its heads.


# %%
def looks(tokens, memory):
    """The last layer's shares for each token: (U,) -> (U, S)."""
    last, before = weights.decoder.layers[-1], weights.decoder.layers[:-1]
    x = stream(tokens)
    for layer in before:
        x = decoder_layer(x, layer, memory)
    q, k, v = (linear(normalise(x, last.self_attn_layer_norm), p) for p in last.self_attn[:3])
    x = x + linear(attend_back(q, k, v, H), last.self_attn.out_proj)
    q = linear(normalise(x, last.encoder_attn_layer_norm), last.encoder_attn.q_proj)
    k = linear(memory, last.encoder_attn.k_proj)
    return attend(q, k, k, H)[1].mean(axis=0)


heard = model.tokenizer.encode("two nine three four zero")
shares = looks(np.array([start, *heard[:-1]]), memory)
show.heat(
    shares,
    "Where the decoder listens while it writes each token",
    seconds=seconds,
    ticks=model.tokenizer.pieces(heard),
)
loudness = np.interp(
    np.arange(len(samples)) / 16000, 0.04 * np.arange(S), shares[1] / shares[1].max()
)
show.sound(
    samples * loudness,
    "What it listened to while it wrote 'nine': the recording, as loud as it was looked at",
)

# %% [markdown]
# ## 8. Text
#
# The greedy way to a text: take the likeliest token, until it is the end of the sentence.
# Better ways are the subject of [search](search.py).

# %%
text = [start]
while len(text) < 2 or text[-1] != config.eos_token_id:
    text.append(int(logits_of(np.array(text), memory)[-1].argmax()))
greedy = model.generate(model.features(RECORDING), num_beams=1)[0]
assert tuple(text) == greedy.tokens

# %% [markdown]
# Tokens are pieces of words; the mark ▁ stands for the space before a word. That is all of it:
# what `model.transcribe` does is what you have just done.

# %%
pieces = model.tokenizer.pieces(text)
written = "".join(pieces).replace("</s>", "").replace("▁", " ").strip()
assert written == model.tokenizer.decode(text) == model.transcribe(RECORDING).text
shown = [
    i
    for i, piece in enumerate(model.tokenizer.pieces(range(len(logits[0]))))
    if piece[0] == "▁"
]
print(written)
likely = softmax(logits_of(np.array(text[:-1]), memory))[:, [*shown, config.eos_token_id]]
show.heat(
    likely.T,
    "The probability of each word, and of the end, before each token is written",
    ticks=model.tokenizer.pieces([*shown, config.eos_token_id]),
    words=pieces[1:],
)

# %% [markdown]
# **Exercise 6.** Write `probability_of(logits, tokens)`: the probability of a whole text, if
# `logits` (U, V) are those before each of its `tokens` (U,).


# %%
def check_probability_of(probability_of):
    """Exercise 6."""
    found = probability_of(logits_of(np.array(text[:-1]), memory), np.array(text[1:]))
    assert close(np.log(found), greedy.log_prob, 1e-3)
    even = np.zeros((3, 4))
    assert close(probability_of(even, np.array([0, 3, 1])), 1 / 64)
