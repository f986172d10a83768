"""Which sound mattered to a text: the gradient of the text's loss by the features that the encoder reads.

Where it is large, a small change of the sound would make the text more or less likely (Simonyan et al. 2014,
arXiv 1312.6034). It is the derivative of training, followed one step further than the first convolution.
"""

import numpy as np

from .. import arguments
from ..errors import ModelError, OptionError
from ..model import S2T
from .derivatives.network import backward, forward, make_batch


def gradient_by_features(model: S2T, features: np.ndarray, text: str, lang: str | None = None) -> np.ndarray:
    """The gradient of minus the log-probability of `text` by features (T, M), as `model.features` gives them: (T, M).

    Raises OptionError for a model whose weights are packed for a compiled backend (load it with backend="numpy"), for
    other features, or a language that the model does not write; ModelError for a network that differs from the
    released ones.
    """
    if model.backend.name != "numpy":
        raise OptionError(f'the backend is {model.backend.name!r}, which has no derivative; load with backend="numpy"')
    if unlike := model.config.unlike_released():
        raise ModelError(f"a network with {unlike} has no derivative here, expected the options of a released model")
    bins = model.config.input_feat_per_channel * model.config.input_channels
    features = arguments.matrix(features, "features", bins, "frames", model.dtype)
    batch = make_batch([(features, model.tokenizer.encode(text, lang))], model.config)
    kept = forward(model.weights, model.config, batch)[1]
    return backward(model.weights, model.config, kept, by_features=True).features
