# %% [markdown]
# # Word times, by hand
#
# S2T writes a text without times. Yet while it writes a word it listens to the sound of that
# word, and its attention can be read. This walkthrough finds when each word begins and ends, to
# read next to `s2t_np/longform/word_times.py` and `dtw.py`. [From sound to
# text](sound_to_text.py) comes first.
#
# The answers to the exercises are in [answers.py](answers.py).
#
# Letters: T frames of 10 ms, S encoder positions of 40 ms, U tokens, W words, L layers, H
# heads.

# %%
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import s2t_np
from s2t_np import audio
from s2t_np import features as fbank
from s2t_np.longform import dtw, word_times

import hear
import show

RECORDING = Path(s2t_np.__file__).parent / "recordings" / "two-nine-three-four-zero.flac"


def close(a, b, tolerance=1e-4):
    """Whether two arrays are the same but for rounding."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, atol=tolerance, rtol=tolerance)


model = s2t_np.load("digits", backend="numpy")
samples = audio.load(RECORDING, 16000)
seconds = len(samples) / 16000
features = model.features(RECORDING)
memory = model.encode(features)
hypothesis = model.generate(features)[0]
print(model.tokenizer.decode(hypothesis.tokens))

# %% [markdown]
# ## 1. What every head looked at
#
# The finished text is given to the decoder once more, all at once (teacher forcing), and each
# head of each layer leaves its attention to the memory: for every token a row of shares over S
# positions that sum to one.

# %%
attention = word_times.cross_attention(model, memory, hypothesis.tokens)
L, H, U, S = attention.shape
assert len(hypothesis.tokens) - 1 == U and len(memory) == S
assert close(attention.sum(axis=-1), np.ones((L, H, U)))
print("attention", attention.shape)
show.grid(
    attention.reshape(L * H, U, S),
    [f"layer {i // H}, head {i % H}" for i in range(L * H)],
    "Attention to the sound, a row for each token: some heads walk along",
    "seconds",
    "tokens",
    seconds,
)

# %% [markdown]
# ## 2. Which heads to believe
#
# Speech goes forward, so a head that follows it does, too. How much of a head's attention lies
# on one path that never goes back, and gives every position to one token? The best such path is
# found by dynamic programming: the best sum up to position s in row u comes from the same row,
# or from a row above.


# %%
def highest_sum(weights):
    """The greatest sum on a path through (U, S) that never goes up: each column has one row."""
    best = np.zeros(len(weights))  # of paths that stand in each row so far
    for column in weights.T:
        best = np.maximum.accumulate(best) + column
    return best.max()


flat = attention.reshape(L * H, U, S)
monotone = np.array([highest_sum(head) / U for head in flat])
assert close(monotone, word_times.monotonicity(flat))
chosen = np.argsort(-monotone)[:4]
followed = flat[chosen].mean(axis=0)
assert close(followed, word_times.text_attention(attention))
for head in chosen:
    print(f"layer {head // H}, head {head % H}: {100 * monotone[head]:.0f} % on one path")
tokens = model.tokenizer.pieces(hypothesis.tokens[1:])
show.heat(
    followed, "The mean of the four heads that go forward most", seconds=seconds, ticks=tokens
)

# %% [markdown]
# **Exercise 1.** Dynamic programming is easy to get wrong, so hold it against something slow
# that is not. Write `slow_highest_sum(weights)`, which tries every path.


# %%
def check_slow_highest_sum(slow_highest_sum):
    """Exercise 1: on chance tables of up to 4 rows and 6 columns."""
    draws = np.random.default_rng(0)
    for rows, columns in ((1, 3), (2, 5), (3, 4), (4, 6)):
        weights = draws.random((rows, columns))
        assert close(slow_highest_sum(weights), dtw.highest_sum(weights))


# %% [markdown]
# ## 3. From positions to frames
#
# Each of the two convolutions is centred on every other row, so position s is centred on frame
# 4 s. Between positions the weight is interpolated. Measured where the true times are known,
# attention is 3 frames early: it is drawn to where a word begins to show. A word is the sum of
# its tokens; with this model each word is one token.

# %%
words = word_times.words_of(model.tokenizer, hypothesis.tokens[1:])
texts = [text for text, _ in words]
groups = [group for _, group in words]
pieces_of_words = [i for group in groups for i in group]
kept = attention[:, :, pieces_of_words]  # the end of the sentence has no place in the sound
T = len(features)
frames = np.arange(T) - word_times.ATTENTION_LEAD
mean = word_times.text_attention(kept)
looked = np.stack([np.interp(frames, 4 * np.arange(S), row) for row in mean]) / 4
theirs = word_times.word_attention(model, memory, hypothesis.tokens, groups, T)
assert close(looked, theirs)
show.heat(looked, "The attention of each word, frame by frame", seconds=seconds, ticks=texts)
middle = looked[1] / looked[1].max()
envelope = np.interp(np.arange(len(samples)), 160 * np.arange(T), middle)
show.sound(samples * envelope, f"The recording, as loud as it was looked at for {texts[1]!r}")

# %% [markdown]
# **Exercise 2.** A frame stands for the 10 ms in the middle of its 25 ms window. Write
# `seconds_of_position(s)`: the middle of what position s is centred on, in seconds.


# %%
def check_seconds_of_position(seconds_of_position):
    """Exercise 2: frame 4 s begins its 10 ms at `frame_times`."""
    for s in (0, 1, 10, 59):
        begin, following = word_times.frame_times(model, np.array([4 * s, 4 * s + 1]))
        assert close(seconds_of_position(s), (begin + following) / 2, 1e-9)


# %% [markdown]
# ## 4. Where there is speech
#
# Attention marks a word, but not its end. Loudness tells where a pause is: the mean of a
# frame's log-mel bands, with 0 for the background (what 10 % of the frames are below) and 1 for
# the level at which the words were looked at.

# %%
loudness = features.mean(axis=1)
floor = np.percentile(loudness, 10)
speech = (looked.sum(axis=0) * loudness).sum() / looked.sum()
relative = (loudness - floor) / (speech - floor)
assert close(relative, word_times.relative_loudness(features, looked), 1e-2)
above = relative - word_times.SPEECH_THRESHOLD
voiced = np.clip(np.where(above < 0, word_times.QUIET_WEIGHT * above, above), -1, 1)
show.lines(
    [relative, voiced],
    "How loud each frame is, and the reward for calling it speech",
    "seconds",
    "background 0, speech 1",
    np.arange(T) / 100,
    ("loudness", "reward"),
)
log_mel = fbank.fbank(samples, 16000)
quiet = np.where(voiced[:, None] > 0, log_mel, log_mel.min())
show.sound(hear.sound_of(quiet), "Only the frames that count as speech")

# %% [markdown]
# ## 5. Warping
#
# Now the frames are dealt out, in order, to pause, word, pause, word, ..., pause. A frame in a
# word earns the word's attention there and the reward of being loud, a frame in a pause the
# opposite reward. The best way to deal them out is dynamic time warping (Sakoe and Chiba,
# 1978): the table of best sums, and then the way back from its end.


# %%
def warp(rewards, least):
    """The first column of each row on the best path, and T: rewards (R, T), least (R,)."""
    R, T = rewards.shape
    sums = np.concatenate([np.zeros((R, 1)), rewards.cumsum(axis=1)], axis=1)
    best = np.full((R + 1, T + 1), -np.inf)  # the first r rows have the first t columns
    best[0, 0], came = 0, np.zeros((R + 1, T + 1), int)
    for r in range(R):
        for t in range(least[r], T + 1):
            options = best[r, : t - least[r] + 1] + sums[r, t] - sums[r, : t - least[r] + 1]
            came[r + 1, t] = options.argmax()
            best[r + 1, t] = options.max()
    path = [T]
    for r in range(R, 0, -1):
        path.append(int(came[r, path[-1]]))
    return np.array(path[::-1])


W = len(words)
rewards = np.empty((2 * W + 1, T))
rewards[0::2] = -voiced
rewards[1::2] = word_times.ATTENTION_WEIGHT * looked + voiced
least = np.ones(2 * W + 1, int)
least[[0, -1]] = 0  # the sound may begin and end with a word
path = warp(rewards, least)
assert (path == dtw.best_path(rewards, least)).all()
taken = np.zeros_like(rewards)
for row, (begin, following) in enumerate(pairwise(path)):
    taken[row, begin:following] = 1
rows = [text for pair in zip(["pause"] * W, texts, strict=True) for text in pair] + ["pause"]
show.heat(np.clip(rewards, -1, 2), "The rewards of each row", seconds=seconds, ticks=rows)
show.heat(taken, "The best path: which frames each row takes", seconds=seconds, ticks=rows)

# %% [markdown]
# **Exercise 3.** How many paths are there? Write `path_count(rows, columns)`, if every row
# takes at least one column.


# %%
def check_path_count(path_count):
    """Exercise 3: a path is where the rows change; here they are all counted."""
    for rows, columns in ((1, 5), (2, 5), (3, 7), (5, 6)):
        changes = sum(1 for _ in combinations(range(1, columns), rows - 1))
        assert path_count(rows, columns) == changes
    assert path_count(11, T) > 10**16


# %% [markdown]
# ## 6. Words with times
#
# Rows 1, 3, 5, ... are the words. Frames become seconds, and a word's probability is the
# geometric mean of its tokens'.

# %%
spans = word_times.frame_times(model, np.stack([path[1:-1:2], path[2:-1:2]], axis=1))
probabilities = [
    np.exp(np.mean([hypothesis.token_log_probs[i] for i in group])) for group in groups
]
theirs = word_times.align(model, features, memory, hypothesis)
assert [word.text for word in theirs] == texts
assert close(spans, [(word.start, word.end) for word in theirs])
assert close(probabilities, [word.probability for word in theirs])
for text, (begin, following), p in zip(texts, spans, probabilities, strict=True):
    print(f"{begin:5.2f} to {following:5.2f} s  {text:6} {p:.2f}")
marks = [(*span, text) for text, span in zip(texts, spans, strict=True)]
show.wave(samples, "The words where they were found", marks=marks)

# %% [markdown]
# Listen to it: the words cut out, with pauses between them, and once more from the last to the
# first.

# %%
cut = [samples[round(16000 * a) : round(16000 * b)] for a, b in spans]
pause = samples[-6400:]  # a stretch without a word
apart = np.concatenate([part for word in cut for part in (word, pause)])
backwards = np.concatenate([part for word in cut[::-1] for part in (word, pause)])
print("the model hears in it:", model.transcribe(apart, 16000).text)
show.sound(apart, "The five words, each cut out, with pauses between them")
show.sound(backwards, "The same words from the last to the first: zero four three nine two")

# %% [markdown]
# **Exercise 4.** Subtitles must not flicker: a word should stay for a while, and no two may
# overlap. Write `stretched(spans, shortest)`: the spans (W, 2), each prolonged at its end to
# `shortest` seconds, but never beyond the start of the next one.


# %%
def check_stretched(stretched):
    """Exercise 4."""
    for shortest in (0.0, 0.2, 0.5, 9.0):
        longer = np.asarray(stretched(spans, shortest))
        assert (longer[:, 0] == spans[:, 0]).all() and (longer[:, 1] >= spans[:, 1]).all()
        assert (longer[:-1, 1] <= longer[1:, 0]).all()
        enough = longer[:, 1] - longer[:, 0] >= shortest - 1e-9
        assert (enough[:-1] | (longer[:-1, 1] == longer[1:, 0])).all() and enough[-1]
