"""What can go wrong, as one small tree.

Every error a user can cause ends in one of these, with one line that says which file or option it is about, what was
found there, what was expected, and what to do. The command turns them into exit codes (`cli.py`).
"""


class S2TError(Exception):
    """Base of everything this project raises on purpose."""


class AudioError(S2TError):
    """A recording that cannot be read or used: damaged, empty, too short, of unknown rate, not finite."""


class IncompleteAudioError(AudioError):
    """A recording that is damaged or cut short; all the sound there is has been given before."""


class ModelError(S2TError):
    """A model that is refused: a file missing or damaged, a weight unknown, missing, misshaped or not finite."""


class HubError(ModelError):
    """A model that is neither in the local cache nor to be had from the hub."""


class OptionError(S2TError, ValueError):
    """An argument with a value that means nothing here, or two that contradict each other."""


class BackendError(S2TError):
    """A backend asked for by name that cannot run on this machine."""


class InputWarning(UserWarning):
    """Something about an input that a careful user wants to know, though there is an answer (float peak above 1.5)."""
