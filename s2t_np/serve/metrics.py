"""Counters in the text format of Prometheus (prometheus.io, "Exposition formats", version 0.0.4).

Labels come from the table of routes and from status codes, never from a request, so their number is bounded.
"""

import os
import sys
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)  # seconds


def resident_bytes() -> int:
    """The memory that this process holds, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


class Metrics:
    """Counts what a server has done so far."""

    def __init__(self):
        self.lock, self.requests, self.durations = threading.Lock(), Counter(), Counter()
        self.total_seconds, self.sound_seconds, self.segments = 0.0, 0.0, 0

    def answered(self, endpoint: str, status: int, took: float) -> None:
        """One request, `took` in seconds."""
        with self.lock:
            self.requests[endpoint, status] += 1
            self.durations[bisect_left(BUCKETS, took)] += 1
            self.total_seconds += took

    def heard(self, sound: float, segments: int) -> None:
        """Sound that was transcribed, in seconds, and the segments found in it."""
        with self.lock:
            self.sound_seconds += sound
            self.segments += segments

    def text(self, gauges: Mapping[str, float]) -> str:
        """Everything as text; `gauges`: name -> value, of now."""
        with self.lock:
            lines = [*self.counters(), *self.histogram()]
        gauges = {"process_resident_memory_bytes": resident_bytes(), **gauges}
        for name, value in gauges.items():
            lines += [f"# TYPE {name} gauge", f"{name} {value:g}" if value < 1e6 else f"{name} {value:.0f}"]
        return "\n".join([*lines, ""])

    def counters(self) -> Iterator[str]:
        """The lines of the counters."""
        yield "# TYPE s2t_np_requests_total counter"
        for (endpoint, status), count in sorted(self.requests.items()):
            yield f's2t_np_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
        yield "# TYPE s2t_np_sound_seconds_total counter"
        yield f"s2t_np_sound_seconds_total {self.sound_seconds:.3f}"
        yield "# TYPE s2t_np_segments_total counter"
        yield f"s2t_np_segments_total {self.segments}"

    def histogram(self) -> Iterator[str]:
        """The lines of the durations of requests."""
        name, total = "s2t_np_request_seconds", 0
        yield f"# TYPE {name} histogram"
        for i, limit in enumerate((*BUCKETS, float("inf"))):
            total += self.durations[i]
            yield f'{name}_bucket{{le="{"+Inf" if limit == float("inf") else f"{limit:g}"}"}} {total}'
        yield f"{name}_sum {self.total_seconds:.6f}"
        yield f"{name}_count {total}"


def log(message: str) -> None:
    """A line in the server's log."""
    print(f"s2t-np: {message}", file=sys.stderr, flush=True)
