"""Weights as bytes: each output has its scale s = max |W| / 127, and w = round(W / s).

`ops/packing.py` makes them. Activations are quantised as they come, in device code: `ops/quantize.py`, which says more.
"""

import numpy as np

BYTE = np.float32(127.0)
TINY = np.float32(1e-30)  # smallest scale times 127: a row of zeros stays zeros
