"""All machine code is in memory after `complete`: in a process with threads, after a fork, and for mapped weights."""

import multiprocessing
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from s2t_np_kernels.build import entry, runtime

from s2t_np_kernels import backend
from tests.support.kernel_models import model
from tests.support.paths import ROOT

pytest.importorskip("numba")


def test_every_entry_that_the_host_declares_has_machine_code():
    backend.complete()
    for name, kernel in entry.entries.items():
        assert not name.startswith(("ops.", "decoder.", "encoder.")) or kernel.function is not None, name


def test_the_running_process_does_not_import_numba():
    code = (
        "import sys\nfrom s2t_np_kernels import backend\nbackend.complete()\nimport s2t_np\n"
        "s2t_np.load('digits', backend='numba')\nprint('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def _complete(queue):
    runtime.complete()
    queue.put("done")


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_a_child_does_not_wait_for_a_lock_of_its_parent():
    held, release = threading.Event(), threading.Event()

    def hold():
        with runtime._lock.lock:
            held.set()
            release.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(60)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_complete, args=(queue,), daemon=True)
    child.start()
    try:
        assert queue.get(timeout=30) == "done"
    finally:
        release.set()
        holder.join()
        child.kill()


def mapped(node, path):
    """The packed tree with its arena in a file that cannot be written to, as joblib's workers get it."""
    if hasattr(node, "arena"):
        if not path.exists():
            node.arena.tofile(path)
        return node._replace(arena=np.memmap(path, np.float32, "r"))
    if isinstance(node, tuple):
        children = [mapped(child, path) for child in node]
        return type(node)(*children) if hasattr(node, "_fields") else tuple(children)
    return node


@pytest.mark.parametrize("dtype", ("float32", "float16", "int8"))
def test_weights_may_be_a_read_only_memory_map(dtype, tmp_path):
    config, plain = model("lanes-even")
    ops, x = backend.OPS[dtype], np.ones((70, config.input_feat_per_channel), np.float32)
    packed = ops.prepare(plain)
    expected = backend.encode(ops, packed.encoder, config, x)
    weights = mapped(packed, tmp_path / "arena")
    assert np.array_equal(backend.encode(ops, weights.encoder, config, x), expected)
    tokens, logits = np.array([4, 5]), []
    for each in (packed, weights):
        cache = backend.start_cache(ops, each, config, expected, 2)
        logits.append(backend.step(ops, each, config, tokens, cache).logits)
    assert np.array_equal(*logits)
