"""numpy's files are read or refused with ValueError, whatever is damaged."""

import io
import zipfile

import numpy as np
import pytest

from s2t_np.checkpoint.fairseq.data_config import read_statistics
from s2t_np.errors import AudioError, ModelError
from s2t_np.evaluation.stored import array_of
from s2t_np.inspect.golden.dump import read_written
from s2t_np.system.numpy_files import read_numpy

WHOLE = np.arange(6, dtype=np.float32).reshape(2, 3)


def npy(descr: bytes = b"'<f4'", shape: bytes = b"(2, 3)") -> bytes:
    """An .npy file, format 1.0, with a header of its own."""
    header = b"{'descr': %s, 'fortran_order': False, 'shape': %s, }\n" % (descr, shape)
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + WHOLE.tobytes()


def npz(**files: bytes) -> bytes:
    with zipfile.ZipFile(out := io.BytesIO(), "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{name}.npy", data)
    return out.getvalue()


DAMAGED = {
    "a type that Python cannot parse": npy(b"',f4'"),  # numpy raises SyntaxError
    "a type that does not exist": npy(b"'f3'"),
    "a type of another kind": npy(b"7"),
    "brackets that do not end": npy(b"'<f4'", b"(2, 3"),
    "deep brackets": npy(b"'<f4'", b"(" * 3000 + b")" * 3000),
    "a shape that no memory holds": npy(b"'<f4'", b"(9999999999, 999999999)"),
    "a shape beyond all numbers": npy(b"'<f4'", b"(%d, 3)" % 10**40),
    "objects": npy(b"'|O'"),
    "a part": npy()[:-3],
    "nothing": b"",
}


def test_whole_files():
    np.testing.assert_array_equal(read_numpy(io.BytesIO(npy())), WHOLE)
    (name, array), *more = read_numpy(io.BytesIO(npz(mean=npy()))).items()
    assert name == "mean" and (array == WHOLE).all() and not more


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_files_are_refused_by_every_reader(what, tmp_path):
    (path := tmp_path / "a.npy").write_bytes(DAMAGED[what])
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        read_numpy(path)
    with pytest.raises(AudioError, match=r"a\.npy: is not an array that can be read"):
        array_of(path, str(path))
    with pytest.raises(ModelError, match=r"a\.npy: cannot be read as numpy's"):
        read_written(path)
    (path := tmp_path / "g.npz").write_bytes(npz(mean=DAMAGED[what], std=npy()))
    with pytest.raises(ModelError, match=r"g\.npz: expected an \.npz with mean and std of 80 numbers"):
        read_statistics({"stats_npz_path": "g.npz"}, 80, tmp_path / "config.yaml")


def test_damaged_archives_are_refused():
    archive = npz(mean=npy())
    broken = [archive[:-30], archive.replace(b"\x93NUMPY", b"\x93NOMPY")]
    encrypted = bytearray(archive)
    encrypted[archive.index(b"PK\x01\x02") + 8] |= 1
    for damaged in (*broken, bytes(encrypted)):
        with pytest.raises(ValueError, match=r"."):
            read_numpy(io.BytesIO(damaged))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_numpy(tmp_path / "missing.npy")
