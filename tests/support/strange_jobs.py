"""A module for assistants to serve: some of its jobs end badly."""

import os
import time

from s2t_np_kernels.build import compile_workers


def serve(modules: list[str]) -> None:
    compile_workers.serve(modules, make)


def make(name: str) -> bytes:
    """What an assistant may meet while it compiles."""
    if name == "die":
        os._exit(1)
    if name == "hang":
        time.sleep(100)
    if name == "chatter":
        os.write(1, b"to standard output, where answers go")
    return {"fail": None, "nothing": b""}.get(name, name.encode())
