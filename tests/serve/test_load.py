"""Many clients at once: every answer right, none lost, memory flat. tools/serve_load.py is the long run."""

import pytest

from tests.serve.conftest import served
from tools.serve_load import load

pytest.importorskip("httpx", reason="needs httpx: a client")


@pytest.mark.slow
def test_sixteen_clients(digits):
    with served(digits, limits={"max_waiting": 32}) as server:
        load(server.url, clients=16, requests=32)  # everything that is made once
        seen = load(server.url, clients=16, requests=96)
        assert (seen.right, seen.wrong, seen.failed) == (96, [], [])
        assert seen.last_resident < 1.1 * seen.first_resident
        assert server.metric('s2t_np_requests_total{endpoint="/v1/audio/transcriptions",status="200"}') == 128
        assert server.metric("s2t_np_running") == server.metric("s2t_np_waiting") == 0
