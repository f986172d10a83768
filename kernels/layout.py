"""Sizes that packing, buffers and device code agree on."""

import numpy as np

LANES = 16  # float32 numbers in a vector (simd/vector.py)
DOUBLE_LANES = 8  # float64 numbers in a vector (simd/vector64.py)
PANEL, GATED = 32, 16  # outputs in a panel; channels (with as many gates) in a panel of a gated convolution
CHUNK = 512  # inputs that share a scale, where weights are bytes
CHUNK_ROWS = PANEL * CHUNK // 4 + LANES * LANES  # words for a chunk of a panel, and a square (ops/gemm_amx.py)
# words for a chunk of a unit and of a panel, two inputs in each (ops/gemm_pairs.py)
PAIRS_OF_UNIT, PAIRS_OF_PANEL = CHUNK // 2 * LANES, CHUNK // 2 * PANEL
# inputs whose pieces fill registers of AMX, and the words that they take in a unit (ops/gemm_pieces.py)
BLOCK_INPUTS, BLOCK_PIECES = 2 * LANES, 3 * LANES * LANES
FEWEST_UNITS = 3  # an utterance with fewer is not multiplied in pieces, whatever the threads, on which no bit depends
FLOAT32, INT8, FLOAT16 = 0, 1, 2  # weight dtypes
CHAIN = 256  # products that are added up one after the other, at most
NO_FLOOR, RELU = np.float32(-np.inf), np.float32(0.0)  # lower bounds of results
ENCODER_COLUMNS, DECODER_COLUMNS = 16, 26  # widths of a plan: see encoder/columns.py, decoder/columns.py
