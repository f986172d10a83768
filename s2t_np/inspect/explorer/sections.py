"""The page's sections, from sound to text: the text and formula of each stage, and the arrays of the trace it shows."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

FRAME, HALF, POSITION = 0.01, 0.02, 0.04  # seconds per row: of frames, after one convolution, after both


class View(NamedTuple):
    """A picture, or several of one kind to choose from."""

    kind: str  # the function of page.js that draws it
    title: str
    stages: tuple[str, ...]  # patterns of names in the trace
    rows: str = ""  # name of the first axis
    columns: str = ""  # name of the second axis
    seconds: float = 0.0  # seconds of sound per row; 0: rows are not time
    signed: bool = False  # True for different colours below and above zero
    most_rows: int = 0  # keep this many rows, evenly spaced; 0: all

    def names_in(self, names: Mapping) -> list[str]:
        """The names in a trace that this view shows, pattern by pattern."""
        return [name for pattern in self.stages for name in names if fnmatchcase(name, pattern)]


class Section(NamedTuple):
    """One stage on the way from sound to text."""

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
        "A recording is a list of numbers, the air pressure at equal intervals, mixed down to one channel and "
        "resampled to the rate of the training data. Press play, or click into the wave: the line marks the same "
        "moment in every picture below that has a time axis.",
        "x[n], n = 0 .. N-1, between -1 and 1",
        ("audio.load",),
        (View("wave", "Waveform", ("samples",)),),
    ),
    Section(
        "frames",
        "Frames",
        "Speech changes every few hundredths of a second, so it is cut into overlapping frames of 25 ms, one every "
        "10 ms. From each frame the mean is subtracted; pre-emphasis raises its high frequencies, and a window fades "
        "it out at both ends.",
        "y[n] = (x[n] - mean) - 0.97 (x[n-1] - mean),   w[n] = (0.5 - 0.5 cos(2πn / (L-1)))^0.85",
        ("features.frames", "features.remove_dc", "features.preemphasize", "features.povey_window"),
        (
            View(
                "lines",
                "One frame, step by step (choose it with the slider)",
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
        "The Fourier transform gives the energy of a frame at each frequency. The colours show its logarithm, the "
        "readout the energy itself.",
        "P[t, k] = |Σ y[t, n] exp(-2πi nk / F)|²,   F = 2^⌈log₂ L⌉ for frames of L samples",
        ("features.power_spectrum",),
        (View("image", "Energy by frequency", ("features.power_spectrum",), "frame", "FFT bin", FRAME),),
    ),
    Section(
        "mel",
        "Mel filterbank",
        "The ear distinguishes low tones better than high ones. Triangular filters, equally spaced on the mel scale, "
        "add up the energies; they are narrow at low frequencies and wide at high ones.",
        "mel(f) = 1127 ln(1 + f/700),   E[t, m] = Σ P[t, k] bank[k, m]",
        ("features.mel", "features.mel_bank"),
        (View("filters", "The filters", ("features.mel_bank",), "FFT bin", "filter"),),
    ),
    Section(
        "log-mel",
        "Log-mel features",
        "The ear hears ratios of loudness, so the model reads logarithms, with a floor for silence.",
        "log max(E[t, m], 2⁻²³), where ln 2⁻²³ = -15.94",
        ("features.floored_log",),
        (View("image", "Log energies", ("features.log_mel",), "frame", "mel bin", FRAME),),
    ),
    Section(
        "cmvn",
        "Mean and variance normalisation",
        "Every mel bin is scaled to mean 0 and variance 1 over the utterance, which removes most of the effect of "
        "microphone and room. The result is the input of the network.",
        "(x[t, m] - mean_t) / sqrt(max(var_t, 1e-10))",
        ("features.cmvn",),
        (View("image", "Normalised features", ("features.cmvn",), "frame", "mel bin", FRAME, True),),
    ),
    Section(
        "subsampler",
        "Convolutions with gates",
        "Two convolutions of width five and stride two leave one row for every 40 ms. Half of a convolution's channels "
        "are gates that decide how much of the other half passes (a gated linear unit).",
        "GLU(a, b) = a · σ(b),   length L → (L-1)//2 + 1",
        ("ops.conv1d", "ops.glu", "layers.subsample"),
        (
            View("image", "First, before the gate", ("encoder.conv.conv_layers.0",), "row", "channel", HALF, True),
            View("image", "First, after the gate", ("encoder.conv.conv_layers.0.glu",), "row", "channel", HALF, True),
            View("image", "Second, before the gate", ("encoder.conv.conv_layers.1",), "row", "channel", POSITION, True),
            View(
                "image", "Second, after the gate", ("encoder.conv.conv_layers.1.glu",), "row", "channel", POSITION, True
            ),
        ),
    ),
    Section(
        "positions",
        "Positions",
        "Attention ignores the order of its rows. So sines and cosines of its position, first all sines, then all "
        "cosines, are added to each row, which is scaled by √D.",
        "p[s, i] = sin(s f_i), p[s, D/2 + i] = cos(s f_i),   f_i = 10000^(-i / (D/2 - 1))",
        ("layers.positions", "encoder.embed_features"),
        (
            View("image", "Positions", ("encoder.embed_positions",), "position", "feature", POSITION, True),
            View("image", "Input of the first layer", ("encoder.embeddings",), "position", "feature", POSITION, True),
        ),
    ),
    Section(
        "encoder",
        "Encoder layers",
        "In every layer each position attends to all others: a head compares its query with their keys and averages "
        "their values accordingly. A feed-forward block of two matrices with a ReLU between them follows. The results "
        "of both blocks are added to the residual stream.",
        "softmax(Q Kᵀ / √d) V,   x + W₂ relu(W₁ x)",
        ("encoder.encoder_layer", "ops.attention_weights", "ops.attention", "ops.layer_norm"),
        (
            View("heads", "Attention (row attends to column)", ENCODER_HEADS, "position", "attends to", POSITION),
            View(
                "choice",
                "Residual stream after a layer",
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
        "After a last normalisation the encoder's output is the memory: all that the decoder ever knows of the sound.",
        "(x - mean) / sqrt(var + 1e-5) · gain + offset",
        ("encoder.encode",),
        (View("image", "Memory", ("encoder.layer_norm",), "position", "feature", POSITION, True),),
    ),
    Section(
        "decoder",
        "The decoder listens",
        "For each token the decoder attends first to the tokens before it and then to the memory. Click on a word "
        "below to mark the stretch of sound that the chosen head, or the mean of all heads, attended to meanwhile.",
        "h = x + self_attn(x);  h + encoder_attn(h, memory)",
        ("decoder.decoder_layer", "decoder.decoder_step"),
        (
            View("cross", "Attention to the sound", CROSS_HEADS, "token", "position", POSITION),
            View("heads", "Attention to the tokens so far", DECODER_HEADS, "token", "attends to"),
        ),
    ),
    Section(
        "alternatives",
        "Token by token",
        "At every step the decoder assigns a probability to every piece of the vocabulary. Each column shows the most "
        "probable pieces; the chosen one is marked.",
        "p = softmax(W h)",
        ("decoder.project_to_vocabulary", "ops.log_softmax"),
        (View("alternatives", "Probabilities at each step", ()),),
    ),
    Section(
        "search",
        "The search",
        "Beam search follows several beginnings at once, because the likeliest next token need not begin the likeliest "
        "text. Each column is a step, each box a candidate; choose one to see its outcome.",
        "score = Σ log p / length^penalty",
        ("search.beam.beam_search", "search.beam.extend"),
        (View("tree", "The tree of beams", ()),),
    ),
    Section(
        "words",
        "The text",
        "The tokens of the best candidate are joined to words. The sign ▁ (U+2581) at the front of a piece stands for "
        "the space before a word; a piece without it continues the word before it. Click on a word to go to the "
        "moment that the last decoder layer attended to while writing it.",
        "p(word) = Π p(token),   over the tokens of the word",
        ("tokenizer.Tokenizer.string",),
        (View("spoken", "Words, with the pieces and probabilities of each", ()),),
    ),
    Section(
        "experiment",
        "Change something",
        "What is a part of the model for? Take it away and see. A muted head adds nothing to the residual stream, a "
        "muted layer is passed by, and a hidden part of the input is set to 0, the mean of each bin. The answer is "
        "computed anew at every change.",
        "Δ = max |z′ - z|,   z and z′ the logits of the same text before and now",
        ("inspect.experiments.applied", "inspect.experiments.masked", "inspect.experiments.compare"),
        (View("experiment", "The experiment", ("features.cmvn",), "frame", "mel bin", FRAME, True),),
    ),
)

STAGES = [
    "log_probs",
    "tokens",
    "encoder.conv.conv_layers.*.glu",  # for the map: the last one enters the encoder, and some models have three
    *(pattern for section in SECTIONS for view in section.views for pattern in view.stages),
]
