"""Where the tests find things, and the skips for what a machine may not have."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"  # real recordings and reference files, beside the clone on the project's own machines
LIBRISPEECH = SHARED / "audio" / "LibriSpeech"
CHECKPOINT_CONFIGS = SHARED / "reference" / "checkpoints"
RECORDINGS = ROOT / "s2t_np" / "recordings"  # the bundled recordings
DIGITS = ROOT / "s2t_np" / "models" / "digits"  # the bundled model

needs_shared = pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared (recordings and real config files)")
