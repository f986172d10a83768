"""The twenty released shapes against transformers, few and narrow layers: one recording, each search and language.

`python -m tools.official_shapes` does the same at full size and with four recordings of each.
"""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("kaldi_native_fbank")

from s2t_np.checkpoint.official import official
from tests.parity.pairs import upstream
from tools.official_shapes import compare


@pytest.mark.parametrize("name", official())
def test_processor_and_generate_say_the_same(name, tmp_path, capsys):
    result = compare(official()[name], tmp_path / "model", upstream(), narrow=True, count=1)
    with capsys.disabled():
        print(f"\n{name}: {result.pairs} pairs, {len(result.explained)} near ties", end="")
    assert result.faults == []
    assert result.pairs >= 5 and len(result.explained) <= 1
