"""The rules that corpora keep, as predicates: reading a document applies them to each entry, the pandera
schemas apply them again to what was kept.
"""

import re
from collections.abc import Mapping

from hlx_model.environment import MOST_QUARANTINED as MOST_QUARANTINED
from hlx_model.environment import Environment
from hlx_model.language import GRAMMARS, Format, HLXSyntaxError, Value, parse, render, same
from hlx_model.model.tokenizer import unknown_characters

GLYPHS = frozenset("→").union(mark for grammar in GRAMMARS.values() for mark in grammar.marks if not mark.isascii())
"""The glyphs of the formats, and the arrow that separates prompt from answer: no English has them."""

_NOT_IN_ENGLISH = re.compile(rf"\b(?:{'|'.join(Format)}):|<!--|</?[A-Za-z][^<>]*>|&(?:[a-z]{{2,8}}|#\d{{2,5}});")
_MAY_BE_HLX = re.compile(r"""[A-Za-z]+\Z|b"|[^A-Za-z]""")  # what else begins with a letter is no line of any format

# A rule's name, as the checks and the quarantine call it, and what it says.
NOT_EMPTY = "is_not_empty"
IN_VOCABULARY = "in_vocabulary"
IS_ENGLISH = "is_english"
PARSES = "parses"
SAME_VALUE = "four_formats_have_the_same_value"
FITS = "fits_the_sequence_length"
HAS_HLX = "sentence_has_its_own_hlx"
ONCE = "format_given_once"
SENTENCE_ENDS = "sentence_ends_in_its_line"
SENTENCE_ONCE = "sentence_once"


def in_vocabulary(text: str) -> bool:
    """Every character of `text` is one of the 113 that the tokenizer knows."""
    return not unknown_characters(text)


def why_not_english(text: str) -> str:
    """What makes `text` no English sentence, in words; "" for a sentence.

    A sentence has a letter, no glyph of LC-R and no arrow, is not itself a line of any format (`null`,
    `"hello"`, `{}`), and holds no label of one and no HTML.
    """
    if glyphs := "".join(dict.fromkeys(character for character in text if character in GLYPHS)):
        return f"holds {glyphs}"
    if not any(character.isascii() and character.isalpha() for character in text):
        return "has no letter"
    if found := _NOT_IN_ENGLISH.search(text):
        return f"holds `{found.group()}`"
    if not _MAY_BE_HLX.match(text):
        return ""
    formats = [format for format in Format if parses(text, format)]
    return f"is a line of {formats[0]}" if formats else ""


def is_english(text: str) -> bool:
    """`text` is an English sentence, as far as `why_not_english` can tell."""
    return not why_not_english(text)


def parses(text: str, format: Format) -> bool:
    """`text` is a line of `format`."""
    try:
        parse(text, format)
    except HLXSyntaxError:
        return False
    return True


def same_value(row: Mapping[str, str]) -> bool:
    """The four columns of `row` that are named after the formats parse, and to strictly the same value."""
    first, *others = Format
    try:
        value = parse(row[first], first)
        return all(says(row[format], format, value) for format in others)
    except HLXSyntaxError:
        return False


def says(text: str, format: Format, value: Value) -> bool:
    """`text` says `value`, strictly. Raises `HLXSyntaxError` where it is no line of `format`.

    The canonical text of a value reads as that value, so what is written canonically need not be read.
    """
    return text == render(value, format) or same(parse(text, format), value)


def within(text: str, seq_length: int) -> bool:
    """`text` with `<BOS>` and `<EOS>` has at most `seq_length` tokens, one a character."""
    return len(text) + 2 <= seq_length


def most_quarantined(share: float | None = None) -> float:
    """Return `share`, by default `HLX_MOST_QUARANTINED`; `ValueError` if it is not from 0 to 1."""
    if share is None:
        return Environment.read("HLX_MOST_QUARANTINED").most_quarantined
    if not 0 <= share <= 1:
        raise ValueError(f"most-quarantined is {share!r}: it must be a share from 0 to 1")
    return share


def too_many_quarantined(quarantined: int, entries: int, most: float) -> str:
    """What is wrong, in words, where more than the share `most` of the entries is in quarantine; else ""."""
    share = quarantined / max(1, entries)
    if share <= most:
        return ""
    return f"{quarantined} of {entries} entries are in quarantine ({share:.1%}), more than {most:.0%}: mend them first"
