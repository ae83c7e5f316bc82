"""A cursor over a text: it skips white space, takes tokens, and reports what it found and where.

Below it, strings and numbers, which most formats write alike.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from hlx_model.language.formats import Format
from hlx_model.language.values import IDENTIFIER, MAX_INTEGER, MIN_INTEGER

_SPACE = re.compile(r"[ \t\n\r]*")
_SPACES = frozenset(" \t\n\r")
_DIGITS = re.compile(r"[0-9]+")
_EXCERPT = re.compile(r"[-+.0-9A-Za-z_]{1,40}|.", re.DOTALL)

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


@dataclass(eq=False)
class HLXSyntaxError(ValueError):
    """A text that a format does not allow: the one error that reading HLX raises.

    `str()` is one line: the place, what was found there, and what was expected.
    """

    message: str
    """What was found and what was expected, on one line."""
    text: str
    """The whole text that was read."""
    position: int
    """Offset of what was found: 0 to len(text)."""
    format: Format

    @property
    def line(self) -> int:
        """Return the line of the position: 1-based; lines end at a line feed."""
        return self.text.count("\n", 0, self.position) + 1

    @property
    def column(self) -> int:
        """Return the column of the position: 1-based, in characters."""
        return self.position - self.text.rfind("\n", 0, self.position)

    @property
    def excerpt(self) -> str:
        """Return the word or sign at the position; "" at the end of the text."""
        match = _EXCERPT.match(self.text, self.position)
        return match.group() if match else ""

    def __str__(self) -> str:
        return f"{self.format} line {self.line}, column {self.column}: {self.message}"


class Scanner:
    """A text, and the position up to which it is read.

    `take`, `expect`, `separated`, `marked` and `natural` skip white space first. `match` and `identifier` do not: a
    prefix and the identifier after it are one token.
    """

    __slots__ = ("format", "position", "text")

    def __init__(self, text: str, format: Format) -> None:
        self.text = text
        self.format = format
        self.position = 0

    def skip(self) -> int:
        """Skip white space and return the position of the next character."""
        # Nearly always there is none: the pattern is slower than a look at one character.
        if self.text[self.position : self.position + 1] in _SPACES:
            match = _SPACE.match(self.text, self.position)
            assert match is not None
            self.position = match.end()
        return self.position

    def take(self, token: str) -> bool:
        """Skip `token` if it comes next, and return whether it did."""
        taken = self.text.startswith(token, self.skip())
        if taken:
            self.position += len(token)
        return taken

    def expect(self, token: str, expected: str = "") -> None:
        """Skip `token`, or fail with `expected`, which is the token itself unless others are allowed too."""
        if not self.take(token):
            self.fail(expected or f"'{token}'")

    def separated(self, separator: str, close: str) -> Iterator[None]:
        """Yield at each item of a list; skip `separator` between items and `close` after the last."""
        if self.take(close):
            return
        yield
        while self.take(separator):
            yield
        self.expect(close, f"'{separator}' or '{close}'")

    def marked(self, mark: str, close: str) -> Iterator[None]:
        """Yield at each item of a list, after the `mark` before it; skip `close` after the last."""
        while self.take(mark):
            yield
        self.expect(close, f"'{mark}' or '{close}'")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Skip what `pattern` matches at the position, and return the match."""
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()
        return match

    def identifier(self, expected: str) -> str:
        """Read a letter or underscore, then letters, digits, underscores; all ASCII."""
        match = self.match(IDENTIFIER)
        return match.group() if match else self.fail(expected)

    def natural(self, expected: str, above: int = -1) -> int:
        """Read the longest run of decimal digits, a number greater than `above`."""
        start = self.skip()
        match = self.match(_DIGITS)
        digits = match.group() if match else self.fail(expected)
        if len(digits) > 1 and digits[0] == "0":
            self.fail(f"{expected} with no leading zeros", at=start)
        # The length first: int() refuses very long texts.
        if len(digits) > 19 or int(digits) > MAX_INTEGER:
            self.fail(f"{expected} below 2**63", at=start)
        number = int(digits)
        if number <= above:
            self.fail(f"{expected} above {above}: they ascend", at=start)
        return number

    def fail(self, expected: str, *, found: str = "", at: int | None = None) -> NoReturn:
        """Raise `HLXSyntaxError` at the position or at `at`; `found` is the text there unless it is given."""
        position = self.position if at is None else at
        if not found:
            excerpt = _EXCERPT.match(self.text, position)
            found = repr(excerpt.group()) if excerpt else "the end of the text"
        raise HLXSyntaxError(f"found {found}, expected {expected}", self.text, position, self.format)


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
    return f"control characters escaped, this one as {json.dumps(character)[1:-1]}"


def _escape(match: re.Match[str]) -> str:
    character = match.group()
    if "\ud800" <= character <= "\udfff":
        raise ValueError(f"HLX strings contain no lone surrogates such as {character!r}")
    return json.dumps(character)[1:-1]
