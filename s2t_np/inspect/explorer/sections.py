"""The page's sections, from sound to text: what each stage is, its formula, and which arrays of the trace it shows."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

FRAME, HALF, POSITION = 0.01, 0.02, 0.04  # seconds a row: frames, after one convolution, after both


class View(NamedTuple):
    """A picture, or several of a kind to choose from."""

    kind: str  # which function of page.js draws it
    title: str
    stages: tuple[str, ...]  # patterns of the trace's names
    rows: str = ""  # what the first axis is
    columns: str = ""  # and the second
    seconds: float = 0.0  # of sound a row stands for; 0: rows are not time
    signed: bool = False  # colours from both sides of zero
    most_rows: int = 0  # keep so many rows, evenly spaced; 0: all

    def names_in(self, names: Mapping) -> list[str]:
        """The stages of a trace that this view shows, pattern by pattern."""
        return [name for pattern in self.stages for name in names if fnmatchcase(name, pattern)]


class Section(NamedTuple):
    """One stage of the way."""

    id: str
    title: str
    text: str
    formula: str
    functions: tuple[str, ...]  # module.function, whose source is shown
    views: tuple[View, ...]


ENCODER_HEADS = ("encoder.layers.*.self_attn.attn_weights",)
DECODER_HEADS = ("decoder.layers.*.self_attn.attn_weights",)
CROSS_HEADS = ("decoder.layers.*.encoder_attn.attn_weights",)

SECTIONS = (
    Section(
        "samples",
        "The recording",
        "One number for every moment: the pressure of the air, mixed to one channel, at the rate the model was trained "
        "on. Press play, or click into the wave; the line follows through every picture below that has time on it.",
        "x[n], n = 0 .. N-1, between -1 and 1",
        ("audio.load",),
        (View("wave", "Waveform", ("samples",)),),
    ),
    Section(
        "frames",
        "Frames",
        "Speech changes every few hundredths of a second, so it is cut into overlapping frames of 25 ms, one every "
        "10 ms. Each loses its mean, has its high frequencies lifted, and is faded out at both ends by the window.",
        "y[n] = (x[n] - mean) - 0.97 (x[n-1] - mean),   w[n] = (0.5 - 0.5 cos(2πn / (L-1)))^0.85",
        ("features.frames", "features.remove_dc", "features.preemphasize", "features.povey_window"),
        (
            View(
                "lines",
                "One frame on its way (choose with the slider)",
                ("features.frames", "features.remove_dc", "features.preemphasize", "features.windowed"),
                "frame",
                "sample",
                FRAME,
                True,
                24,
            ),
            View("lines", "The window", ("features.povey_window",), "", "sample"),
        ),
    ),
    Section(
        "spectrum",
        "Power spectrum",
        "The Fourier transform says how much of each frequency is in a frame. The picture shows logarithms, the "
        "numbers are the energies.",
        "P[t, k] = |Σ y[t, n] exp(-2πi nk / 512)|²",
        ("features.power_spectrum",),
        (View("image", "Energy by frequency", ("features.power_spectrum",), "frame", "FFT bin", FRAME),),
    ),
    Section(
        "mel",
        "Mel filterbank",
        "The ear tells low tones apart better than high ones. Triangular filters, equally spaced on the mel scale, sum "
        "the energies up: narrow at the bottom, wide at the top.",
        "mel(f) = 1127 ln(1 + f/700),   E[t, m] = Σ P[t, k] bank[k, m]",
        ("features.mel", "features.mel_bank"),
        (View("filters", "The filters", ("features.mel_bank",), "FFT bin", "filter"),),
    ),
    Section(
        "log-mel",
        "Log-mel features",
        "Loudness is heard in ratios, so the logarithm is taken, with a floor for silence.",
        "log E[t, m], not below ln 2⁻²³ = -15.94",
        ("features.floored_log",),
        (View("image", "Log energies", ("features.log_mel",), "frame", "mel bin", FRAME),),
    ),
    Section(
        "cmvn",
        "Mean and variance normalisation",
        "Every mel bin gets mean 0 and variance 1 over the utterance: microphone and room drop out. This is what the "
        "network reads.",
        "(x[t, m] - mean_t) / sqrt(max(var_t, 1e-10))",
        ("features.cmvn",),
        (View("image", "Normalised features", ("features.cmvn",), "frame", "mel bin", FRAME, True),),
    ),
    Section(
        "subsampler",
        "Convolutions with gates",
        "Two convolutions of five frames, each moving two frames at a time, leave one row for 40 ms. "
        "Half of a convolution's channels say how much of the other half passes (a gated linear unit).",
        "GLU(a, b) = a · σ(b),   length L → (L-1)//2 + 1",
        ("ops.conv1d", "ops.glu", "layers.subsample"),
        (
            View("image", "First, before the gate", ("encoder.conv.conv_layers.0",), "row", "channel", HALF, True),
            View("image", "First, after", ("encoder.conv.conv_layers.0.glu",), "row", "channel", HALF, True),
            View("image", "Second, before the gate", ("encoder.conv.conv_layers.1",), "row", "channel", POSITION, True),
            View("image", "Second, after", ("encoder.conv.conv_layers.1.glu",), "row", "channel", POSITION, True),
        ),
    ),
    Section(
        "positions",
        "Positions",
        "Attention does not know what comes before what. So each row, scaled by √D, gets sines and cosines of its "
        "position added, first all sines, then all cosines.",
        "p[s, i] = sin(s f_i), p[s, D/2 + i] = cos(s f_i),   f_i = 10000^(-i / (D/2 - 1))",
        ("layers.positions", "encoder.embed_features"),
        (
            View("image", "Positions", ("encoder.embed_positions",), "position", "feature", POSITION, True),
            View(
                "image", "What enters the first layer", ("encoder.embeddings",), "position", "feature", POSITION, True
            ),
        ),
    ),
    Section(
        "encoder",
        "Encoder layers",
        "In every layer each position looks at all others: a head compares its query with their keys and takes their "
        "values in proportion. Two matrices with a ReLU between them follow. Both are added to the stream.",
        "softmax(Q Kᵀ / √d) V,   x + W₂ relu(W₁ x)",
        ("encoder.encoder_layer", "ops.attention_weights", "ops.attention", "ops.layer_norm"),
        (
            View("heads", "Who looks at whom (row looks at column)", ENCODER_HEADS, "position", "looks at", POSITION),
            View(
                "choice",
                "The stream after a layer",
                ("encoder.layers.*.output",),
                "position",
                "feature",
                POSITION,
                True,
            ),
        ),
    ),
    Section(
        "memory",
        "The memory",
        "After a last normalisation this is all that the decoder will ever know of the sound.",
        "(x - mean) / sqrt(var + 1e-5) · gain + offset",
        ("encoder.encode",),
        (View("image", "Memory", ("encoder.layer_norm",), "position", "feature", POSITION, True),),
    ),
    Section(
        "decoder",
        "The decoder listens",
        "For each token the decoder looks back at its own tokens and then at the memory. Click on a word below: the "
        "marked stretch of sound is where the chosen head, or their mean, listened while it was written.",
        "h = x + self_attn(x);  h + encoder_attn(h, memory)",
        ("decoder.decoder_layer", "decoder.decoder_step"),
        (
            View("cross", "Attention to the sound", CROSS_HEADS, "token", "position", POSITION),
            View("heads", "Attention to the tokens so far", DECODER_HEADS, "token", "looks at"),
        ),
    ),
    Section(
        "alternatives",
        "Token by token",
        "The decoder gives every piece of the vocabulary a probability. What else might have been written, and how "
        "sure was it?",
        "p = softmax(W h)",
        ("decoder.project_to_vocabulary", "ops.log_softmax"),
        (View("alternatives", "Probabilities at each step", ()),),
    ),
    Section(
        "search",
        "The search",
        "Several beginnings are followed at once, because the likeliest next token need not begin the likeliest text. "
        "Each column is a step, each box a candidate; choose one to see what became of it.",
        "score = Σ log p / length^penalty",
        ("search.beam.beam_search", "search.beam.extend"),
        (View("tree", "The tree of beams", ()),),
    ),
)

STAGES = [
    "log_probs",
    "tokens",
    *(pattern for section in SECTIONS for view in section.views for pattern in view.stages),
]
