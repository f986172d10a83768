"""The exceptions that this project raises, as one small tree.

Every error that a user can cause ends in one of these, with one line that says which file or option it is about, what
was found there, what was expected, and what to do. The command turns them into exit codes (`cli/`).
"""


class S2TError(Exception):
    """Base of everything this project raises on purpose."""


class AudioError(S2TError):
    """A recording that cannot be read or used: damaged, empty, too short, of unknown rate, not finite."""


class IncompleteAudioError(AudioError):
    """A recording that is damaged or cut short; all of its sound that could be read was returned before."""


class ReadingError(AudioError):
    """A recording whose bytes cannot be read: the disk, the network, or a file object of the caller's fails."""


class ModelError(S2TError):
    """A model that is refused: a file missing or damaged, a weight unknown, missing, misshaped or not finite."""


class HubError(ModelError):
    """A model that is not in the local cache and cannot be downloaded from the hub."""


class OptionError(S2TError, ValueError):
    """An argument with an invalid value, or two arguments that contradict each other."""


class BackendError(S2TError):
    """A backend that was asked for by name and cannot run on this machine."""


class InputWarning(UserWarning):
    """Something unusual about an input that was accepted all the same (a float peak above 1.5, for instance)."""


class TrainingError(S2TError):
    """A training run that cannot go on: a loss that is not finite, a checkpoint that cannot be written."""
