"""fairseq's dictionary -> vocab.json: piece -> id.

A dictionary is lines of `piece count`, the most frequent first, without the four special pieces that come before them:
<s> 0, <pad> 1, </s> 2, <unk> 3 (fairseq/data/dictionary.py). A piece may contain anything but a line's end; the count
follows the last space. Rows marked `#fairseq:overwrite`, which give one piece two ids, are refused.
"""

from pathlib import Path

from ...config import read_bounded
from ...errors import ModelError

SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
MAX_BYTES = 16 << 20  # real ones have 0.2 MB


def read_dictionary(path: Path) -> dict[str, int]:
    """{piece: id} of a dictionary file, special pieces included. Raises ModelError naming the line that is wrong."""
    vocab = {piece: i for i, piece in enumerate(SPECIAL)}
    for number, line in enumerate(read_lines(path), 1):
        piece, _, count = line.rstrip().rpartition(" ")
        if not piece or not count.lstrip("-").isdecimal():
            raise ModelError(f"{path}: line {number} is {line!r:.60}, expected `piece count` as fairseq writes it")
        if piece in vocab:
            raise ModelError(f"{path}: line {number} repeats the piece {piece!r:.40}, expected each piece once")
        vocab[piece] = len(vocab)
    if len(vocab) == len(SPECIAL):
        raise ModelError(f"{path}: holds no piece, expected lines of `piece count` as fairseq writes them")
    return vocab


def read_lines(path: Path) -> list[str]:
    """The lines of a text file of bounded size. Raises ModelError."""
    raw = read_bounded(path, MAX_BYTES, "a dictionary of fairseq")
    try:
        return raw.decode("utf-8").rstrip("\n").split("\n") if raw else []
    except UnicodeDecodeError as error:
        raise ModelError(f"{path}: byte {error.start} is not UTF-8, expected a dictionary of fairseq") from None
