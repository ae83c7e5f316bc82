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


def encode_example(text: str) -> list[int]:
    """Return the token ids of `<BOS>`, `text` and `<EOS>`."""
    return [BOS, *encode(text), EOS]


def decode(ids: Iterable[int]) -> str:
    """Return the text of `ids` up to the first `<EOS>`, without `<PAD>` and `<BOS>`; `<UNK>` stays visible."""
    written = takewhile(lambda index: index != EOS, ids)
    return "".join(SYMBOLS[index] for index in written if index not in (PAD, BOS))
