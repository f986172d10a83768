"""A process that has the program loaded and forks for each run, so that thousands of runs take minutes.

It reads a line of JSON for each run ({"argv", "folder", "out", "error", "limit", "environment"}) and answers with
{"code"}. A forked child arms the order of the library that makes calls fail, if one is loaded, and does what
`python -m s2t_np` does from `main` on; its exit code is that of the process, and -14 if it ran for too long.
"""

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from .shim import Board

SLICE = 0.002  # s between two looks at a child


def load() -> None:
    """Import all that a command needs, with one thread: a fork has only the thread that called it."""
    import contextlib

    import scipy.signal  # noqa: F401
    import sentencepiece  # noqa: F401
    import soundfile  # noqa: F401

    import s2t_np
    import s2t_np.cli
    from s2t_np.cli.commands import evaluation_run, training_run  # noqa: F401

    with contextlib.suppress(ImportError):  # an extra
        from huggingface_hub import HfApi, hf_hub_download  # noqa: F401
    s2t_np.load("digits", backend="numpy").transcribe(s2t_np.__path__[0] + "/recordings/five-five.flac")


def run(request: dict, board: Board | None) -> None:
    """Be the command: never returns."""
    from s2t_np.__main__ import main

    code = 1
    try:
        os.chdir(request["folder"])
        for number, name in ((0, os.devnull), (1, request["out"]), (2, request["error"])):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags, 0o666), number)
        os.environ.update(request["environment"])
        sys.argv = ["s2t-np", *request["argv"]]
        if board:
            board.arm()
        code = main()
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        left = close_streams()
        os._exit(code or left)


def close_streams() -> int:
    """As the interpreter does at its end: exit code 120 where output is lost."""
    code = 0
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = 120
    return code


def ended(pid: int, limit: float) -> int:
    """The exit code of a child, which is killed after `limit` seconds."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(SLICE)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return -signal.SIGALRM  # no run ends by that of itself


def main() -> None:
    """Answer until the input ends."""
    load()
    board = Board(Path(os.environ["S2T_FAULTS"])) if "S2T_FAULTS" in os.environ else None
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            run(request, board)
        print(json.dumps({"code": ended(pid, request["limit"])}), file=answers, flush=True)


if __name__ == "__main__":
    main()
