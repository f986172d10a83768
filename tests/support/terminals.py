"""A stand-in for a terminal, for tests of what the command writes to one."""

import io


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True
