"""What holds for the whole suite: programs started by tests can be interrupted, even where the suite runs behind `&`.

A shell that starts a job in the background lets it ignore SIGINT, and programs inherit that.
"""

import signal

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
