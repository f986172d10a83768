"""The guided tour: ten stops for a first-time reader, each at a section, with the numbers of this recording."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from .model_map import ENCODER, layers_of
from .sections import ENCODER_HEADS, seconds_of


class Stop(NamedTuple):
    """One stop of the tour; the texts may name the numbers of `numbers_of` in braces."""

    section: str
    title: str
    text: str
    surprise: str


TOUR = (
    Stop(
        "samples",
        "A recording is a list of numbers",
        "These are {samples} numbers, {rate} for each second. A speech recogniser must turn them into {tokens} tokens "
        "of text. Press ▶ to hear them; the line shows the same moment in every picture.",
        "No boundary between words can be seen: pauses in the wave are often inside words.",
    ),
    Stop(
        "frames",
        "Cut into frames",
        "Sound that repeats can be described by its frequencies, but speech repeats for only some hundredths of a "
        "second. So there are {frames} overlapping frames; the slider chooses one.",
        "Each sample is used two or three times: the frames are 25 ms long and start every 10 ms.",
    ),
    Stop(
        "mel",
        "An ear made of triangles",
        "Each triangle adds up the energy of the frequencies under it: {bins} numbers remain of a frame.",
        "No one trained this part. It is fixed, from measurements of human hearing in the 1930s.",
    ),
    Stop(
        "cmvn",
        "What the network sees",
        "Time runs from left to right, frequency from bottom to top; the words stand where the model heard them. "
        "Point at the picture and the line below it gives the number.",
        "The network never hears sound. This picture, {frames} by {bins}, is all it gets.",
    ),
    Stop(
        "subsampler",
        "Convolutions shorten it",
        "Convolutions of stride two look at neighbouring frames together; here they turn {frames} rows into "
        "{positions}, one for every {milliseconds} ms. From here on, the rows are called positions and the columns no "
        "longer have "
        "a name: training decided what they stand for.",
        "Half of the channels only decide how much of the other half may pass.",
    ),
    Stop(
        "encoder",
        "Every position looks at all others",
        "There are {encoder_layers} layers with {heads} heads each. A row of the picture shows where one position "
        "looks; a bright diagonal means at its neighbours. Choose other heads and layers.",
        "The heads had the same task in training, and have yet divided the work between them.",
    ),
    Stop(
        "decoder",
        "The decoder listens, token by token",
        "It writes from left to right. For each token it looks back at the sound; the rows of the picture are tokens, "
        "the columns are time. Click on a word.",
        "The bright spots move from left to right as in speech, although nothing in the formulas demands that.",
    ),
    Stop(
        "alternatives",
        "It is never certain",
        "Each step gives a probability to all {pieces} pieces of the vocabulary. A piece is a word or a part of one; "
        "the sign ▁ marks the beginning of a word.",
        "The last piece, </s>, is a decision as well: the model has to say that the text is over.",
    ),
    Stop(
        "search",
        "Several texts compete",
        "The likeliest first word need not begin the likeliest text, so several beginnings are kept. Choose a box to "
        "see its path and what became of it.",
        "A score is a sum of logarithms divided by a power of the length; without it, short texts would always win.",
    ),
    Stop(
        "words",
        "The text",
        "The pieces joined together. Click on a word to hear the moment where it was found.",
        "From {samples} numbers to {tokens} tokens, with nothing but sums, products, and a few exponentials. Every "
        "one of them can be read on this page.",
    ),
)


def tour_of(trace: Mapping, rate: int) -> list[dict]:
    """The stops with the numbers of a trace filled in; rate: samples for each second."""
    numbers = numbers_of(trace) | {"rate": rate}
    told = {name: f"{number:,}" for name, number in numbers.items()}
    return [stop._asdict() | {key: getattr(stop, key).format(**told) for key in ("text", "surprise")} for stop in TOUR]


def numbers_of(trace: Mapping) -> dict[str, int]:
    """What the texts of the tour may name."""
    frames, bins = trace["features.log_mel"].shape
    return {
        "samples": trace["samples"].size,
        "frames": frames,
        "bins": bins,
        "positions": len(trace["encoder.layer_norm"]),
        "milliseconds": round(1000 * seconds_of(trace)),
        "heads": max((len(trace[name]) for name in trace if fnmatchcase(name, ENCODER_HEADS[0])), default=0),
        "encoder_layers": layers_of(trace, ENCODER),
        "tokens": len(trace["log_probs"]),
        "pieces": trace["log_probs"].shape[-1],
    }
