"""Training, in numpy and by hand: losses, derivatives, the published recipe, runs that survive anything.

derivatives.py convolution.py attention.py loss.py ctc.py    beside each operation its derivative
layers.py encoder.py decoder.py network.py                   the model with its derivative, utterances side by side
dropout.py specaugment.py                                    noise that only training knows
"""
