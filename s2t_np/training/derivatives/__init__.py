"""The backward pass, worked out by hand: what each part of the model does to a gradient that reaches it.

In reading order: `operations` (linear, layer norm, softmax, GLU), `attention`, `convolution`, `dropout`, `layers` (the
blocks), `encoder`, `decoder`, the losses `loss` and `ctc`, and `network`, which joins them: one batch, one loss, every
weight's gradient. `ragged` lays utterances side by side; `parameters` names the weights. Nothing here knows of an
optimizer, a corpus or a run.
"""
