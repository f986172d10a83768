"""Locks on open files, which the operating system releases when the process ends, however it ends."""

import errno
import os


def try_lock(file) -> bool | None:
    """Lock an open file against other processes, until it is closed; False if another one has locked it.

    None where locks are not available (Windows, some network file systems).
    """
    if os.name != "posix":
        return None
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True
