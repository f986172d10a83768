"""Columns of the decoder's plan: where the parts of a layer begin in the arena, in the order of weights.DecoderLayer.

A part has two columns: the offset of its weights (a norm's gains) and, in the next one, that of its bias or terms.
Use them as `columns.FC1`: the encoder's plan has columns of the same names (encoder/columns.py), but others.
"""

from ..build.arguments import table
from ..layout import DECODER_COLUMNS

NORM_1, Q, K, V, OUT, NORM_2, CROSS_Q, CROSS_K, CROSS_V, CROSS_OUT, NORM_3, FC1, FC2 = range(0, 26, 2)
COUNT = DECODER_COLUMNS
FINAL_NORM, HEAD = 0, 2  # in the plan's last row
DecoderPlan = table(COUNT)
