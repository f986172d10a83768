"""The lines that huggingface_hub logs by itself while it downloads."""

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

pytest.importorskip("huggingface_hub", reason="needs huggingface_hub, the real client")
WARNS = """
import huggingface_hub
from huggingface_hub.utils import logging
from s2t_np.checkpoint.hub_download import bars
before, logger = logging.get_verbosity(), logging.get_logger("huggingface_hub.anything")
with bars(huggingface_hub, None):
    logger.warning("Ignoring corrupted tree cache file")
    logger.error("an error")
assert logging.get_verbosity() == before
"""


def test_warnings_of_the_client_that_harm_nothing_are_left_out(tmp_path):
    env = os.environ | {"PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", WARNS], env=env, capture_output=True, text=True, check=True)
    assert done.stderr == "an error\n"
