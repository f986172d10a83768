"""One panel of 32 outputs for some rows, whatever the weights are kept in: `linear_panel` and its kin by kind."""

from ..build.arguments import Address2, Single
from ..build.device import inlined, linked
from ..layout import FLOAT16, INT8, PANEL
from ..simd.vector import LANES, move, prefetch
from .gemm import AHEAD, linear_panel, linear_panel_half
from .gemm_int8 import linear_panel_int8

Terms = tuple[int, int, int, int, int]  # bias, scale, comp: addresses; strides
LINES = 64  # that are asked for where reading will jump to


@inlined
def ask(address, lines):
    """Ask for some lines that will be read: where reading jumps, no processor guesses where to."""
    for i in range(0, lines * LANES, LANES):
        prefetch(move(address, i))


@inlined
def panel_words(depth, kind):
    """Words of 32 bits of one panel with `depth` inputs."""
    if kind == INT8:
        return (depth + 3) // 4 * PANEL
    return depth * (PANEL // 2) if kind == FLOAT16 else depth * PANEL


@linked
def multiply_segment(
    kind: int,
    x: Address2,
    words: Address2,
    scales: Address2,
    rows: int,
    depth: int,
    weight: Address2,
    terms: Terms,
    zeros: int,
    added: Address2,
    floor: Single,
    y: Address2,
    panels: int,
):
    """`multiply_panel` for several panels and, of each, over some of the inputs: `depth` from where weight points.

    weight (address, words to ask ahead, words from panel to panel). terms: addresses of the first panel's biases, or of
    zeros, and for bytes of its scales and of its comp for these inputs; words from one chunk's comp to the next, and
    from one panel's biases to the next. y, and `added` if it has rows, go on 32 columns with every panel.
    """
    words_here = panel_words(depth, kind)
    jumps = weight[1] < words_here < weight[2]
    for p in range(panels):
        o = p * PANEL
        here, target = (move(weight[0], p * weight[2]), weight[1]), (move(y[0], o), y[1], y[2])
        bias, sums = move(terms[0], p * terms[4]), (move(added[0], o if added[1] else 0), added[1], added[2])
        if jumps and p + 1 < panels:
            ask(move(here[0], weight[2]), LINES)
        if kind == INT8:
            own = (bias, move(terms[1], o), move(terms[2], o), terms[3])
            linear_panel_int8(words, scales, rows, depth, here, own, zeros, sums, floor, target)
        elif kind == FLOAT16:
            linear_panel_half(x, rows, depth, here, bias, zeros, sums, floor, target)
        else:
            linear_panel(x, rows, depth, here, bias, zeros, sums, floor, target)


@inlined
def multiply_panel(kind, x, words, scales, rows, depth, weight, terms, zeros, added, floor, y):
    """y = max(x W^T + b + added, floor), 32 wide; operands as in linear.py and, for bytes, linear_int8.py.

    x (address, row, step); words and scales, read in its stead where the weights are bytes, are what quantize_row makes
    of it; weight: address of the panel; terms (address of its biases, outputs in whole panels).
    """
    bias, outputs = terms
    terms = (bias, move(bias, outputs), move(bias, 2 * outputs), outputs, PANEL)
    multiply_segment(kind, x, words, scales, rows, depth, (weight, AHEAD, 0), terms, zeros, added, floor, y, 1)
