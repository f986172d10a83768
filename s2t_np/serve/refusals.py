"""Errors in OpenAI's shape: {"error": {"message", "type", "param", "code"}}.

A client's mistake says what was found and what was expected. Nothing of this machine (paths, tracebacks) is told.
"""

from collections.abc import Sequence

from ..errors import AudioError, OptionError, ReadingError, S2TError
from ..system.helpers import is_lack_of_threads
from ..together import Cancelled

KINDS = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
LIMIT_STATUS = 413


class Refusal(S2TError):
    """A request that is not answered as asked, with the HTTP status that says so."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None):
        super().__init__(message)
        self.status, self.param, self.code = status, param, code
        # the headers that the status asks for
        self.headers = {429: {"retry-after": "1"}, 401: {"www-authenticate": "Bearer"}}.get(status, {})

    @property
    def record(self) -> dict:
        """The body of the answer."""
        kind = "server_error" if self.status >= 500 else KINDS.get(self.status, "invalid_request_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def wrong_verb(given: str, expected: Sequence[str]) -> Refusal:
    """The answer to GET where POST is expected, and the like."""
    refusal = Refusal(405, f"the method is {given:.40}, expected {' or '.join(expected)}", code="method_not_allowed")
    refusal.headers = {"allow": ", ".join(expected)}
    return refusal


def is_of_this_machine(error: BaseException | None) -> bool:
    """Return whether an upload could not be read from the disk of the server; the recording is not to blame."""
    return error is not None and (isinstance(error, ReadingError) or is_of_this_machine(error.__cause__))


def refusal_of(error: BaseException, name: str = "") -> Refusal:
    """The refusal that any error of a request becomes; `name` is what our own messages call the recording."""
    if isinstance(error, Refusal):
        return error
    if is_of_this_machine(error):
        return refusal_of_fault(error)
    if isinstance(error, AudioError):
        return Refusal(400, f"file: {str(error).removeprefix(f'{name}: ')}", "file", "invalid_audio")
    if isinstance(error, OptionError):
        return Refusal(400, str(error))
    return refusal_of_fault(error)


def refusal_of_fault(error: BaseException) -> Refusal:
    """The refusal that an error becomes for which the request is not to blame."""
    if isinstance(error, MemoryError):
        return Refusal(507, "there is not enough memory for this recording")
    if isinstance(error, Cancelled):
        return Refusal(503, "the server is shutting down", code="shutting_down")
    if is_lack_of_threads(error):
        return Refusal(503, "the server has no more threads; try again", code="no_threads")
    return Refusal(500, "the server failed to answer this; its log says why", code="internal_error")


def is_expected(error: BaseException) -> bool:
    """Return whether an error is one that requests may cause, rather than a fault to log with its traceback."""
    expected = isinstance(error, S2TError | MemoryError | Cancelled) or is_lack_of_threads(error)
    return expected and not is_of_this_machine(error)
