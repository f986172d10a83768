"""Names of files as text: bytes that are not UTF-8 are legible, and the name still leads to the file."""

import json
import os

import pytest

from s2t_np.system.names import encodable, encoded, is_utf8, legible, legible_json, local_name

NAMES = {
    b"plain": "plain",
    "gr\u00fcn \U0001f3a4".encode(): "gr\u00fcn \U0001f3a4",
    b"caf\xe9": r"caf\xe9",
    b"\xff\xc3\xa9\xc3": "\\xff\u00e9\\xc3",
}


@pytest.mark.parametrize("raw", NAMES)
@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_is_legible_in_every_locale(raw, encoding):
    name = raw.decode(encoding, "surrogateescape")  # as Python reads it, where the locale has that encoding
    assert legible(name) == NAMES[raw]
    assert encoded(name) == raw
    line = json.dumps({"name": name}, ensure_ascii=False)
    assert json.loads(legible_json(line).encode("utf-8")) == {"name": NAMES[raw]}


def test_halves_that_are_not_bytes_become_escapes():
    assert legible("a\ud800b\udfff") == r"a\ud800b\udfff"
    assert encoded("a\ud800b\udcff") == b"a\\ud800b\xff"
    assert encodable("gr\u00fcn\udcff") == "gr\u00fcn\udcff"


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX")
def test_a_name_of_a_utf8_file_opens_the_file():
    for raw in NAMES:
        assert os.fsencode(local_name(raw.decode("utf-8", "surrogateescape"))) == raw
        assert is_utf8(os.fsdecode(raw)) == (raw.decode("utf-8", "ignore").encode() == raw)
    with pytest.raises(ValueError, match="surrogates not allowed"):
        local_name("\ud800")
