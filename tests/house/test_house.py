"""The house keeps its rules: who imports whom, how long things are, what says what it is, what starts fast and alone.

Every check is also given something that breaks its rule (tests/support/house.py has the checks).
"""

import inspect
import subprocess
import sys

import pytest

import s2t_np
from tests.support import house
from tests.support.paths import DIGITS, ROOT

RECORDING = next((ROOT / "s2t_np" / "recordings").glob("*.flac"))
HEAVY = ("scipy", "numba", "llvmlite", "soundfile", "sentencepiece", "huggingface_hub", "torch", "transformers")


def sources(*folders):
    """Every Python file below these folders."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in paths}


PACKAGE = sources("s2t_np")
KERNELS = sources("kernels")
ALL = sources("s2t_np", "kernels", "tools", "tests")
MODEL_ROOMS = {f"s2t_np/{room}.py": PACKAGE[f"s2t_np/{room}.py"] for room in house.MODEL_ROOMS}
ORACLE_FILES = {path: text for path, text in ALL.items() if path.startswith("tests/support/oracles")}
LONG = "def f(x):\n" + "    x += 1\n" * 26

# rule, what it judges, and for each kind of violation a file that breaks it
RULES = [
    (
        house.upward_imports,
        PACKAGE,
        [
            ("s2t_np/ops.py", "from .layers import subsample"),
            ("s2t_np/encoder.py", "def f():\n    from s2t_np import model"),
            ("s2t_np/search/beam.py", "from .. import decoder"),
            ("s2t_np/search/beam.py", "from ..weights import build"),
            ("s2t_np/decoder.py", "from .encoder import encode"),
            ("s2t_np/model.py", "from . import load"),
            ("s2t_np/attic.py", "import json"),
        ],
    ),
    (
        house.foreign_imports,
        PACKAGE,
        [
            ("s2t_np/audio.py", "import scipy.signal"),
            ("s2t_np/audio.py", "try:\n    from soundfile import read\nexcept ImportError:\n    read = None"),
            ("s2t_np/ops.py", "def f():\n    import pandas"),
            ("s2t_np/model.py", "def f():\n    from s2t_np_kernels import backend"),
        ],
    ),
    (
        house.kernel_imports,
        KERNELS,
        [
            ("kernels/gemm.py", "import scipy"),
            ("kernels/gemm.py", "from s2t_np.ops import linear"),
            ("kernels/threads.py", "from numba import types"),
            ("kernels/ops/host.py", "from numba import types"),
        ],
    ),
    (
        house.oracle_imports,
        ALL,
        [
            ("s2t_np/convert.py", "def f():\n    import torch.nn"),
            ("tests/test_model.py", "from transformers import pipeline"),
            ("tools/parity.py", "import torch"),
        ],
    ),
    (house.oracle_oracles, ORACLE_FILES, [("tests/support/oracles.py", "from s2t_np.ops import softmax")]),
    (house.long_files, ALL, [("s2t_np/ops.py", "x = 1\n" * 351)]),
    (house.without_introduction, ALL, [("s2t_np/ops.py", "import numpy")]),
    (
        house.long_functions,
        PACKAGE,
        [
            ("s2t_np/ops.py", LONG),
            ("s2t_np/ops.py", "class C:\n" + LONG.replace("def", "    def").replace("    x", " " * 8 + "x")),
        ],
    ),
    (
        house.homonyms,
        KERNELS,
        [
            ("kernels/b.py", "from .encoder.columns import FC1"),
            ("kernels/c.py", "from . import columns\nfrom .decoder.columns import Q"),
        ],
    ),
    (house.undocumented, PACKAGE | KERNELS, [("s2t_np/ops.py", LONG)]),
    (
        house.shapeless,
        MODEL_ROOMS,
        [("s2t_np/ops.py", 'def relu(x: np.ndarray) -> np.ndarray:\n    """Cut off."""\n    return x')],
    ),
]


@pytest.mark.parametrize("rule, judged, _", RULES, ids=lambda x: getattr(x, "__name__", ""))
def test_rule(rule, judged, _):
    assert judged
    assert rule(judged) == []


VIOLATIONS = [(rule, path, text) for rule, _, planted in RULES for path, text in planted]


@pytest.mark.parametrize("rule, path, text", VIOLATIONS, ids=lambda x: getattr(x, "__name__", ""))
def test_a_violation_is_found(rule, path, text):
    found = rule({path: text})
    assert found
    assert all(path in line or "median" in line for line in found)


@pytest.mark.parametrize("other", ["FC1, FC2 = 22, 24", "FC1 = 22", "FC1, FC2 = range(22, 26, 2)"])
def test_a_constant_of_the_same_name_is_found(other):
    found = house.homonyms({"kernels/a.py": "FC1 = 12", "kernels/b.py": other})
    assert found == ["kernels/b.py: FC1 is another thing in kernels/a.py"]
    assert house.homonyms({"kernels/a.py": "FC1 = 12", "kernels/columns.py": other, "kernels/c.py": "FC1 = 12"}) == []


def test_a_class_of_the_same_name_is_found():
    found = house.homonyms({"kernels/a.py": "class Shape: pass", "kernels/b.py": "class Shape: pass"})
    assert found == ["kernels/b.py: Shape is another thing in kernels/a.py"]


def test_a_high_median_is_found():
    nine = "".join(f"def f{i}(x):\n" + "    x += 1\n" * 9 for i in range(3))
    assert house.long_functions({"s2t_np/ops.py": nine}) == ["the median body has 9 lines"]


def test_what_is_allowed_is_not_found():
    """Late imports where they belong, downward imports in every spelling, comments and docstrings at no cost."""
    assert house.foreign_imports({"s2t_np/audio.py": "def f():\n    import soundfile"}) == []
    assert house.foreign_imports({"s2t_np/backend.py": "def f():\n    import s2t_np_kernels.backend"}) == []
    assert house.upward_imports({"s2t_np/search/beam.py": "from ..ops import softmax\nfrom .port import Decoder"}) == []
    assert house.kernel_imports({"kernels/backend.py": "from s2t_np.ops import numpy_ops"}) == []
    assert (
        house.long_functions(
            {"s2t_np/ops.py": 'def f():\n    """Say.\n' + "\n" * 30 + '    """\n' + "    # why\n" * 30 + "    return 1"}
        )
        == []
    )


@pytest.mark.parametrize("name", sorted(set(s2t_np.__all__) - {"DEFAULT_MODEL"}))
def test_the_public_api_is_documented(name):
    thing = getattr(s2t_np, name)
    assert inspect.getdoc(thing)
    for method, value in vars(thing).items() if inspect.isclass(thing) else ():
        if not method.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
            own = value.__func__ if isinstance(value, classmethod | staticmethod) else value
            assert own.__doc__, f"{name}.{method}"


def run_python(code, *arguments):
    """A fresh interpreter in the repository root; what it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_is_quick():
    """Best of five, numpy included; processor time, since the machine may be busy with something else."""
    code = "import time; start = time.process_time(); import s2t_np; print(time.process_time() - start)"
    assert min(float(run_python(code)) for _ in range(5)) < 0.3


def test_import_loads_nothing_heavy():
    loaded = run_python("import s2t_np, sys; print(*sorted({name.split('.')[0] for name in sys.modules}))").split()
    assert "s2t_np" in loaded
    assert not set(HEAVY) & set(loaded)


# An audit hook sees every socket, whoever opens it; torch and transformers are made impossible to import.
ALONE = """
import sys
def hook(event, arguments):
    if event.startswith("socket."):
        raise RuntimeError(f"{event} {arguments}")
sys.addaudithook(hook)
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "transformers"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Missing())  # None in sys.modules would do, but scipy takes that for torch
"""


def test_no_network_and_no_torch_are_needed():
    """Import, load the bundled model, transcribe a file and an array."""
    code = ALONE + (
        "import s2t_np\n"
        "model = s2t_np.load('digits')\n"
        "text = model.transcribe(sys.argv[1]).text\n"
        "model.transcribe([0.0] * 8000, 8000)\n"
        "print(text)"
    )
    assert run_python(code, RECORDING).split()


def test_a_socket_would_be_seen():
    with pytest.raises(AssertionError, match=r"RuntimeError: socket\."):
        run_python(ALONE + "import socket; socket.create_connection(('127.0.0.1', 9))")


def test_the_bundled_model_is_complete():
    names = {path.name for path in DIGITS.iterdir()}
    assert {"config.json", "model.safetensors", "vocab.json", "sentencepiece.bpe.model", "README.md"} <= names


def test_only_documented_names_of_numba_are_used():
    """Numba changes what its manual does not promise; a name of the list that is not used any more is crossed out."""
    assert house.numba_names(KERNELS) == house.NUMBA_NAMES


def test_names_of_numba_are_found_in_every_spelling():
    text = "import numba\nfrom numba import types\nfrom numba.core.codegen import X\nnumba.config.OPT\ntypes.Array"
    assert house.numba_names({"kernels/simd/x.py": text}) == {"types", "core.codegen.X", "config", "types.Array"}
    assert house.kernel_imports({"kernels/backend.py": "from .ops import conv", "kernels/ops/conv.py": ""})
    assert house.kernel_imports({"kernels/threads.py": "from .ops.conv import gate", "kernels/ops/conv.py": ""})
