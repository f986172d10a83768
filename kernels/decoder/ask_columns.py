"""Columns of the table of asks: a row for each utterance in a step, whose beams are rows of the step."""

from ..build.arguments import table

FIRST_ROW, BEAMS = 0, 1  # the first of its rows in the step, and how many they are
LENGTH, CAPACITY = 2, 3  # positions its cache has filled, and has space for
MEMORY_LENGTH = 4  # S
KEYS, VALUES, ANCESTORS = 5, 6, 7  # addresses: (L, capacity, K, D), the same, and (K, capacity) int64
MEMORY = 8  # address of keys and values of the memory: see cross_kv.py
LOGITS = 9  # address of its table of logits: see ops/softmax.py
ASK_COLUMNS = 10
Asks = table(ASK_COLUMNS)
