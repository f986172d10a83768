"""Training, in numpy and by hand: losses, derivatives, the published recipe, runs that survive anything.

derivatives/                                          the backward pass, one operation and one layer after another
specaugment.py                                        parts of the features are hidden
optimizer.py learner.py initial.py                    Adam, an update, how weights begin
recipe.py data.py store.py vocabulary.py              options, training pairs, features, a new vocabulary
loop.py validation.py checkpoints.py run_folder.py log.py   a run, and what of it is on the disk
curves.py saliency.py                                 its picture; which sound mattered to a text
"""
