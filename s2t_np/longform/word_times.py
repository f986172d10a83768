"""Word times: attention shows where in the sound a word is, loudness shows where it begins and ends.

S2T has no time tokens, but while the decoder writes a word it attends to the sound of that word. The hypothesis is fed
back to the decoder (teacher forcing), the attention of some heads is read, and the words, with pauses between them, are
warped onto the frames. A frame inside a word is rewarded by the attention of the word's tokens there and by its
loudness, a frame in a pause by its quietness. At least one frame of pause lies between two words; in running speech it
falls on the quietest place. tools/word_times.py measures the error where the true times are known; its figures chose
the constants.

Alternatives that lost: attention alone (median error of a start 170 ms, since attention marks a word's onset and hardly
its end), loudness from the energy of the samples instead of the log-mel bands (fricatives are too quiet in it), a fixed
percentile as the level of speech (wrong where pauses fill most of the sound), and whisper's treatment of the weights,
standardisation over tokens and a median filter over time. W is the number of words.
"""

import math
from collections.abc import Sequence

import numpy as np

from ..decoder import decode_full
from ..features import frame_geometry
from ..search import Hypothesis
from .attention_weights import record_attention
from .dtw import best_path, highest_sum
from .segment import Word

WORD_START = "▁"  # sentencepiece's sign for the space before a word
HEADS = 4  # the number of heads used, the most monotone ones
ATTENTION_LEAD = 3  # frames by which attention precedes the sound (measured with the bundled model)
ATTENTION_WEIGHT = 20.0  # reward of a token's whole attention, in loud frames
FLOOR_PERCENTILE = 10  # percentile of the frames' loudness that counts as background
SPEECH_THRESHOLD = 0.2  # between background (0) and speech (1)
QUIET_WEIGHT = 5.0  # penalise quiet frames more, so words do not span pauses


def cross_attention(model, memory: np.ndarray, tokens) -> np.ndarray:
    """Attention of each head to the memory for each of tokens[1:]: memory (S, D), tokens (U+1,) -> (L, H, U, S)."""
    model, memory = model.leading(memory)
    weights: list[np.ndarray] = []
    ops = record_attention(model.backend.ops, weights)
    decode_full(ops, model.weights, model.config, np.asarray(tokens[:-1]), memory)
    return np.array(weights)


def monotonicity(attention: np.ndarray) -> np.ndarray:
    """The share of a head's attention that lies on one path forward through the sound: (..., U, S) -> (...), 0 to 1.

    It is taken on the best path that never goes back and gives each position to one token. A head that attends to
    everything spreads its weight off the path; one that always attends to the same place has it counted only once.
    """
    return highest_sum(attention) / attention.shape[-2]


def text_attention(attention: np.ndarray) -> np.ndarray:
    """The mean of the most monotone heads: (L, H, U, S) -> (U, S), rows sum to 1."""
    heads = attention.reshape(-1, *attention.shape[2:])
    return heads[np.argsort(-monotonicity(heads))[:HEADS]].mean(axis=0)


def group_words(pieces: list[str], special: list[bool]) -> list[list[int]]:
    """The pieces of each word, by index: "▁" at the start of a piece begins a word; special pieces belong to none."""
    words: list[list[int]] = []
    for i, piece in enumerate(pieces):
        if special[i]:
            continue
        if piece.startswith(WORD_START) or not words:
            words.append([])
        words[-1].append(i)
    return words


def words_of(tokenizer, tokens) -> list[tuple[str, list[int]]]:
    """The words of tokens (U,): the text of each word, and the indices of its tokens."""
    tokens = [int(token) for token in tokens]
    special = [token in tokenizer.special_ids for token in tokens]
    groups = group_words(tokenizer.pieces(tokens), special)
    texts = [tokenizer.decode([tokens[i] for i in group]) for group in groups]
    return [(text, group) for text, group in zip(texts, groups, strict=True) if text]


def on_frames(attention: np.ndarray, frames: int, stride: int) -> np.ndarray:
    """Weights at encoder positions -> at frames, ATTENTION_LEAD later, with the same sums: (W, S) -> (W, T).

    Position s is centred on frame s * stride, since each convolution is centred on every other row.
    """
    at, middles = np.arange(frames) - ATTENTION_LEAD, stride * np.arange(attention.shape[1])
    return np.stack([np.interp(at, middles, row) for row in attention]) / stride


def word_attention(model, memory: np.ndarray, tokens, groups: Sequence[list[int]], frames: int) -> np.ndarray:
    """The attention of each word to the T frames, summed over its tokens: (W, T). `groups` index tokens[1:]."""
    text = [i for group in groups for i in group]
    weights = text_attention(cross_attention(model, memory, tokens)[:, :, text])
    first = np.cumsum([0, *(len(group) for group in groups[:-1])])
    return on_frames(np.add.reduceat(weights, first, axis=0), frames, 2**model.config.num_conv_layers)


def background(features: np.ndarray) -> float:
    """The loudness of the background of features (T, M), without the frames that equal the one before.

    Such frames are gaps edited in: digital silence is far below any microphone's, and compared with it the real
    background would count as speech.
    """
    recorded = np.append(True, np.any(features[1:] != features[:-1], axis=1))
    return np.percentile(features[recorded].mean(axis=1), FLOOR_PERCENTILE)


def relative_loudness(features: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Loudness from background (0) to speech (1), the mean level under the words: (T, M) and (W, T) -> (T,)."""
    loudness, weights, floor = features.mean(axis=1), attention.sum(axis=0), background(features)
    speech = np.sum(weights * loudness) / max(weights.sum(), 1e-9)
    return (loudness - floor) / max(speech - floor, 1e-9)


def word_frames(attention: np.ndarray, loudness: np.ndarray) -> np.ndarray:
    """First frame of each word and the frame after its last: attention (W, T), relative loudness (T,) -> (W, 2) ints.

    The rows of the warping are pause, word, pause, ..., word, pause; the outer pauses may be empty.
    """
    words, frames = attention.shape
    above = loudness - SPEECH_THRESHOLD
    voiced = np.clip(np.where(above < 0, QUIET_WEIGHT * above, above), -1, 1)
    rewards = np.empty((2 * words + 1, frames))
    rewards[0::2], rewards[1::2] = -voiced, ATTENTION_WEIGHT * attention + voiced
    least = np.ones(2 * words + 1, int)
    least[[0, -1]] = 0
    path = best_path(rewards, least if least.sum() <= frames else np.zeros_like(least))
    return np.stack([path[1:-1:2], path[2:-1:2]], axis=1)


def frame_times(model, frames: np.ndarray) -> np.ndarray:
    """Seconds at which frames begin; a frame stands for the `hop` in the middle of its window: any shape."""
    rate = model.feature_config.sampling_rate
    window, hop, _ = frame_geometry(rate)
    return (frames * hop + (window - hop) / 2) / rate


def probability(hypothesis: Hypothesis, group: list[int]) -> float:
    """The geometric mean of a word's token probabilities; `group` indexes tokens[1:]. A prefix has probability 1."""
    given = len(hypothesis.tokens) - 1 - len(hypothesis.token_log_probs)
    log_probs = [hypothesis.token_log_probs[i - given] if i >= given else 0.0 for i in group]
    return math.exp(math.fsum(log_probs) / len(group))


def align(model, features: np.ndarray, memory: np.ndarray, hypothesis: Hypothesis) -> tuple[Word, ...]:
    """The words of a hypothesis with their times: features (T, M) and their memory (S, D) -> seconds from frame 0."""
    words = words_of(model.tokenizer, hypothesis.tokens[1:])
    if not words:
        return ()
    texts, groups = zip(*words, strict=True)
    attention = word_attention(model, memory, hypothesis.tokens, groups, len(features))
    times = frame_times(model, word_frames(attention, relative_loudness(features, attention))).tolist()
    probabilities = [probability(hypothesis, group) for group in groups]
    return tuple(Word(text, *span, p) for text, span, p in zip(texts, times, probabilities, strict=True))
