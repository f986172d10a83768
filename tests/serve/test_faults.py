"""The machine of the server fails: no part of an upload passes for the whole, and the recording is not blamed."""

import io

import pytest

from s2t_np.longform.options import StreamOptions
from s2t_np.serve.explorer import Explorer
from s2t_np.serve.parameters import wanted
from s2t_np.serve.refusals import Refusal, is_expected
from s2t_np.serve.settings import Limits, Settings
from s2t_np.serve.transcribe import Hearer, transcribe
from tests.serve.conftest import FIVE
from tests.support.sounds import encode, signal


class FailingDisk(io.BytesIO):
    """An upload whose bytes from `place` on cannot be read."""

    def __init__(self, data: bytes, place: int):
        super().__init__(data)
        self.place = place

    def read(self, count: int = -1) -> bytes:
        data = super().read(count)
        if self.tell() > self.place and data:
            raise OSError(5, "Input/output error")
        return data


def heard(digits, file):
    fields = wanted([("model", "digits")], "transcribe", digits, Settings(("digits",)))
    return transcribe(Hearer(digits, 1), file, fields, StreamOptions(), {}, Limits(), lambda segment: None)


@pytest.mark.parametrize("place", [0, 200_000])
def test_a_disk_that_fails_is_an_error_of_the_server(digits, place):
    whole = encode(signal(400_000), container="WAV")
    assert heard(digits, FailingDisk(whole, len(whole))).duration == 25.0
    with pytest.raises(Refusal) as caught:
        heard(digits, FailingDisk(whole, place))
    assert (caught.value.status, caught.value.code) == (500, "internal_error")
    assert not is_expected(caught.value)  # the log gets its traceback


def test_a_page_of_the_explorer_is_not_made_of_a_part(digits):
    with pytest.raises(Refusal) as caught:
        Explorer(digits).samples_of(FailingDisk(FIVE.read_bytes(), 15_000))
    assert caught.value.status == 500


def test_a_recording_that_is_damaged_is_still_told_as_such(digits):
    data = FIVE.read_bytes()
    assert heard(digits, io.BytesIO(data[: len(data) * 2 // 3])).incomplete
