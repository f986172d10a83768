"""The activation functions of the feed-forward networks, by the names that config.json gives them.

Every released S2T model has the ReLU. fairseq's `--activation-fn` and transformers' `activation_function` allow others,
of which these are all that have no weights of their own. Names are those of transformers' ACT2FN; functions act on each
number by itself and take arrays of any shape.
Sources: GELU and its approximations, Hendrycks and Gimpel 2016 (arXiv 1606.08415); SiLU or Swish, Ramachandran et al.
2017 (arXiv 1710.05941); squared ReLU, So et al. 2021 (arXiv 2109.08668); Mish, Misra 2019 (arXiv 1908.08681);
hard Swish, Howard et al. 2019 (arXiv 1905.02244); Laplace, Ma et al. 2022 (arXiv 2209.10655).
"""

import numpy as np


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    return np.maximum(x, 0)


def relu_squared(x: np.ndarray) -> np.ndarray:
    """max(x, 0)**2."""
    return np.square(np.maximum(x, 0))


def relu6(x: np.ndarray) -> np.ndarray:
    """The ReLU, cut off at 6."""
    return np.clip(x, 0, 6)


def leaky_relu(x: np.ndarray) -> np.ndarray:
    """The ReLU with a slope of 0.01 below 0."""
    return np.where(x > 0, x, x * x.dtype.type(0.01))


def normal_distribution(x: np.ndarray) -> np.ndarray:
    """The share of a standard normal distribution that lies below x."""
    from scipy.special import erf

    return (1 + erf(x * x.dtype.type(0.5**0.5))) / 2


def gelu(x: np.ndarray) -> np.ndarray:
    """x times the share of a standard normal distribution that lies below it."""
    return x * normal_distribution(x)


def gelu_by_tanh(x: np.ndarray) -> np.ndarray:
    """The approximation of the GELU that fairseq calls `gelu_accurate`."""
    root = x.dtype.type((2 / np.pi) ** 0.5)
    return x * (1 + np.tanh(root * (x + x.dtype.type(0.044715) * x * x * x))) / 2


def gelu_by_sigmoid(x: np.ndarray) -> np.ndarray:
    """The coarser approximation x sigmoid(1.702 x)."""
    return x * sigmoid(x.dtype.type(1.702) * x)


def clipped_gelu(x: np.ndarray) -> np.ndarray:
    """The GELU, cut off at 10."""
    return np.clip(gelu(x), -10, 10)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    with np.errstate(over="ignore"):  # exp(-x) may be infinite: the answer is then 0, as it should be
        return 1 / (1 + np.exp(-x))


def silu(x: np.ndarray) -> np.ndarray:
    """x sigmoid(x), also called Swish."""
    return x * sigmoid(x)


def mish(x: np.ndarray) -> np.ndarray:
    """x tanh(log(1 + exp(x)))."""
    return x * np.tanh(np.logaddexp(x, x.dtype.type(0)))


def hard_swish(x: np.ndarray) -> np.ndarray:
    """x min(max(x + 3, 0), 6) / 6."""
    return x * relu6(x + 3) / 6


def laplace(x: np.ndarray) -> np.ndarray:
    """The share of a normal distribution with mean sqrt(1/2) and deviation sqrt(1/(4 pi)) that lies below x."""
    return normal_distribution((x - x.dtype.type(0.707107)) / x.dtype.type(0.282095))


def identity(x: np.ndarray) -> np.ndarray:
    """x itself."""
    return x


ACTIVATIONS = {
    "relu": relu,
    "relu2": relu_squared,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "gelu": gelu,
    "gelu_python": gelu,
    "gelu_10": clipped_gelu,
    **dict.fromkeys(("gelu_new", "gelu_fast", "gelu_accurate", "gelu_pytorch_tanh", "gelu_python_tanh"), gelu_by_tanh),
    "quick_gelu": gelu_by_sigmoid,
    "silu": silu,
    "swish": silu,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "mish": mish,
    "hardswish": hard_swish,
    "laplace": laplace,
    "linear": identity,
}
