"""Sounds that hold no speech, made from seeds alone, and how much text a model invents for them.

    parts       noise of a colour, harmonics with a moving pitch, strokes, envelopes: what sounds are put together from
    kinds       the table of kinds, each from a random generator and a length to samples
    corpus      one piece of a kind by its seed: its length, its level, the pauses around it
    rate        pieces with text, and words a minute, and the speech that the same options lose

`python -m tools.nonspeech` prints the rates of a model; `python -m tools.nonspeech write FOLDER` writes recordings and
their table, each with an empty text, as `s2t-np train` reads it.
"""
