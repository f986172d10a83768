"""A process that has the program loaded and forks for each run, so that a run takes tens of milliseconds.

It reads a line of JSON for each run ({"argv", "folder", "out", "error", "limit"}) and answers with {"code"}. A forked
child arms the order of the library that makes calls fail, if one is loaded, and does what `python -m s2t_np` does from
`main` on; its exit code is that of the process, and -14 if it ran for too long. With "learn" in a request, the
process imports afterwards what that run has imported: later runs find it there.

    python -m tools.faults.runner [MODULE ...]              # modules that are to be missing
    python -m tools.faults.runner --once JSON [MODULE ...]  # one run in this process, with nothing loaded before
"""

import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path

from .shim import Board

LEARNED = ".modules"  # after the name of the file for errors: the modules that a run has loaded
EVERYWHERE = ("s2t_np.cli", "scipy.signal", "sentencepiece", "soundfile")


def load(modules: list[str]) -> None:
    """Import modules, as far as they can be. Raises RuntimeError where one starts a thread: a fork would lose it."""
    for name in modules:
        with suppress(ImportError):
            importlib.import_module(name)
    if (threads := len(os.listdir("/proc/self/task"))) > 1:
        raise RuntimeError(f"the process that forks has {threads} threads, expected 1")
    gc.collect()
    gc.freeze()  # a collection in a child would write to all of it, and so copy it


def build_once() -> None:
    """Build the parser of the command line, a sixth of a short run, here: it reads no file and nothing changes it."""
    from s2t_np import cli

    parser = cli.build_parser()
    cli.build_parser = lambda: parser


def run(request: dict, board: Board | None) -> None:
    """Be the command: never returns."""
    from s2t_np.__main__ import main

    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a campaign itself ignores them (nohup)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.chdir(request["folder"])
        for number, name in ((0, os.devnull), (1, request["out"]), (2, request["error"])):
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(name, flags, 0o666), number)
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
        if request.get("learn"):
            Path(request["error"] + LEARNED).write_text("\n".join(sys.modules))
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
    watched = os.pidfd_open(pid)
    late = not select.select([watched], [], [], limit)[0]
    os.close(watched)
    if late:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return -signal.SIGALRM if late else code  # no run ends by that of itself


def serve(board: Board | None) -> None:
    """Answer until the input ends."""
    load([*EVERYWHERE])
    build_once()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            run(request, board)
        code = ended(pid, request["limit"])
        if request.get("learn"):
            load(Path(request["error"] + LEARNED).read_text().splitlines())
        print(json.dumps({"code": code}), file=answers, flush=True)


def main() -> None:
    """Make modules missing; then run once, or answer."""
    words = sys.argv[1:]
    once = json.loads(words[1]) if words[:1] == ["--once"] else None
    sys.modules.update(dict.fromkeys(words[2:] if once else words))
    board = Board(Path(os.environ["S2T_FAULTS"])) if "S2T_FAULTS" in os.environ else None
    if once:
        run(once, board)
    serve(board)


if __name__ == "__main__":
    main()
