"""The one place that turns the word "numpy", "numba" or "auto" into functions.

A `Backend` is passed to the model once, at load; nothing asks later which it is. It has two seams: `ops`, the
arithmetic that every layer asks for, and five whole calls; `step` is the one that a search receives, `step_together`
the one that serves several searches at once. `vad` is to the detector of speech what `ops` is to the layers.
"""

import importlib.util
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .activations import ACTIVATIONS
from .config import ModelConfig
from .decoder import start_cache, step, step_together
from .encoder import encode
from .errors import BackendError, InputWarning, OptionError
from .features import fbank
from .longform.vad_ops import NUMPY_VAD, VadOps
from .ops import Ops, linear, linear_relu, numpy_ops
from .settings.architecture import CONFORMER, CONVTRANSFORMER
from .system.forks import finished_before_forks


class Backend(NamedTuple):
    """A compute backend: tables of primitive operations, and five whole calls, each with its readable twin."""

    name: str
    ops: Ops
    fbank: Callable  # as features.fbank
    encode: Callable  # as encoder.encode
    start_cache: Callable  # as decoder.start_cache
    step: Callable  # as decoder.step
    step_together: Callable  # as decoder.step_together
    vad: VadOps  # the arithmetic of the detector of speech, as longform.vad_ops.NUMPY_VAD
    describe: Callable[[], dict[str, str]]  # what `info` prints about it
    weight_bytes: int = 4  # that a weight takes in memory, and a step has to read

    def __repr__(self) -> str:
        return f"Backend({self.name!r})"


def describe() -> dict[str, str]:
    """Return what `info` prints about numpy."""
    return {"instructions": "those of numpy and its BLAS"}


NUMPY = Backend("numpy", numpy_ops, fbank, encode, start_cache, step, step_together, NUMPY_VAD, describe)

DTYPES = {  # what a user may ask for, and the type that is then computed in; float16 and int8 are how weights are kept
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float32,
    "int8": np.float32,
}
WEIGHT_BYTES = {"float32": 4, "float16": 2, "int8": 1}
NUMPYS = ("float32", "float64")


def choose(name: str, dtype: str = "float32") -> Backend:
    """The backend of that name for one of DTYPES.

    "auto" is numba where it is installed and its kernels can be compiled, else numpy; of the two, it is the one that
    has this dtype, if only one has.
    Raises as `check_choice` does, and BackendError for a backend that cannot run here.
    """
    check_choice(name, dtype)
    if name == "numba" or dtype not in NUMPYS:
        return compiled(dtype)
    return best(dtype) if name == "auto" else NUMPY


def check_choice(name: str, dtype: str) -> None:
    """Raise OptionError for an unknown dtype, BackendError for an unknown backend, or one without that dtype."""
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise OptionError(f"dtype is {dtype!r:.40}, expected one of {', '.join(DTYPES)}")
    if name not in ("auto", "numpy", "numba"):
        raise BackendError(f'backend {name!r:.40} is not known, expected "auto", "numpy" or "numba"')
    if name == "numpy" and dtype not in NUMPYS:
        raise BackendError(f'backend "numpy" computes in {" or ".join(NUMPYS)}; {dtype} needs backend "numba"')


def compiled(dtype: str, private: bool = True) -> Backend:
    """The Numba backend for a dtype, compiled when first used. Raises BackendError where it cannot run.

    Where compiled kernels cannot be kept, they are compiled for this process alone, or, with `private` false, not at
    all: it takes ten seconds in every run.
    """
    if dtype == "float64":
        raise BackendError('backend "numba" computes in float32, not float64; use backend "numpy"')
    try:
        import s2t_np_kernels.backend as kernels

        kernels.complete(private)
    except ImportError as error:
        raise BackendError(f'backend "numba" cannot run here ({error}); {remedy()}') from None
    except Exception as error:  # whatever a compiler meets on a machine where this was never tried
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        advice = f"; {remedy()}" if "ImportError" in reason else ""
        raise BackendError(f'backend "numba" cannot compile its kernels here ({reason}){advice}') from error
    name = "numba" if dtype == "float32" else f"numba {dtype}"
    calls = kernels.fbank, kernels.encode, kernels.start_cache, kernels.step, kernels.step_together, kernels.vad
    return Backend(name, kernels.OPS[dtype], *calls, kernels.describe, WEIGHT_BYTES[dtype])


def remedy() -> str:
    """Return what to do where numba cannot be imported."""
    if importlib.util.find_spec("numba") is None:
        return "pip install numba"
    return "numba is installed but does not work: install a version of it that supports this Python and this numpy"


def best(dtype: str) -> Backend:
    """For a dtype of numpy's: Numba where it can run and has it too, else numpy; warns if an installed numba cannot."""
    if dtype != "float32" or importlib.util.find_spec("numba") is None:
        return NUMPY
    try:
        found = compiled(dtype, private=False)
    except BackendError as error:
        warnings.warn(f"{error}; numpy computes instead", InputWarning, stacklevel=2)
        return NUMPY
    from s2t_np_kernels.backend import COMPILED

    return found if COMPILED else NUMPY  # with NUMBA_DISABLE_JIT=1 kernels run as Python, which is slow


def linear_with(activation: str) -> Callable:
    """The first half of a feed-forward network with that activation function: `Ops.linear_activation`."""
    if activation == "relu":
        return linear_relu
    function = ACTIVATIONS[activation]

    def linear_activation(x, w):
        return function(linear(x, w))

    return linear_activation


def for_network(backend: Backend, config: ModelConfig) -> Backend:
    """The backend for a network of this config: itself, if it is compiled and the config is that of a released model.

    The compiled calls know the released arrangement of layers, with the ReLU. Any other network is computed by the
    readable calls, over numpy's operations; `describe` then says why. Raises BackendError for weights kept in fewer
    bits, which numpy does not have.
    """
    compiled = backend.encode is not encode
    unlike = config.unlike_released()
    if not unlike:
        return backend if compiled else safe_to_fork(backend)
    if compiled and backend.name != "numba":
        raise BackendError(f"backend {backend.name!r} does not compute {unlike}; use dtype float32")
    says = {"computed by": f"numpy; the compiled kernels do not compute {unlike}"} if compiled else {}
    found = NUMPY._replace(
        fbank=backend.fbank,
        vad=backend.vad,
        ops=numpy_ops._replace(linear_activation=linear_with(config.activation_function)),
        encode=encode_of(config.architecture),
        describe=lambda: backend.describe() | says,
    )
    return safe_to_fork(found)


def encode_of(architecture: str) -> Callable:
    """The readable call of an architecture's encoder."""
    if architecture == CONVTRANSFORMER:
        from .architectures import convtransformer

        return convtransformer.encode
    if architecture == CONFORMER:
        from .architectures import conformer

        return conformer.encode
    return encode


def safe_to_fork(backend: Backend) -> Backend:
    """The same backend, whose calls a fork by another thread waits for: they hold locks of numpy's BLAS."""
    calls = ("fbank", "encode", "start_cache", "step", "step_together")
    return backend._replace(**{name: finished_before_forks(getattr(backend, name)) for name in calls})
