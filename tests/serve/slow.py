"""A model that can be made to wait, so that a test sees what happens meanwhile."""

import threading
import time
from dataclasses import replace


class Slow:
    """A model whose encoder waits until it is let go; it counts how often it was begun and ended."""

    def __init__(self, model, seconds=None):
        self.gate, self.seconds, self.begun, self.steps = threading.Event(), seconds, 0, 0
        encode, together = model.backend.encode, model.backend.step_together

        def slow_encode(*args):
            self.begun += 1
            assert self.gate.wait(20)
            return encode(*args)

        def slow_together(*args):
            self.steps += 1
            time.sleep(self.seconds or 0)
            return together(*args)

        self.model = replace(model, backend=model.backend._replace(encode=slow_encode, step_together=slow_together))

    def wait_until_begun(self, count=1):
        deadline = time.monotonic() + 10
        while self.begun < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
