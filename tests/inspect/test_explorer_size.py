"""The page of ten seconds in the shape of the small released model: below 10 MB, and usable after 1.5 s."""

import pytest

import s2t_np
from s2t_np.inspect.explorer import STAGES, page
from s2t_np.inspect.trace import trace
from tests.support.browsers import CHROMIUM, opener
from tools.random_checkpoint import shape_config, write_checkpoint
from tools.signals import harmonics

pytest.importorskip("playwright.sync_api", reason="needs playwright: drives a browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: the page is opened in it")

MOST_BYTES, MOST_SECONDS = 10_000_000, 1.5
METRICS = "Performance.getMetrics"


def test_ten_seconds_of_the_small_shape_are_below_10_mb(tmp_path, chromium, record_property):
    """Seconds are those of the page's main thread on the processor, so that other work on the machine does not count."""
    folder = write_checkpoint(tmp_path / "small", shape_config("small"))
    model = s2t_np.load(folder, backend="numpy")
    seen = trace(model, harmonics(0, 10.0), STAGES, sampling_rate=16000, num_beams=1, max_length=12)
    document = page(seen, model).encode()
    (tmp_path / "page.html").write_bytes(document)
    with opener(chromium, (tmp_path / "page.html").as_uri(), thread_time=True) as open_page:
        tab = open_page()
        found = {entry["name"]: entry["value"] for entry in tab.thread_time.send(METRICS)["metrics"]}
    seconds = found["TaskDuration"]
    record_property("megabytes", len(document) / 1e6)
    record_property("seconds_to_interactive", seconds)
    print(f"\nthe page of 10 s: {len(document) / 1e6:.2f} MB, interactive after {seconds:.2f} s of its main thread")
    assert len(document) < MOST_BYTES
    assert 0 < seconds < MOST_SECONDS
