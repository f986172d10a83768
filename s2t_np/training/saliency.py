"""Which sound mattered to a text: the gradient of the text's loss by the features that the encoder reads.

Where it is large, a small change of the sound would make the text more or less likely (Simonyan et al. 2014,
arXiv 1312.6034). It is the derivative of training, followed one step further than the first convolution.
"""

from collections.abc import Callable, Sequence

import numpy as np

from .. import arguments
from ..errors import ModelError, OptionError
from ..model import S2T
from ..search import Hypothesis
from .derivatives.network import backward, forward, make_batch

MOST_WORK = 40_000  # words times frames: 40 words in ten seconds, about a minute for the small released model


def gradient_by_features(model: S2T, features: np.ndarray, text: str, lang: str | None = None) -> np.ndarray:
    """The gradient of minus the log-probability of `text` by features (T, M), as `model.features` gives them: (T, M).

    Raises OptionError for a model whose weights are packed for a compiled backend (load it with backend="numpy"), for
    other features, or a language that the model does not write; ModelError for a network that differs from the
    released ones.
    """
    features = checked(model, features)
    batch = make_batch([(features, model.tokenizer.encode(text, lang))], model.config)
    kept = forward(model.weights, model.config, batch)[1]
    return backward(model.weights, model.config, kept, by_features=True).features


def gradients_of_words(
    model: S2T,
    features: np.ndarray,
    labels: Sequence[int],
    words: Sequence[Sequence[int]],
    check: Callable[[], None] = lambda: None,
) -> list[np.ndarray]:
    """For each word, the gradient of minus its log-probability by features (T, M): as many of (T, M).

    `labels` (U,) are the tokens of the text as generated, with EOS; a word is the places of its tokens among them.
    `check` is called before each pass through the network, and may raise, to end the work. Raises OptionError,
    ModelError as `gradient_by_features` does.
    """
    features = checked(model, features)
    batch = make_batch([(features, labels)], model.config)
    check()
    kept, found = forward(model.weights, model.config, batch)[1], []
    for word in words:
        check()
        of_word = np.zeros_like(kept.dlogits)
        of_word[list(word)] = kept.dlogits[list(word)]
        found.append(backward(model.weights, model.config, kept._replace(dlogits=of_word), by_features=True).features)
    return found


def explaining(
    model: S2T, features: np.ndarray, best: Hypothesis, check: Callable[[], None] = lambda: None
) -> Callable[[Sequence[Sequence[int]]], list[np.ndarray]] | None:
    """The argument `gradients` of the explorer's page: words of the best hypothesis -> their gradients by features
    (T, M). None where there is no derivative.

    Many words of a long recording take a pass back through the network each: above MOST_WORK none is computed.
    `check` as in `gradients_of_words`.
    """
    labels = best.tokens[1:]
    before = len(labels) - len(best.generated)  # tokens of a prefix

    def gradients(words: Sequence[Sequence[int]]) -> list[np.ndarray]:
        if len(words) * len(features) > MOST_WORK:
            return []
        places = [[before + place for place in word] for word in words]
        return gradients_of_words(model, features, labels, places, check)

    return None if model.config.unlike_released() else gradients


def checked(model: S2T, features: np.ndarray) -> np.ndarray:
    """The features (T, M) in the model's precision. Raises OptionError, ModelError, see `gradient_by_features`."""
    if model.backend.name != "numpy":
        raise OptionError(f'the backend is {model.backend.name!r}, which has no derivative; load with backend="numpy"')
    if unlike := model.config.unlike_released():
        raise ModelError(f"a network with {unlike} has no derivative here, expected the options of a released model")
    bins = model.config.input_feat_per_channel * model.config.input_channels
    return arguments.matrix(features, "features", bins, "frames", model.dtype)
