"""The program of a process that compiles for another one, which started it (`compile_workers.py`)."""

import importlib
import importlib.util
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path


def load_package(name: str, folder: str):
    """This package from its folder, under the name it has in the parent."""
    spec = importlib.util.spec_from_file_location(
        name, str(Path(folder) / "__init__.py"), submodule_search_locations=[folder]
    )
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return importlib.import_module(f"{name}.build.modules")


def listen(orders: queue.SimpleQueue) -> None:
    """Pass orders on; end with the input, even while something is being compiled."""
    for line in sys.stdin:
        orders.put(line.rstrip("\n"))
    os._exit(0)


def read() -> str:
    """The next order, without a thread that waits for it: the end of the input is noticed between two orders only."""
    if not (line := sys.stdin.readline()):
        os._exit(0)
    return line.rstrip("\n")


def order_taker() -> Callable[[], str]:
    """A function that waits for the next order."""
    orders = queue.SimpleQueue()
    try:
        threading.Thread(target=listen, args=(orders,), daemon=True).start()
    except RuntimeError:  # the system gives no more threads
        return read
    return orders.get


def serve(next_order: Callable[[], str], say) -> None:
    """Compile what is ordered; the first order says where everything is."""
    sys.path[:], name, folder = json.loads(next_order())
    functions = load_package(name, folder).device_functions()
    say({"names": list(functions)})
    while True:
        code = functions[next_order()]()
        say({"defines": code.defines, "needs": code.needs, "size": len(code.data)}, code.data)


def main() -> None:
    """Answer on what was stdout; an exception is an answer too."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed must not be taken for an answer

    def say(answer: dict, data: bytes = b"") -> None:
        answers.write(json.dumps(answer).encode() + b"\n" + data)
        answers.flush()

    try:
        serve(order_taker(), say)
    except KeyboardInterrupt:  # the parent hears it too
        pass
    except BaseException as error:
        say({"error": f"{type(error).__name__}: {error}", "traceback": traceback.format_exc()})


if __name__ == "__main__":
    main()
