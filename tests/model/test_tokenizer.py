"""The vocabulary stays as it is: every checkpoint depends on it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hlx_model.model.tokenizer import (
    BOS,
    BOS_BYTE,
    CHARACTERS,
    EOS,
    EOS_BYTE,
    PAD,
    SYMBOLS,
    UNK,
    VOCABULARY_SHA256,
    VOCABULARY_SIZE,
    decode,
    encode,
    encode_example,
    encode_utf8,
    unknown_characters,
)

# Copied from the description of HLX, not from the code.
GIVEN = (
    "∅⊤⊥⟁⊠🜊🜁🜂🜃🜄◇◆→λ∀∃" "0123456789" " \n\t.,:;\"'()[]{}@#$%&*+-=/\\|<>~`^_?!"
    "abcdefghijklmnopqrstuvwxyz" "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
)  # fmt: skip


def test_there_are_117_symbols_in_the_given_order() -> None:
    assert ("<PAD>", "<BOS>", "<EOS>", "<UNK>", *GIVEN) == SYMBOLS
    assert VOCABULARY_SIZE == len(set(SYMBOLS)) == 117
    assert (PAD, BOS, EOS, UNK) == (0, 1, 2, 3)
    assert encode(GIVEN) == list(range(4, 117))


def test_the_hash_of_the_vocabulary_is_what_it_always_was() -> None:
    """Manifests record it: with another one no existing checkpoint can be read."""
    assert VOCABULARY_SHA256 == "836cec064c88f86318386ef0549f42aae8c9429f47b6480482f27adb24da2d45"


@given(st.text(CHARACTERS))
def test_decode_undoes_encode(text: str) -> None:
    assert decode(encode(text)) == text
    assert decode(encode_example(text)) == text
    assert unknown_characters(text) == ""


@given(st.text())
def test_a_symbol_is_one_character_and_unknown_ones_stay_visible(text: str) -> None:
    ids = encode(text)
    assert len(ids) == len(text)
    assert [i == UNK for i in ids] == [c not in CHARACTERS for c in text]
    assert decode(ids) == "".join(c if c in CHARACTERS else "<UNK>" for c in text)


@given(st.lists(st.text(st.one_of(st.sampled_from(CHARACTERS), st.characters(codec="utf-8")))))
def test_utf8_has_the_ids_of_its_characters(texts: list[str]) -> None:
    framed = b"".join(bytes([BOS_BYTE]) + text.encode() + bytes([EOS_BYTE]) for text in texts)
    ids = encode_utf8(np.frombuffer(framed, np.uint8))
    assert ids.tolist() == [token for text in texts for token in encode_example(text)]


def test_unknown_characters_are_named_once_in_order() -> None:
    assert unknown_characters("né pâs né") == "éâ"


def test_an_example_has_a_beginning_and_an_end_where_decoding_stops() -> None:
    assert encode_example("a") == [BOS, *encode("a"), EOS]
    assert decode([BOS, *encode("ab"), EOS, *encode("c"), PAD]) == "ab"
