#!/usr/bin/env python3
"""Load a running server with many clients at once, and see whether anything is lost and whether its memory grows.

    s2t-np serve --model digits &
    python -m tools.serve_load [--url http://127.0.0.1:8000] [--clients 16] [--requests 1000] [--minutes M]

Every client sends the two bundled recordings in turn, in all response formats, and compares the text. A 429 is waited
out. It prints the number of answers, their rate, their median and longest time, and the server's memory as it goes.
"""

import argparse
import json
import re
import statistics
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path

RECORDINGS = Path(__file__).parent.parent / "s2t_np" / "recordings"
TEXTS = {"five-five": "five five", "two-nine-three-four-zero": "two nine three four zero"}
FORMATS = ("json", "text", "srt", "vtt", "verbose_json")
BOUNDARY = "a-line-that-no-recording-holds"
PATIENCE = 60.0  # seconds that a client goes on asking a server that is busy


@dataclass
class Seen:
    """The outcome of a run."""

    right: int = 0
    wrong: list[str] = field(default_factory=list)  # texts
    failed: list[str] = field(default_factory=list)  # errors
    seconds: list[float] = field(default_factory=list)  # each answer took
    resident: list[float] = field(default_factory=list)  # bytes, once every few answers

    @property
    def first_resident(self) -> float:
        """The server's memory in the first tenth of the run, in bytes."""
        return statistics.median(self.resident[: max(1, len(self.resident) // 10)])

    @property
    def last_resident(self) -> float:
        """The same for the last tenth."""
        return statistics.median(self.resident[-max(1, len(self.resident) // 10) :])


def form(name: str, response_format: str) -> bytes:
    """A request with the recording of that name."""
    fields = {"model": "digits", "response_format": response_format}
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}.flac"\r\n\r\n'
    data = (RECORDINGS / f"{name}.flac").read_bytes()
    return "".join([*parts, head]).encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def ask(url: str, body: bytes) -> str:
    """The answer to a request; a busy server is asked again. Raises OSError."""
    kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    request = urllib.request.Request(f"{url}/v1/audio/transcriptions", body, kind)
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            if error.code != 429 or time.monotonic() > give_up:
                raise
            time.sleep(0.2)


def resident(url: str) -> float:
    """The server's memory in bytes, as it says itself."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        return float(re.search(r"^process_resident_memory_bytes (\S+)$", answer.read().decode(), re.MULTILINE)[1])


def one(url: str, number: int, seen: Seen) -> None:
    """Send request `number` and note what comes of it."""
    name = list(TEXTS)[number % len(TEXTS)]
    kind = FORMATS[number // len(TEXTS) % len(FORMATS)]
    begun = time.monotonic()
    try:
        answer = ask(url, form(name, kind))
    except OSError as error:
        seen.failed.append(str(error))
        return
    seen.seconds.append(time.monotonic() - begun)
    text = json.loads(answer)["text"] if "json" in kind else answer
    if TEXTS[name] in text:
        seen.right += 1
    else:
        seen.wrong.append(answer)
    if number % 8 == 0:
        seen.resident.append(resident(url))


def load(url: str, clients: int, requests: int, minutes: float = 0.0) -> Seen:
    """`requests` requests, or as many as fit the minutes, from `clients` clients at once."""
    seen, end = Seen(), time.monotonic() + 60 * minutes
    numbers = takewhile(lambda _: time.monotonic() < end, count()) if minutes else iter(range(requests))

    def client(_) -> None:
        for number in shared:
            one(url, number, seen)

    shared = Shared(numbers)
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    return seen


class Shared:
    """An iterator that several threads may take from."""

    def __init__(self, numbers):
        self.numbers, self.lock = numbers, threading.Lock()

    def __iter__(self):
        return self

    def __next__(self):
        with self.lock:
            return next(self.numbers)


def check_server(url: str) -> None:
    """End with one line if no server answers: clients that try again at once would only heat the machine."""
    try:
        urllib.request.urlopen(f"{url}/health", timeout=10).close()
    except OSError as error:
        raise SystemExit(f"{url}: no server answers ({error}); start one: s2t-np serve --model digits") from None


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=0.0)
    args = parser.parse_args()
    check_server(args.url)
    begun = time.monotonic()
    seen = load(args.url, args.clients, args.requests, args.minutes)
    took = time.monotonic() - begun
    print(f"{seen.right} right, {len(seen.wrong)} wrong, {len(seen.failed)} failed in {took:.1f} s", *seen.failed[:3])
    print(f"{len(seen.seconds) / took:.1f} a second, median {statistics.median(seen.seconds):.2f} s, longest", end=" ")
    print(f"{max(seen.seconds):.2f} s; memory {seen.first_resident / 1e6:.1f} -> {seen.last_resident / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
