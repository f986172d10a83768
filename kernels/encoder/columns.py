"""Columns of the encoder's plan: where the parts of a layer begin in the arena, in the order of weights.EncoderLayer.

A part has two columns: the offset of its weights (a norm's gains) and, in the next one, that of its bias or terms.
Use them as `columns.FC1`: the decoder's plan has columns of the same names (decoder/columns.py), but others.
"""

from ..build.arguments import table
from ..layout import ENCODER_COLUMNS

NORM_1, Q, K, V, OUT, NORM_2, FC1, FC2 = range(0, 16, 2)
COUNT = ENCODER_COLUMNS
FINAL_NORM = 0  # in the plan's last row
EncoderPlan = table(COUNT)
