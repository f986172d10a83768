"""The activation functions against their definitions, number by number, with Python's own arithmetic."""

import math

import numpy as np
import pytest

from s2t_np.activations import ACTIVATIONS

NUMBERS = [-100.0, -11.0, -3.5, -1.0, -1e-3, 0.0, 1e-3, 0.3, 1.0, 2.9, 5.5, 7.0, 11.0, 100.0]


def below(x: float) -> float:
    return (1 + math.erf(x / math.sqrt(2))) / 2


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_tanh(x: float) -> float:
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


DEFINITIONS = {
    "relu": lambda x: max(x, 0.0),
    "relu2": lambda x: max(x, 0.0) ** 2,
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "gelu": lambda x: x * below(x),
    "gelu_python": lambda x: x * below(x),
    "gelu_10": lambda x: min(max(x * below(x), -10.0), 10.0),
    "gelu_new": by_tanh,
    "gelu_fast": by_tanh,
    "gelu_accurate": by_tanh,
    "gelu_pytorch_tanh": by_tanh,
    "gelu_python_tanh": by_tanh,
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "sigmoid": sigmoid,
    "tanh": math.tanh,
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "hardswish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "laplace": lambda x: below((x - 0.707107) / 0.282095),
    "linear": lambda x: x,
}


def test_all_are_defined_here():
    assert set(DEFINITIONS) == set(ACTIVATIONS)


@pytest.mark.parametrize("dtype, tolerance", [(np.float32, 3e-6), (np.float64, 1e-13)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_by_definition(name, dtype, tolerance):
    x = np.array(NUMBERS, dtype).reshape(2, -1)
    before = x.copy()
    found = ACTIVATIONS[name](x)
    assert found.dtype == dtype and found.shape == x.shape
    expected = np.reshape([DEFINITIONS[name](float(number)) for number in x.ravel()], x.shape)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(x, before)
