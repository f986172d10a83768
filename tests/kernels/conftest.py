"""What holds for all tests of the kernels."""

import pytest

from s2t_np.system import threads


@pytest.fixture(autouse=True)
def _threads_as_before():
    """A test may choose how many threads compute."""
    yield
    threads.set_threads(None)
