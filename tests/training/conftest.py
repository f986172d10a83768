"""A corpus for runs, and the command that trains on it."""

import pytest

from tests.training.small_corpus import arguments, write_corpus


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def train(run, table, tmp_path):
    """Train on the corpus; (exit code, stdout, stderr)."""
    return lambda *more, where="run": run(*arguments(table, tmp_path / where, *more))
