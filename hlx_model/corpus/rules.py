"""The rules on texts and values: reading a document applies them to each entry, and the gate `schema` to kept rows."""

import re
from collections.abc import Mapping
from contextlib import suppress

from hlx_model.environment import Environment
from hlx_model.language import GRAMMARS, Format, HLXSyntaxError, Value, parse, render, same

_GLYPHS = frozenset("→").union(mark for grammar in GRAMMARS.values() for mark in grammar.marks if not mark.isascii())
"""The glyphs of the formats, and the arrow between prompt and answer: no English sentence has them."""

_NOT_IN_ENGLISH = re.compile(rf"\b(?:{'|'.join(Format)}):|<!--|</?[A-Za-z][^<>]*>|&(?:[a-z]{{2,8}}|#\d{{2,5}});")
_LETTER = re.compile("[A-Za-z]")
_MAY_BE_HLX = re.compile(r"""[A-Za-z]+\Z|b"|[^A-Za-z]""")  # what else begins with a letter is no line of any format

# The names of rules in the quarantine and in the gate `schema`.
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
READABLE_ROW = "row_is_readable"
TWO_VALUES = "value_on_each_side"


def why_not_english(text: str) -> str:
    """Return why `text` is no English sentence, in words; "" for a sentence. The words are part of a data version.

    A sentence has a letter, but no glyph of LC-R, no arrow, no label of a format and no HTML. It is not itself a line
    of a format (`null`, `"hello"`, `{}`).
    """
    if not _GLYPHS.isdisjoint(text):
        return f"holds {''.join(dict.fromkeys(character for character in text if character in _GLYPHS))}"
    if not _LETTER.search(text):
        return "has no letter"
    if found := _NOT_IN_ENGLISH.search(text):
        return f"holds `{found.group()}`"
    if not may_be_hlx(text):
        return ""
    return f"is a line of {formats[0]}" if (formats := list(values(text))) else ""


def may_be_hlx(text: str) -> bool:
    """Return whether `text` begins as a line of some format can; prose, which begins with a letter, does not."""
    return _MAY_BE_HLX.match(text) is not None


def is_english(text: str) -> bool:
    """Return whether `text` is an English sentence, as far as `why_not_english` can tell."""
    return not why_not_english(text)


def values(text: str) -> dict[Format, Value]:
    """Return the value of a text in each format that can parse it."""
    found: dict[Format, Value] = {}
    for format in Format:
        with suppress(HLXSyntaxError):
            found[format] = parse(text, format)
    return found


def parses(text: str, format: Format) -> bool:
    """Return whether `text` is a line of `format`."""
    try:
        parse(text, format)
    except HLXSyntaxError:
        return False
    return True


def same_value(row: Mapping[str, str]) -> bool:
    """Return whether the four columns named after the formats can be parsed, and have strictly the same value."""
    first, *others = Format
    try:
        value = parse(row[first], first)
        # The canonical text of a value is not parsed: it is that value.
        return all(row[form] == render(value, form) or same(parse(row[form], form), value) for form in others)
    except HLXSyntaxError:
        return False


def max_quarantined_share(share: float | None = None) -> float:
    """Return `share`, by default `HLX_MOST_QUARANTINED`; `ValueError` if it is not from 0 to 1."""
    if share is None:
        return Environment.read("HLX_MOST_QUARANTINED").most_quarantined
    if not 0 <= share <= 1:
        raise ValueError(f"most-quarantined is {share!r}: it must be a share from 0 to 1")
    return share
