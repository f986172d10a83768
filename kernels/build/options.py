"""The compiler options of all kernels: the only place with Numba's options.

fastmath is down to `contract`, which fuses a b + c. `nnan` and `ninf` would break -inf masks and NaN, `reassoc` undoes
exp's argument reduction and its two-step scaling (seen: exp(88.4) = inf), and the sums that it would vectorise are
written as vectors already (`simd/vector.py`). With error_model="numpy" a division by zero is not an exception; device
code has no way to raise one.

NUMBA_DISABLE_JIT=1 makes the decorators of `device.py` do nothing: every kernel runs as the Python it is written in.
"""

import os

OPTIONS = {"fastmath": {"contract"}, "boundscheck": False, "error_model": "numpy"}
COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
