"""The model again, slow and obvious: Python loops over float64 numbers, from the papers and torch's documentation.

Imports nothing of what it judges. Weights come as a dictionary by checkpoint name, the config as a dictionary, so that
even the placing of tensors is checked. For small shapes only: every multiplication is one of Python's.

Sources: torch.nn.Conv1d, GLU, Linear and LayerNorm for the formulas; Vaswani et al. 2017 for attention; the position
table of tensor2tensor.
"""

import math

import numpy as np


def linear(x, weight, bias=None):
    """(rows, I) -> (rows, O), one product at a time."""
    out = np.zeros((len(x), len(weight)))
    for r, row in enumerate(x):
        for o, w in enumerate(weight):
            out[r, o] = math.fsum(float(a) * float(b) for a, b in zip(row, w, strict=True))
            out[r, o] += 0.0 if bias is None else float(bias[o])
    return out


def layer_norm(x, weight, bias):
    """Rows to mean 0 and (biased) variance 1, epsilon 1e-5 inside the root."""
    out = np.zeros(np.shape(x))
    for r, row in enumerate(x):
        row = [float(v) for v in row]
        mean = math.fsum(row) / len(row)
        variance = math.fsum((v - mean) ** 2 for v in row) / len(row)
        for c, v in enumerate(row):
            out[r, c] = (v - mean) / math.sqrt(variance + 1e-5) * float(weight[c]) + float(bias[c])
    return out


def softmax(scores):
    """A list of numbers, some of them perhaps -inf, to probabilities."""
    top = max(scores)
    powers = [math.exp(s - top) for s in scores]
    return [p / math.fsum(powers) for p in powers]


def log_softmax(scores):
    top = max(scores)
    total = math.log(math.fsum(math.exp(s - top) for s in scores))
    return [s - top - total for s in scores]


def sigmoid(x):
    """1 / (1 + exp(-x)) in the form that cannot overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def conv1d_glu(x, weight, bias):
    """torch's Conv1d(stride=2, padding=kernel // 2), then GLU over channels: (T, I) -> (T', O / 2)."""
    outputs, inputs, taps = weight.shape
    centres = range(0, len(x), 2)
    out = np.zeros((len(centres), outputs))
    for t, centre in enumerate(centres):
        for o in range(outputs):
            out[t, o] = float(bias[o])
            for k in range(taps):
                frame = centre + k - taps // 2
                if 0 <= frame < len(x):
                    out[t, o] += math.fsum(float(x[frame, i]) * float(weight[o, i, k]) for i in range(inputs))
    half = outputs // 2
    return np.array([[row[c] * sigmoid(row[half + c]) for c in range(half)] for row in out])


def attention(q, k, v, heads, causal=False):
    """softmax(q k^T) v for each head, q scaled beforehand: (Q, D), (S, D), (S, D) -> (Q, D)."""
    width = q.shape[1] // heads
    out = np.zeros(q.shape)
    for head in range(heads):
        columns = range(head * width, (head + 1) * width)
        for i in range(len(q)):
            seen = range(i + 1) if causal else range(len(k))
            scores = [math.fsum(float(q[i, c]) * float(k[j, c]) for c in columns) for j in seen]
            for c in columns:
                out[i, c] = math.fsum(p * float(v[j, c]) for p, j in zip(softmax(scores), seen, strict=True))
    return out


def position_row(position, width):
    """Row `position` of the table, by definition: all sines, then all cosines, then a zero where the width is odd."""
    half = width // 2
    frequencies = [10000.0 ** (-i / (half - 1)) for i in range(half)]
    row = [math.sin(position * f) for f in frequencies] + [math.cos(position * f) for f in frequencies]
    return row + [0.0] * (width % 2)


class Model:
    """A checkpoint's tensors by name, and its config.json: the forward pass over them."""

    def __init__(self, tensors, config):
        self.tensors, self.config = tensors, config

    def linear(self, x, name):
        return linear(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def norm(self, x, name):
        return layer_norm(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def attend(self, name, x, source, heads, causal=False):
        """One attention block with its four projections."""
        q = self.linear(x, f"{name}.q_proj") * (x.shape[1] // heads) ** -0.5
        k, v = self.linear(source, f"{name}.k_proj"), self.linear(source, f"{name}.v_proj")
        return self.linear(attention(q, k, v, heads, causal), f"{name}.out_proj")

    def feed_forward(self, x, name):
        hidden = np.maximum(self.linear(self.norm(x, f"{name}.final_layer_norm"), f"{name}.fc1"), 0)
        return x + self.linear(hidden, f"{name}.fc2")

    def place(self, x, positions=None):
        """Scale, and add the positions, which count from 2 (rows 0, 1, 2, ... unless given; None is a row of zeros)."""
        scale = math.sqrt(x.shape[1]) if self.config["scale_embedding"] else 1.0
        positions = range(len(x)) if positions is None else positions
        rows = [np.zeros(x.shape[1]) if p is None else position_row(2 + p, x.shape[1]) for p in positions]
        return x * scale + np.array(rows)

    def encode(self, features):
        """(T, M) -> (S, D)."""
        x = features
        for i in range(self.config["num_conv_layers"]):
            name = f"model.encoder.conv.conv_layers.{i}"
            x = conv1d_glu(x, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])
        x = self.place(x)
        for i in range(self.config["encoder_layers"]):
            name = f"model.encoder.layers.{i}"
            h = self.norm(x, f"{name}.self_attn_layer_norm")
            x = x + self.attend(f"{name}.self_attn", h, h, self.config["encoder_attention_heads"])
            x = self.feed_forward(x, name)
        return self.norm(x, "model.encoder.layer_norm")

    def logits(self, memory, tokens, positions=None):
        """(S, D) and (U,) -> (U, V)."""
        heads, embedding = self.config["decoder_attention_heads"], self.tensors["model.decoder.embed_tokens.weight"]
        x = self.place(np.array([embedding[t] for t in tokens], dtype=float), positions)
        for i in range(self.config["decoder_layers"]):
            name = f"model.decoder.layers.{i}"
            h = self.norm(x, f"{name}.self_attn_layer_norm")
            x = x + self.attend(f"{name}.self_attn", h, h, heads, causal=True)
            h = self.norm(x, f"{name}.encoder_attn_layer_norm")
            x = x + self.attend(f"{name}.encoder_attn", h, memory, heads)
            x = self.feed_forward(x, name)
        head = embedding if self.config["tie_word_embeddings"] else self.tensors["lm_head.weight"]
        return linear(self.norm(x, "model.decoder.layer_norm"), head)
