"""Training, in numpy and by hand: losses, derivatives, the published recipe, runs that survive anything.

derivatives.py convolution.py attention.py loss.py ctc.py    beside each operation its derivative
layers.py encoder.py decoder.py network.py ragged.py         the model with its derivative, utterances side by side
dropout.py specaugment.py                                    noise that only training knows
parameters.py optimizer.py learner.py initial.py             weights by name, Adam, an update, how weights begin
recipe.py data.py store.py vocabulary.py                     options, training pairs, features, a new vocabulary
loop.py validation.py checkpoints.py run_folder.py log.py    a run, and what of it is on the disk
curves.py                                                    its picture
"""
