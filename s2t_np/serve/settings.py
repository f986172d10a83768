"""The face of a server: what is served, to whom, and the limits that keep a server standing."""

import re
from dataclasses import dataclass, field

from ..errors import OptionError
from ..settings.fields import bounded_number, check_fields

MEGABYTE = 10**6
KEY = re.compile(r"[A-Za-z0-9._~-]{8,200}")
KEY_EXPECTED = "8 to 200 of the characters A-Z a-z 0-9 . _ ~ -"  # those that a WebSocket's subprotocol may hold, too
TASKS = ("transcribe", "translate")


@dataclass(frozen=True)
class Limits:
    """Bounds on what requests may ask for. Together they bound the memory and the disk that a server uses."""

    max_upload: float = bounded_number(100, "megabytes of one upload", 0.001)
    max_duration: float = bounded_number(7200, "seconds of sound in one recording, uploaded or live", 1)
    max_waiting: float = bounded_number(32, "requests that may wait for a worker; one more is answered with 429")
    max_live: float = bounded_number(4, "live sessions at a time; one more is turned away")
    max_connections: float = bounded_number(256, "connections at a time; one more is answered with 503", 1)
    upload_time: float = bounded_number(120, "seconds that an upload may take to arrive", 0.1)
    time_limit: float = bounded_number(600, "seconds that a request may compute, after its wait", 0.1)
    idle_time: float = bounded_number(60, "seconds without sound after which a live session is closed", 0.1)

    def __post_init__(self):
        check_fields(self, "limits", OptionError)

    @property
    def upload_bytes(self) -> int:
        """`max_upload` in bytes."""
        return round(self.max_upload * MEGABYTE)


@dataclass(frozen=True)
class Settings:
    """The face of a server."""

    names: tuple[str, ...]  # the names that requests may give the model, its own first
    task: str = "transcribe"  # or "translate": which of the two endpoints the model is for
    language: str = "en"  # that it hears: a request that names another one is refused
    api_key: str | None = None  # None: everyone may ask
    hosts: tuple[str, ...] = ()  # names in a Host header, beside localhost and every address in numbers
    origins: tuple[str, ...] = ()  # web pages of other servers that may ask: https://example.org
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self):
        if self.api_key is not None and not KEY.fullmatch(self.api_key):
            raise OptionError(f"the API key has to be {KEY_EXPECTED}")
        for origin in self.origins:
            if not re.fullmatch(r"https?://[^/\s]+", origin):
                raise OptionError(f"origin {origin!r:.80}: expected a scheme and a host, such as https://example.org")


def model_name(given: str) -> str:
    """The name that requests give a model: a hub id or a bundled model's as it is, of a path only the last part."""
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", given) and not given.startswith("."):
        return given
    parts = [part for part in re.split(r"[/\\]", given) if part.strip(".")]
    return parts[-1] if parts else "model"


def task_of(name: str, languages) -> str:
    """The task of a model, by its languages or the name that released checkpoints have (s2t-small-covost2-de-en-st)."""
    return "translate" if languages or re.search(r"-st\b", name) else "transcribe"
