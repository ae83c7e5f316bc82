"""Strings and numbers, which most formats write alike."""

import json
import math
import re

from hlx_model.language.scanner import Scanner
from hlx_model.language.values import MAX_INTEGER, MIN_INTEGER

_CONTROL = r"\x00-\x1f\x7f-\x9f"
_SURROGATE = r"\ud800-\udfff"

_ESCAPE = r"""
    \\["\\/bfnrt]
  | \\u(?![Dd][89A-Fa-f])[0-9A-Fa-f]{4}
  | \\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}   # one character beyond U+FFFF
"""
# Not possessive: Python 3.11 has bugs in possessive groups.
_BODY = re.compile(rf'(?: [^"\\{_CONTROL}{_SURROGATE}]+ | {_ESCAPE} )*', re.VERBOSE)
_TO_ESCAPE = re.compile(rf'["\\{_CONTROL}{_SURROGATE}]')

# 01, 1_000 and 1.2.3 are errors, not a number and something after it.
NUMBER_ENDS = r"(?![0-9A-Za-z_.])"
INTEGER_RANGE = "integers of 64 bits, -2**63 to 2**63 - 1"
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[Ee][+-]?[0-9]+)?)" + NUMBER_ENDS)


def read_string(s: Scanner) -> str:
    """Read a string from its opening quote; all JSON escapes are allowed, surrogates only in pairs."""
    s.expect('"')
    start = s.position - 1
    s.match(_BODY)
    after = s.text[s.position : s.position + 1]
    if after == "\\":
        found = repr(s.text[s.position : s.position + 6])
        s.fail(r"an escape: \" \\ \/ \b \f \n \r \t or \uXXXX, surrogates in pairs", found=found)
    if after != '"':
        s.fail(_instead_of(after))
    s.position += 1
    token = s.text[start : s.position]
    return str(json.loads(token)) if "\\" in token else token[1:-1]


def write_string(value: str) -> str:
    """Return a string in quotes.

    Raises:
        ValueError: it contains a lone surrogate.
    """
    return f'"{_TO_ESCAPE.sub(_escape, value)}"'


def read_number(s: Scanner, expected: str = "a number such as 42, -100, 3.14 or 1e-05") -> int | float:
    """Read an integer of 64 bits, or a finite float if there is a point or an exponent."""
    start = s.position
    match = s.match(_NUMBER)
    if match is None:
        s.fail(expected)
    integer, rest = match.groups()
    if rest:
        number = float(match.group())
        return number if math.isfinite(number) else s.fail("a finite float", at=start)
    # The length first: int() refuses very long texts.
    if len(integer) > 20 or not MIN_INTEGER <= int(integer) <= MAX_INTEGER:
        s.fail(INTEGER_RANGE, at=start)
    return int(integer)


def check_integer(value: int) -> int:
    """Return an integer unchanged.

    Raises:
        ValueError: it has more than 64 bits.
    """
    if not MIN_INTEGER <= value <= MAX_INTEGER:
        raise ValueError(f"HLX has {INTEGER_RANGE}, not of {value.bit_length() + 1}")
    return value


def write_float(value: float) -> str:
    """Return a float as Python's `repr` writes it.

    Raises:
        ValueError: it is NaN or infinite.
    """
    if not math.isfinite(value):
        raise ValueError(f"HLX floats are finite, {value} is not")
    return repr(value)


def _instead_of(character: str) -> str:
    """Return what is expected in a string in place of a character that it must not contain."""
    if not character:
        return "a closing '\"'"
    if "\ud800" <= character <= "\udfff":
        return "characters, not halves of surrogate pairs"
    return f"control characters escaped, this one as {_escape_of(character)}"


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if "\ud800" <= character <= "\udfff":
        raise ValueError(f"HLX strings contain no lone surrogates such as {character!r}")
    return _escape_of(character)


def _escape_of(character: str) -> str:
    return json.dumps(character)[1:-1]
