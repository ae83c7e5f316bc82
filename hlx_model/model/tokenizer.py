"""Characters as tokens: the 117 symbols that every HLX Brain reads and writes.

The order is part of every checkpoint: `VOCABULARY_SHA256` is recorded in each manifest, because
a permuted vocabulary is invisible in every loss.
"""

import hashlib
from collections.abc import Iterable

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


def unknown_characters(text: str) -> str:
    """The characters of `text` that the vocabulary lacks, each once, in order of appearance."""
    if _KNOWN.issuperset(text):
        return ""
    return "".join(dict.fromkeys(c for c in text if c not in _KNOWN))


def encode(text: str) -> list[int]:
    """`text` as token ids, without `<BOS>` and `<EOS>`; characters outside the vocabulary are `<UNK>`."""
    return [_ID_OF.get(character, UNK) for character in text]


def encode_example(text: str) -> list[int]:
    """`<BOS>` text `<EOS>` as token ids."""
    return [BOS, *encode(text), EOS]


def decode(ids: Iterable[int]) -> str:
    """The text of `ids` up to the first `<EOS>`; `<PAD>` and `<BOS>` are dropped, `<UNK>` stays visible."""
    characters: list[str] = []
    for index in ids:
        if index == EOS:
            break
        if index not in (PAD, BOS):
            characters.append(SYMBOLS[index])
    return "".join(characters)
