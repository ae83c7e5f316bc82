"""A cursor over text: skips white space, takes tokens, and says what was found where."""

import re
from collections.abc import Iterator
from typing import NoReturn

from hlx_model.language.errors import HLXSyntaxError
from hlx_model.language.values import IDENTIFIER, MAX_INTEGER, Format

_SPACE = re.compile(r"[ \t\n\r]*")
_DIGITS = re.compile(r"[0-9]+")
_EXCERPT = re.compile(r"[-+.0-9A-Za-z_]{1,40}|.", re.DOTALL)


class Scanner:
    """The text, and the position up to which it has been read.

    `take`, `expect` and what builds on them skip white space first; `match` and `identifier` do not,
    because a prefix and what follows it are one token.
    """

    __slots__ = ("format", "position", "text")

    def __init__(self, text: str, format: Format) -> None:
        self.text = text
        self.format = format
        self.position = 0

    def skip(self) -> int:
        """The position of the next character that is not white space."""
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()
        return self.position

    def take(self, token: str) -> bool:
        """Steps over `token` if it comes next."""
        taken = self.text.startswith(token, self.skip())
        if taken:
            self.position += len(token)
        return taken

    def expect(self, token: str, expected: str = "") -> None:
        """Steps over `token`, or fails saying `expected`: the token itself, unless more could come."""
        if not self.take(token):
            self.fail(expected or f"'{token}'")

    def separated(self, separator: str, close: str) -> Iterator[None]:
        """Yields where each item of a list comes next, `separator` between them, up to and over `close`."""
        if self.take(close):
            return
        yield
        while self.take(separator):
            yield
        self.expect(close, f"'{separator}' or '{close}'")

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """Steps over `pattern` if it matches right here."""
        match = pattern.match(self.text, self.position)
        if match:
            self.position = match.end()
        return match

    def identifier(self, expected: str) -> str:
        """A letter or underscore, then letters, digits, underscores; all ASCII."""
        match = self.match(IDENTIFIER)
        return match.group() if match else self.fail(expected)

    def natural(self, expected: str, above: int = -1) -> int:
        """The longest run of decimal digits, as a number greater than `above`."""
        start = self.skip()
        match = self.match(_DIGITS)
        digits = match.group() if match else self.fail(expected)
        if len(digits) > 1 and digits[0] == "0":
            self.fail(f"{expected} with no leading zeros", at=start)
        # Length first: int() itself refuses very long text.
        if len(digits) > 19 or int(digits) > MAX_INTEGER:
            self.fail(f"{expected} below 2**63", at=start)
        number = int(digits)
        if number <= above:
            self.fail(f"{expected} above {above}: they ascend", at=start)
        return number

    def fail(self, expected: str, *, found: str = "", at: int | None = None) -> NoReturn:
        """Raises `HLXSyntaxError` at the position, or `at`; `found` is the text there unless given."""
        position = self.position if at is None else at
        if not found:
            excerpt = _EXCERPT.match(self.text, position)
            found = repr(excerpt.group()) if excerpt else "the end of the text"
        raise HLXSyntaxError(f"found {found}, expected {expected}", self.text, position, self.format)
