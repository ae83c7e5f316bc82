"""Characters as tokens: the 117 symbols that every HLX Brain reads and writes.

Their order is part of every checkpoint. `VOCABULARY_SHA256` is recorded in each manifest, because no loss shows that
two symbols have changed places.
"""

import hashlib
from collections.abc import Iterable
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

PAD, BOS, EOS, UNK = range(4)
SPECIAL = ("<PAD>", "<BOS>", "<EOS>", "<UNK>")
CHARACTERS = (
    "∅⊤⊥⟁⊠🜊🜁🜂🜃🜄◇◆→λ∀∃"
    "0123456789"
    " \n\t.,:;\"'()[]{}@#$%&*+-=/\\|<>~`^_?!"
    "abcdefghijklmnopqrstuvwxyz"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)
SYMBOLS = (*SPECIAL, *CHARACTERS)
VOCABULARY_SIZE = len(SYMBOLS)
VOCABULARY_SHA256 = hashlib.sha256("\0".join(SYMBOLS).encode()).hexdigest()

_ID_OF = {symbol: index for index, symbol in enumerate(SYMBOLS)}
_KNOWN = frozenset(CHARACTERS)
_ID_OF_POINT = np.full(0x110000, UNK, np.uint8)
_ID_OF_POINT[[ord(character) for character in CHARACTERS]] = range(len(SPECIAL), VOCABULARY_SIZE)


BOS_BYTE, EOS_BYTE = 0xFF, 0xFE
"""In `encode_utf8`, what becomes `<BOS>` and `<EOS>`."""
_CONTINUED = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""
_LATER = 0xFF
"""In place of the id of a character of several bytes; no id is so large."""
_ID_OF_BYTE = bytes(
    {BOS_BYTE: BOS, EOS_BYTE: EOS}.get(byte, int(_ID_OF_POINT[byte]) if byte < 0x80 else _LATER) for byte in range(256)
)
_BYTE_MASKS = ((0, 0xFF), (1, 0x3F), (2, 0x3F), (3, 0x3F))
"""Of each byte of a character, which of its bits count."""


def unknown_characters(text: str) -> str:
    """Return the characters of `text` that are not in the vocabulary, each once, in order of appearance."""
    if _KNOWN.issuperset(text):
        return ""
    return "".join(dict.fromkeys(c for c in text if c not in _KNOWN))


def encode(text: str) -> list[int]:
    """Return the token ids of `text`, without `<BOS>` and `<EOS>`; unknown characters become `<UNK>`."""
    return [_ID_OF.get(character, UNK) for character in text]


def encode_array(text: str) -> NDArray[np.uint8]:
    """Return what `encode` returns as an array (characters,); one look-up for all of them, whatever their number."""
    return _ID_OF_POINT[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))]


def encode_utf8(content: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the token ids of UTF-8 as an array (characters,), without making a string of it.

    Args:
        content: the bytes (bytes,). `BOS_BYTE` and `EOS_BYTE`, which no UTF-8 has, become `<BOS>` and `<EOS>`.
    """
    ids = np.frombuffer(bytearray(content).translate(_ID_OF_BYTE, _CONTINUED), np.uint8)
    begins = np.flatnonzero((content >= _CONTINUED[-1] + 1) & (content < EOS_BYTE))
    # As many bytes as the longest character has.
    first, second, third, fourth = (
        content.take(begins + place, mode="clip").astype(np.uint32) & mask for place, mask in _BYTE_MASKS
    )
    of_three, of_four = (first & 0x0F) << 12 | second << 6 | third, (first & 0x07) << 18 | second << 12 | third << 6
    of_two, of_four = (first & 0x1F) << 6 | second, of_four | fourth
    points = np.where(first < 0xE0, of_two, np.where(first < 0xF0, of_three, of_four))
    ids[ids == _LATER] = _ID_OF_POINT[np.minimum(points, len(_ID_OF_POINT) - 1)]
    return ids


def encode_example(text: str) -> list[int]:
    """Return the token ids of `<BOS>`, `text` and `<EOS>`."""
    return [BOS, *encode(text), EOS]


def decode(ids: Iterable[int]) -> str:
    """Return the text of `ids` up to the first `<EOS>`, without `<PAD>` and `<BOS>`; `<UNK>` stays visible."""
    written = takewhile(lambda index: index != EOS, ids)
    return "".join(SYMBOLS[index] for index in written if index not in (PAD, BOS))
