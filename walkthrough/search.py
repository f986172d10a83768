# %% [markdown]
# # Search, by hand
#
# The model gives a probability to every next token. Which text to write is another question,
# and search answers it. This walkthrough builds greedy search and beam search in plain Python,
# to read next to `s2t_np/search/`, and asserts that the project's own search finds the same.
# [From sound to text](sound_to_text.py) comes first.
#
# The answers to the exercises are in [answers.py](answers.py).
#
# Letters: K beams, U tokens of a text so far, V vocabulary.

# %%
from pathlib import Path

import numpy as np
import s2t_np
from s2t_np import audio
from s2t_np.config import GenerationConfig
from s2t_np.inspect.trace import trace
from s2t_np.search import beam, port

import show

RECORDINGS = Path(s2t_np.__file__).parent / "recordings"


def close(a, b, tolerance=1e-4):
    """Whether two arrays are the same but for rounding."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, atol=tolerance, rtol=tolerance)


model = s2t_np.load("digits", backend="numpy")
start, end = model.config.decoder_start_token_id, model.config.eos_token_id

# %% [markdown]
# ## 1. The probability of a text
#
# On a clear recording every token is certain, and there is nothing to search. So here is noise
# three times as strong as the voice. It says "zero one four two".

# %%
clean = audio.load(RECORDINGS / "synthetic-zero-one-four-two.flac", 16000)
noise = np.random.default_rng(15).standard_normal(len(clean))
noisy = clean + noise * np.sqrt(3.0 * (clean**2).mean())
noisy = (0.9 * noisy / np.abs(noisy).max()).astype(np.float32)
features = model.features_of_samples(noisy)
memory = model.encode(features)

# %% [markdown]
# The probability of a text is the product of its tokens' probabilities, each given the tokens
# before. Products of many small numbers become too small for a computer, so their logarithms
# are added instead.


# %%
def log_softmax(x):
    """Logarithms of the probabilities: (..., V) -> (..., V)."""
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def next_log_probs(tokens):
    """The log-probability of every next token after `tokens`, a tuple: (V,)."""
    return log_softmax(model.logits(memory, np.array(tokens))[-1])


def log_prob(text):
    """The log-probability of a whole text, its end included."""
    tokens = (start, *model.tokenizer.encode(text))
    return sum(next_log_probs(tokens[:u])[tokens[u]] for u in range(1, len(tokens)))


for text in ("zero one four two", "zero one four eight", "zero one four six", ""):
    print(f"{text or '(empty)':22} log p {log_prob(text):.2f}, p {np.exp(log_prob(text)):.3f}")
score = model.score(noisy, "zero one four two", 16000)
assert close(log_prob("zero one four two"), score.log_prob)
show.wave(noisy, "The noise hides the words from the eye")
show.sound(noisy, "Noise three times as strong as the voice that says 'zero one four two'")

# %% [markdown]
# ## 2. Greedy search
#
# Take the likeliest token, and again, until it is the end. This costs one step of the decoder
# for each token.


# %%
def greedy(next_log_probs):
    """The tokens of greedy search, and the sum of their log-probabilities."""
    tokens, total = (start,), 0.0
    while len(tokens) == 1 or tokens[-1] != end:
        log_probs = next_log_probs(tokens)
        token = int(log_probs.argmax())
        tokens, total = (*tokens, token), total + float(log_probs[token])
    return tokens, total


path, alone = greedy(next_log_probs)
theirs = model.generate(features, num_beams=1)[0]
assert path == theirs.tokens and close(alone, theirs.log_prob)
print(model.tokenizer.decode(path), f"{alone:.2f}")

# %% [markdown]
# It writes "eight" for "two". After "zero one four" an "eight" is a little likelier than a
# "two", but that the text ends there is less certain, so that the whole text is less likely
# than the one with "two". Greedy search cannot take a token back.

# %%
pieces = model.tokenizer.pieces(range(len(next_log_probs((start,)))))
words = [i for i, piece in enumerate(pieces) if piece[0] == "▁" and len(piece) > 1] + [end]
steps = np.array([np.exp(next_log_probs(path[:u])) for u in range(1, len(path))])
assert steps[3].max() < 0.5 < steps[0].max()
show.heat(
    steps[:, words].T,
    "Probabilities along the greedy path: unsure at the fourth word",
    ticks=[pieces[i] for i in words],
    words=[pieces[i] for i in path[1:]],
)

# %% [markdown]
# **Exercise 1.** Build a world where greedy search misses the likeliest text: write `trap()`,
# which returns a function `next_log_probs(tokens) -> (3,)` over the tokens 0, 1 and 2 (2 starts
# and ends a text) such that two beams find a likelier text than one. (The check is below beam
# search, in the next chapter.)
#
# ## 3. Beam search, step by step
#
# Follow K beginnings at once. A step extends each by every token and ranks the K × V results by
# their sums. Of the best 2K, those that end, if they are among the first K, are set aside as
# finished; the best K of the others run on.


# %%
def extended(beams, next_log_probs, K):
    """The 2K best continuations of beams, a list of (tokens, sum), as (tokens, sum, parent)."""
    options = []
    for parent, (tokens, total) in enumerate(beams):
        log_probs = next_log_probs(tokens)
        likeliest = np.argsort(-log_probs, kind="stable")[: 2 * K]
        options += [((*tokens, int(t)), total + float(log_probs[t]), parent) for t in likeliest]
    return sorted(options, key=lambda option: -option[1])[: 2 * K]


def one_step(beams, finished, options, K):
    """What becomes of the continuations: the beams that run on, and the finished ones."""
    ends = [(tokens, total) for tokens, total, _ in options[:K] if tokens[-1] == end]
    running = [(tokens, total) for tokens, total, _ in options if tokens[-1] != end]
    return running[:K], finished + ends


K = 3
beams, finished, history = [((start,), 0.0)], [], []
while len(finished) < K:
    options = extended(beams, next_log_probs, K)
    before, (beams, finished) = beams, one_step(beams, finished, options, K)
    history.append((options, beams, finished))
    print(f"step {len(history)}")
    for tokens, total, _ in options:
        alive = (tokens, total) in beams
        fate = "runs on" if alive else "finished" if (tokens, total) in finished else "dropped"
        text = model.tokenizer.decode(tokens) + "." * (tokens[-1] == end)
        print(f"  {total:6.2f}  {fate:8}  {text}")

# %% [markdown]
# The project's own search considers the same continuations, in the same order.

# %%
seen = trace(model, noisy, sampling_rate=16000, num_beams=K, early_stopping=True)
steps = {c.step for c in seen.tree.candidates}
assert len(steps) == len(history)
for (considered, _, _), step in zip(history, sorted(steps), strict=True):
    theirs = [c for c in seen.tree.candidates if c.step == step and c.score > -np.inf]
    assert [t[-1] for t, _, _ in considered] == [c.token for c in theirs]
    assert close([total for _, total, _ in considered], [c.score for c in theirs])


# %% [markdown]
# Here it is as a tree. Each column is a step, the likeliest continuation on top. The text that
# wins was second for a while: with one beam it would have been lost.


# %%
def nodes_of(history, best):
    """The nodes of the picture: every continuation, tied to the beam that it continues."""
    nodes, places = [show.Node(0, 0, None, "start", "best")], {(start,): 0}
    for step, (considered, running, finished) in enumerate(history, 1):
        fates = {tokens: "runs on" for tokens, _ in running}
        fates |= {tokens: "ended" for tokens, _ in finished}
        for place, (tokens, total, _) in enumerate(considered):
            fate = "best" if best[: len(tokens)] == tokens else fates.get(tokens, "pruned")
            word = "end" if tokens[-1] == end else pieces[tokens[-1]].replace("▁", "")
            parent = places[tokens[:-1]]
            nodes.append(show.Node(step, place, parent, f"{word} {total:.2f}", fate))
        places = {tokens: place for place, (tokens, _, _) in enumerate(considered)}
    return nodes


def normalised(text, penalty=1.0):
    """The score of a finished text (tokens, sum): the sum by length ** penalty."""
    tokens, total = text
    return total / (len(tokens) - 1) ** penalty


best = max(finished, key=normalised)
found = model.generate(features, num_beams=K, early_stopping=True)[0]
assert best[0] == found.tokens and close(normalised(best), found.score)
print("greedy", model.tokenizer.decode(path), f"{alone:.2f}")
print("beams ", model.tokenizer.decode(best[0]), f"{best[1]:.2f}")
show.tree(nodes_of(history, best[0]), "A search with 3 beams: each word with its sum")


# %%
def beam_search(next_log_probs, K):
    """All of it: the K finished texts as (tokens, sum), best first."""
    beams, finished = [((start,), 0.0)], []
    while len(finished) < K:
        beams, finished = one_step(beams, finished, extended(beams, next_log_probs, K), K)
    return sorted(finished, key=normalised, reverse=True)[:K]


def check_trap(trap):
    """Exercise 1. Likelier is meant of the sum of log-probabilities."""
    world = trap()
    (_, alone), *_ = beam_search(world, 1)
    assert max(total for _, total in beam_search(world, 2)) > alone + 0.1


# %% [markdown]
# ## 4. Long and short texts
#
# Every token costs some probability, so among finished texts the sum prefers short ones, here
# even the empty one. It is divided by the number of tokens to the power of the length penalty:
# 0 compares sums, 1 compares means (the default), more prefers long texts.

# %%
penalties = (0.0, 1.0, 2.0)
for tokens, total in sorted(finished, key=normalised, reverse=True):
    scores = "  ".join(f"{normalised((tokens, total), penalty):7.3f}" for penalty in penalties)
    text = model.tokenizer.decode(tokens) or "(empty)"
    print(f"{total:6.2f} over {len(tokens) - 1} tokens:  {scores}  {text}")
for penalty in penalties:
    ours = max(finished, key=lambda text: normalised(text, penalty))
    asked = {"num_beams": K, "early_stopping": True, "length_penalty": penalty}
    theirs = model.generate(features, **asked)[0]
    assert ours[0] == theirs.tokens and close(normalised(ours, penalty), theirs.score)

# %% [markdown]
# The names are misleading in two ways: a higher "penalty" prefers longer texts, since
# log-probabilities are negative; and it acts only among the finished, since all beams of a step
# are equally long.
#
# **Exercise 2.** At which penalty do two texts change places? Write `crossing(sum_1, length_1,
# sum_2, length_2)`: the penalty at which both have the same score.


# %%
def check_crossing(crossing):
    """Exercise 2."""
    first, *_, empty = sorted(finished, key=normalised, reverse=True)
    lengths = [len(tokens) - 1 for tokens, _ in (first, empty)]
    penalty = crossing(first[1], lengths[0], empty[1], lengths[1])
    assert close(normalised(first, penalty), normalised(empty, penalty))
    assert 0 < penalty < 1


grid = np.linspace(0, 2.5, 60)
table = np.array([[normalised(text, penalty) for penalty in grid] for text in finished])
show.lines(
    table.max(axis=0) / table,
    "The winner's score by each text's own: the curve at 1 wins, and the lead changes at 0.16",
    "length penalty",
    "share",
    grid,
    [model.tokenizer.decode(tokens) or "(empty)" for tokens, _ in finished],
)

# %% [markdown]
# ## 5. When to stop
#
# K texts have finished. May one that still runs become better than the worst of them? Its sum
# can only fall, but it is divided by a length that grows. `early_stopping` says how much hope
# to give it: `True` none at all, `False` (the default of transformers) its score at its length
# now, `"never"` the score that it would have at the greatest length, `max_length`, if it lost
# nothing on the way.

# %%
for K in (2, 3):
    for mode in (True, False, "never"):
        asked = {"num_beams": K, "num_return_sequences": K, "early_stopping": mode}
        found = model.generate(features, **asked)
        texts = ", ".join(f"'{model.tokenizer.decode(h.tokens)}' {h.score:.3f}" for h in found)
        print(f"{K} beams, {mode!s:5}: {texts}")

# %% [markdown]
# With three beams, `True` stops when three texts have ended, one of which is the empty one. The
# others see that a running beam has a better mean than that, go on, and find a text that has.
#
# **Exercise 3.** Write `is_over(running, length, worst, mode, penalty, most)`: whether a search
# with K finished texts may stop. `running` is the sum of the best running beam, `length` the
# number of its tokens, `worst` the score of the worst finished text, `most` the greatest
# length.


# %%
def check_is_over(is_over):
    """Exercise 3: as s2t_np/search/beam.py decides, on 300 chance cases."""
    draws = np.random.default_rng(0)
    for _ in range(300):
        running, worst = -10 * draws.random(), -2 * draws.random()
        length, mode = int(draws.integers(1, 20)), [True, False, "never"][draws.integers(3)]
        penalty = float(draws.choice([0.0, 0.5, 1.0, 2.0, -1.0]))
        options = GenerationConfig(
            num_beams=1, early_stopping=mode, length_penalty=penalty, max_length=41
        )
        kept = beam.first_beams([start] * (length + 1), 1)
        kept = kept._replace(scores=np.float32([running]))
        finished = [port.Hypothesis((start, end), (worst,), worst, True)]
        theirs = beam.is_over(kept, finished, 1, options)
        assert is_over(running, length, worst, mode, penalty, 40) == theirs


sums = [running[0][1] for _, running, _ in history]
now = [total / u for u, total in enumerate(sums, 1)]
hope = [total / (model.generation_config.max_length - 1) for total in sums]
show.lines(
    [sums, now, hope],
    "The best running beam after each step, with more and more hope",
    "step",
    "score",
    range(1, len(sums) + 1),
    ("its sum", "by its length", "by max_length"),
)

# %% [markdown]
# ## 6. Ties
#
# Of two equal scores one must go first, on every machine and every day. Here the lower beam
# goes first, and then the lower token; a sort that is not stable would leave it to chance. Two
# pieces that sound alike are a tie in earnest when a checkpoint has copied rows in its table of
# tokens.

# %%
level = np.log(np.float32([[0.25, 0.5, 0.25, 0.0001], [0.5, 0.25, 0.25, 0.0001]]))
ours = sorted(np.ndindex(*level.shape), key=lambda place: (-level[place], place))[:5]
theirs = port.ranked(level, level, 5)
assert ours == [*zip(theirs.parents, theirs.tokens, strict=True)]
order = np.full(level.shape, np.nan)
for rank, place in enumerate(ours, 1):
    order[place] = rank
print("the order of (beam, token):", *((int(beam), int(token)) for beam, token in ours))
show.heat(
    np.nan_to_num(order, nan=6.0),
    "The order in which tokens are taken: 1 first, 6 left over",
    ticks=("beam 0", "beam 1"),
    words=[f"token {token}" for token in range(4)],
)

# %% [markdown]
# **Exercise 4.** Write `best_places(scores, count)`: the (beam, token) of the `count` highest
# scores (K, V), with ties in this order, and without sorting by a pair.


# %%
def check_best_places(best_places):
    """Exercise 4: on tables full of ties."""
    draws = np.random.default_rng(1)
    for _ in range(50):
        scores = draws.integers(0, 4, (3, 7)).astype(np.float32)
        theirs = port.ranked(scores, scores, 6)
        expected = [*zip(theirs.parents.tolist(), theirs.tokens.tolist(), strict=True)]
        assert [tuple(map(int, place)) for place in best_places(scores, 6)] == expected


# %% [markdown]
# ## 7. How many beams
#
# More beams compare more texts, and cost more: each step computes K rows. On clear speech one
# beam is enough, and here two are. Likelier is not always better: the likeliest text of all is
# the empty one, which three beams find, too, but what was said has the best mean.

# %%
counts = (1, 2, 3, 5, 8)
found = [model.generate(features, num_beams=K)[0] for K in counts]
for K, hypothesis in zip(counts, found, strict=True):
    text = model.tokenizer.decode(hypothesis.tokens) or "(empty)"
    print(f"{K} beams: {hypothesis.log_prob:6.2f}  {text}")
assert found[0].log_prob < found[1].log_prob < log_prob("")
said = log_prob("zero one four two")
show.bars(
    [*(h.log_prob for h in found), said],
    [*map(str, counts), "what was said"],
    "The text that 1 to 8 beams find, and the true one",
    "log-probability",
)
show.sound(clean, "What was said, without the noise: zero one four two")
