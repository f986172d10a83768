"""Checkpoints as fairseq's S2T writes them: one .pt, a config.yaml, a dictionary, a sentencepiece model.

    checkpoint.py   all of it, read as one thing
    objects.py      what the pickle may name, as descriptions
    arguments.py    the settings of the network -> the fields of config.json
    tensors.py      names of fairseq -> names of transformers
    data_config.py  config.yaml: features, normalisation, vocabulary
    dictionary.py   the dictionary (piece, count) -> vocab.json

Nothing in a file is imported or executed, and only the tensors of the network are read: the state of the optimiser,
twice their size, stays on the disk.
"""
