"""What all formats share: one recursive descent to read a value, one recursion to write it.

A format is a subclass: it names its tokens and says how it reads a contract. If it also writes bytes, integers or the
outermost brackets in its own way, it overrides those methods. `_read_x` and `_write_x` are inverses. `depth` is the
number of arrays, objects and contracts around the value.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from hlx_model.language.formats import Format
from hlx_model.language.scanner import (
    HLXSyntaxError,
    Scanner,
    check_integer,
    read_number,
    read_string,
    write_float,
    write_string,
)
from hlx_model.language.values import IDENTIFIER, MAX_DEPTH, RESERVED_KEY, Contract, Fields, Handle, Value

_NUMBER_STARTS = frozenset("-0123456789")
_HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2})*(?![0-9A-Za-z_])")


class Grammar(ABC):
    """Reads and writes one format. It has no state: one instance serves every text."""

    format: Format
    marks: str
    """The punctuation and glyphs that have a meaning in the format, except quotes and those of numbers."""
    ambiguous = False
    """Whether a text of the format can be a text of another value in another format."""
    null: str
    true: str
    false: str
    handle_prefix: str
    bytes_prefix: str
    array_brackets: tuple[str, str]
    object_brackets: tuple[str, str]
    gap: str
    """What the canonical rendering writes after a comma or a colon."""
    contract_start: re.Pattern[str]
    """The beginning of a contract, up to its id; tried before arrays and objects."""
    contract: str
    """The canonical text of a contract, with places for its id and its fields."""
    field: str
    """The canonical text of a field, with places for its number and its value."""
    between_fields = ""

    def __init__(self) -> None:
        self._constants: dict[str, bool | None] = {self.null: None, self.true: True, self.false: False}
        self._scalars: dict[type, Callable[[Any], str]] = {
            type(None): lambda value: self.null,
            bool: lambda value: self.true if value else self.false,
            str: write_string,
            int: lambda value: self._write_integer(check_integer(value)),
            float: write_float,
            Handle: lambda value: self.handle_prefix + value.name,
            bytes: self._write_bytes,
        }
        self._word = re.compile("|".join([IDENTIFIER.pattern, *map(re.escape, self._constants)]))
        samples: list[Value] = [None, True, 42, "text", b"\0", Handle("name"), [], {}, Contract(14, ())]
        self._any_value = "a value such as " + ", ".join(self._write(sample, 0) for sample in samples)

    def parse(self, text: str) -> Value:
        """Return the value of a whole text.

        Raises:
            HLXSyntaxError: the format does not allow the text.
        """
        s = Scanner(text, self.format)
        value = self._read_document(s)
        if s.skip() < len(text):
            s.fail("the end of the text")
        return value

    def begins(self, text: str, position: int) -> bool:
        """Return whether a value of the format begins at a position of a text."""
        s = Scanner(text, self.format)
        s.position = position
        try:
            self._read(s, 0)
        except HLXSyntaxError:
            return False
        return True

    # Where formats may differ

    @abstractmethod
    def _read_contract(self, s: Scanner, depth: int) -> Contract:
        """Read the rest of a contract, from its id."""

    def _read_document(self, s: Scanner) -> Value:
        return self._read(s, 0)

    def render(self, value: Value) -> str:
        """Return the canonical text of a value.

        Raises:
            ValueError: HLX cannot express the value.
        """
        return self._write(value, 0)

    def _read_bytes(self, s: Scanner) -> bytes:
        """Read the rest of bytes, after their prefix."""
        digits = s.match(_HEXADECIMAL)
        if digits is None:
            s.fail(f"pairs of hexadecimal digits after '{self.bytes_prefix}'")
        return bytes.fromhex(digits.group())

    def _write_bytes(self, value: bytes) -> str:
        return self.bytes_prefix + value.hex()

    def _read_number(self, s: Scanner) -> int | float:
        return read_number(s)

    def _write_integer(self, value: int) -> str:
        return str(value)

    # What they share

    def _read(self, s: Scanner, depth: int) -> Value:
        """Read the next value."""
        start = s.skip()
        first = s.text[start : start + 1]
        if first == '"':
            return read_string(s)
        if first in _NUMBER_STARTS:
            return self._read_number(s)
        if s.take(self.handle_prefix):
            return Handle(s.identifier(f"an identifier after '{self.handle_prefix}'"))
        if s.take(self.bytes_prefix):
            return self._read_bytes(s)
        if s.match(self.contract_start):
            return self._read_contract(s, self._inside(s, start, depth))
        if s.take(self.array_brackets[0]):
            inside = self._inside(s, start, depth)
            return [self._read(s, inside) for _ in s.separated(",", self.array_brackets[1])]
        if s.take(self.object_brackets[0]):
            return self._read_object(s, self._inside(s, start, depth))
        word = s.match(self._word)
        if word is None or word.group() not in self._constants:
            s.fail(self._any_value, at=start)
        return self._constants[word.group()]

    def _write(self, value: Value, depth: int) -> str:
        """Return a value as it is written inside another."""
        if write := self._scalars.get(type(value)):
            return write(value)
        if depth == MAX_DEPTH:
            raise ValueError(f"HLX values nest to depth {MAX_DEPTH}: this one is deeper")
        if type(value) is Contract:
            fields = [self.field.format(number, self._write(item, depth + 1)) for number, item in value.fields]
            return self.contract.format(value.id, self.between_fields.join(fields))
        if type(value) is list:
            opening, closing = self.array_brackets
            return opening + f",{self.gap}".join([self._write(item, depth + 1) for item in value]) + closing
        if type(value) is dict:
            return self._write_object(value, depth + 1)
        raise ValueError(f"HLX has no values of type {type(value).__name__}")

    def _read_object(self, s: Scanner, depth: int) -> dict[str, Value]:
        members: dict[str, Value] = {}
        for _ in s.separated(",", self.object_brackets[1]):
            start = s.skip()
            key = s.identifier("a key: letters, digits and underscores, no digit first")
            if key == RESERVED_KEY:
                s.fail("another key: C is reserved for contracts", at=start)
            if key in members:
                s.fail("a key that the object does not have yet", at=start)
            s.expect(":")
            members[key] = self._read(s, depth)
        return members

    def _write_object(self, members: dict[str, Value], depth: int) -> str:
        for key in members:
            if type(key) is not str or not IDENTIFIER.fullmatch(key) or key == RESERVED_KEY:
                raise ValueError(f"an object key is an identifier other than {RESERVED_KEY}, not {key!r}")
        pairs = [f"{key}:{self.gap}{self._write(value, depth)}" for key, value in members.items()]
        opening, closing = self.object_brackets
        return opening + f",{self.gap}".join(pairs) + closing

    def _read_fields(self, s: Scanner, items: Iterator[None], depth: int, after: str, before: str = "") -> Fields:
        """Return the fields of a contract, one for each item: a number with the tokens around it, and a value.

        Iterating `items` reads the tokens between the fields.
        """
        fields: list[tuple[int, Value]] = []
        for _ in items:
            if before:
                s.expect(before)
            number = s.natural("a field number", above=fields[-1][0] if fields else -1)
            s.expect(after)
            fields.append((number, self._read(s, depth)))
        return tuple(fields)

    @staticmethod
    def _inside(s: Scanner, start: int, depth: int) -> int:
        if depth == MAX_DEPTH:
            s.fail(f"at most {MAX_DEPTH} levels of arrays, objects and contracts", at=start)
        return depth + 1
