"""The page's sections, from sound to text: the text and formula of each stage, and the arrays of the trace it shows."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

FRAME = 0.01  # seconds per row of frames
POSITION = -1.0  # stands for the seconds per row of positions, which depend on the convolutions: see `seconds_of`


class View(NamedTuple):
    """A picture, or several of one kind to choose from."""

    kind: str  # the function of page.js that draws it
    title: str
    stages: tuple[str, ...]  # patterns of names in the trace
    rows: str = ""  # name of the first axis
    columns: str = ""  # name of the second axis
    seconds: float = 0.0  # seconds of sound per row; 0: rows are not time
    signed: bool = False  # True for different colours below and above zero
    spare: bool = False  # True for arrays that are carried only where there is room

    def names_in(self, names: Mapping) -> list[str]:
        """The names in a trace that this view shows, pattern by pattern."""
        return [name for pattern in self.stages for name in names if fnmatchcase(name, pattern)]


class Section(NamedTuple):
    """One stage on the way from sound to text."""

    id: str
    title: str
    text: str
    formula: str  # in the notation of page.math.js
    functions: tuple[str, ...]  # module.function, whose source is shown
    views: tuple[View, ...]
    others: tuple[str, ...] = ()  # patterns of stages that belong here and have no picture of their own

    def names_in(self, names: Mapping) -> list[str]:
        """The names in a trace that belong here, in the order of the trace."""
        patterns = [*(stage for view in self.views for stage in view.stages), *self.others]
        return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


ENCODER_HEADS = ("encoder.layers.*.self_attn.attn_weights",)
DECODER_HEADS = ("decoder.layers.*.self_attn.attn_weights",)
CROSS_HEADS = ("decoder.layers.*.encoder_attn.attn_weights",)
EACH_CONVOLUTION = "Convolution {number}, {when} the gate"  # a picture for each stage: see `views_of`
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "context", "out_proj")
NETWORK = ("fc1", "fc2")  # page.derived.js computes what is between them

SECTIONS = (
    Section(
        "samples",
        "The recording",
        "A recording is a list of numbers, the air pressure at equal intervals, mixed down to one channel and "
        "resampled to the rate of the training data. Press play, or click into the wave: the line marks the same "
        "moment in every picture below that has a time axis.",
        r"-1 ≤ x_n ≤ 1,\quad n = 0 … N-1",
        ("audio.load",),
        (View("wave", "Waveform", ("samples",)),),
    ),
    Section(
        "frames",
        "Frames",
        "Speech changes every few hundredths of a second, so it is cut into overlapping frames of 25 ms, one every "
        "10 ms. From each frame the mean is subtracted; pre-emphasis raises its high frequencies, and a window fades "
        "it out at both ends.",
        r"y_n = w_n ((x_n - \overline{x}) - 0.97 (x_{n-1} - \overline{x})),\quad "
        r"w_n = {(0.5 - 0.5 \cos{\frac{2 π n}{L-1}})}^{0.85}",
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
            ),
            View("lines", "The window", ("features.povey_window",), "", "sample"),
        ),
    ),
    Section(
        "spectrum",
        "Power spectrum",
        "The Fourier transform gives the energy of a frame at each frequency. The colours show its logarithm, the "
        "readout the energy itself.",
        r"P_{t,k} = {|\sum_n y_{t,n} e^{-2 π i n k / F}|}^2,\quad F = 2^{⌈\log_2{L}⌉}",
        ("features.power_spectrum",),
        (View("image", "Energy by frequency", ("features.power_spectrum",), "frame", "FFT bin", FRAME),),
    ),
    Section(
        "mel",
        "Mel filterbank",
        "The ear distinguishes low tones better than high ones. Triangular filters, equally spaced on the mel scale, "
        "add up the energies; they are narrow at low frequencies and wide at high ones.",
        r"\mel{f} = 1127 \ln{(1 + \frac{f}{700})},\quad E_{t,m} = \sum_k P_{t,k} B_{k,m}",
        ("features.mel", "features.mel_bank"),
        (View("filters", "The filters", ("features.mel_bank",), "FFT bin", "filter"),),
    ),
    Section(
        "log-mel",
        "Log-mel features",
        "The ear hears ratios of loudness, so the model reads logarithms, with a floor for silence.",
        r"x_{t,m} = \ln{\max{(E_{t,m}, 2^{-23})}},\quad \ln{2^{-23}} = -15.94",
        ("features.floored_log",),
        (View("image", "Log energies", ("features.log_mel",), "frame", "mel bin", FRAME),),
        ("features.mel",),
    ),
    Section(
        "cmvn",
        "Mean and variance normalisation",
        "Every mel bin is scaled to mean 0 and variance 1 over the utterance, which removes most of the effect of "
        "microphone and room. The result is the input of the network.",
        r"y_{t,m} = \frac{x_{t,m} - μ_m}{\sqrt{\max{(σ_m^2, 10^{-10})}}}",
        ("features.cmvn",),
        (View("image", "Normalised features", ("features.cmvn",), "frame", "mel bin", FRAME, True),),
    ),
    Section(
        "subsampler",
        "Convolutions with gates",
        "Convolutions of stride two shorten the time: one row is left for every {milliseconds} ms. Half of a "
        "convolution's channels are gates that decide how much of the other half passes (a gated linear unit).",
        r"y_{s,c} = b_c + \sum_{j,i} W_{c,i,j} x_{2 s + j - ⌊w / 2⌋, i},\quad \operatorname{GLU}(a, b) = a · σ(b)",
        ("ops.conv1d", "ops.glu", "layers.subsample"),
        (View("image", EACH_CONVOLUTION, ("encoder.conv.conv_layers.*",), "row", "channel", FRAME, True),),
    ),
    Section(
        "positions",
        "Positions",
        "Attention ignores the order of its rows. So sines and cosines of its position, first all sines, then all "
        "cosines, are added to each row, which is scaled by √D.",
        r"p_{s,i} = \sin{s f_i},\quad p_{s,D/2+i} = \cos{s f_i},\quad f_i = 10000^{-i / (D/2-1)}",
        ("layers.positions", "encoder.embed_features"),
        (
            View("image", "Positions", ("encoder.embed_positions",), "position", "feature", POSITION, True),
            View("image", "Input of the first layer", ("encoder.embeddings",), "position", "feature", POSITION, True),
        ),
        ("encoder.embed_scale",),
    ),
    Section(
        "encoder",
        "Encoder layers",
        "In every layer each position attends to all others: a head compares its query with their keys and averages "
        "their values accordingly. A feed-forward block of two matrices with a ReLU between them follows. The results "
        "of both blocks are added to the residual stream.",
        r"\operatorname{softmax}(\frac{Q K^⊤}{\sqrt{d}}) V,\quad x + W_2 \operatorname{relu}(W_1 x)",
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
            View(
                "inside",
                "Inside a layer",
                tuple(f"encoder.layers.*.{part}" for part in (*(f"self_attn.{p}" for p in PROJECTIONS), *NETWORK)),
                "position",
                "feature",
                POSITION,
                True,
                True,
            ),
            View("norms", "How much each block adds", (), "position", "layer", POSITION),
        ),
        ("encoder.layers.*",),
    ),
    Section(
        "memory",
        "The memory",
        "After a last normalisation the encoder's output is the memory: all that the decoder ever knows of the sound.",
        r"\frac{x - μ}{\sqrt{σ^2 + 10^{-5}}} · g + b",
        ("encoder.encode",),
        (View("image", "Memory", ("encoder.layer_norm",), "position", "feature", POSITION, True),),
    ),
    Section(
        "decoder",
        "The decoder listens",
        "For each token the decoder attends first to the tokens before it and then to the memory. Click on a word "
        "below to mark the stretch of sound that the chosen head, or the mean of all heads, attended to meanwhile.",
        r"h = x + \operatorname{self-attn}(x),\quad h + \operatorname{encoder-attn}(h, \text{memory})",
        ("decoder.decoder_layer", "decoder.decoder_step"),
        (
            View("cross", "Attention to the sound", CROSS_HEADS, "token", "position", POSITION),
            View("heads", "Attention to the tokens so far", DECODER_HEADS, "token", "attends to"),
            View(
                "inside",
                "Inside a layer",
                tuple(
                    f"decoder.layers.*.{part}"
                    for part in (*(f"{b}.{p}" for b in ("self_attn", "encoder_attn") for p in PROJECTIONS), *NETWORK)
                ),
                "token",
                "feature",
                0,
                True,
                True,
            ),
        ),
        ("decoder.embed*", "decoder.input_ids", "decoder.layers.*"),
    ),
    Section(
        "alternatives",
        "Token by token",
        "At every step the decoder assigns a probability to every piece of the vocabulary. Each column shows the most "
        "probable pieces; the chosen one is marked.",
        r"p = \operatorname{softmax}(W h)",
        ("decoder.project_to_vocabulary", "ops.log_softmax"),
        (View("alternatives", "Probabilities at each step", ()),),
        ("decoder.layer_norm", "lm_head", "log_probs"),
    ),
    Section(
        "search",
        "The search",
        "Beam search follows several beginnings at once, because the likeliest next token need not begin the likeliest "
        "text. Each column is a step, each box a candidate; choose one to see its outcome.",
        r"\text{score} = \frac{\sum \ln p}{\text{length}^{\text{penalty}}}",
        ("search.beam.beam_search", "search.beam.extend"),
        (View("tree", "The tree of beams", ()),),
    ),
    Section(
        "words",
        "The text",
        "The tokens of the best candidate are joined to words. The sign ▁ (U+2581) at the front of a piece stands for "
        "the space before a word; a piece without it continues the word before it. Click on a word to go to the "
        "moment that the last decoder layer attended to while writing it.",
        r"p(\text{word}) = \prod_{\text{tokens~of~the~word}} p(\text{token})",
        ("tokenizer.Tokenizer.string",),
        (
            View("spoken", "Words, with the pieces and probabilities of each", ()),
            View("origin", "Where a word came from", ()),
        ),
        ("tokens",),
    ),
    Section(
        "experiment",
        "Change something",
        "What is a part of the model for? Take it away and see. A muted head adds nothing to the residual stream, a "
        "muted layer is passed by, and a hidden part of the input is set to 0, the mean of each bin. The answer is "
        "computed anew at every change, and the logits z of the same text are compared, before and after the change.",
        r"Δ = \max{|z' - z|}",
        ("inspect.experiments.applied", "inspect.experiments.masked", "inspect.experiments.compare"),
        (View("experiment", "The experiment", ("features.cmvn",), "frame", "mel bin", FRAME, True),),
    ),
)

STAGES = ["samples", "features.*", "encoder.*", "decoder.*", "lm_head", "log_probs", "tokens"]  # all but the search's


def seconds_of(trace: Mapping) -> float:
    """Seconds of sound that a position of the encoder stands for: each convolution halves the number of rows."""
    convolutions = [name for name in trace if fnmatchcase(name, "encoder.conv.conv_layers.*.glu")]
    return FRAME * 2 ** len(convolutions)


def views_of(section: Section, trace: Mapping) -> list[View]:
    """The views of a section on this recording: one for each convolution, true seconds, none without its arrays."""
    found = []
    for view in section.views:
        names = view.names_in(trace)
        if view.title == EACH_CONVOLUTION:
            found += [convolution_view(view, name) for name in names]
        elif names or not view.stages:
            found.append(view._replace(seconds=seconds_of(trace) if view.seconds == POSITION else view.seconds))
    return found


def convolution_view(view: View, stage: str) -> View:
    """The picture of one convolution, before or after its gate."""
    number = int(stage.removeprefix("encoder.conv.conv_layers.").split(".")[0]) + 1
    title = view.title.format(number=number, when="after" if stage.endswith(".glu") else "before")
    return view._replace(title=title, stages=(stage,), seconds=view.seconds * 2**number)
