"""What reading a corpus document gives: entries, refused entries, and how ambiguous forms were read."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from hlx_model.json_model import JsonModel
from hlx_model.language import Contract, Format, Handle, Value

SENTENCE = "sentence"
"""The operation of a sentence without a value."""
_TYPE_NAMES = {type(None): "null", bool: "boolean", int: "integer", str: "string", Handle: "handle", list: "array"}


class DocumentRef(JsonModel):
    """Which document a corpus was read from: manifests, `documents.json` and the lineage refer to it by this."""

    name: str
    """Its name in entries and errors."""
    sha256: str
    bytes: int
    source: str
    """The path that it was read from, or how it was composed."""


class CorpusError(ValueError):
    """A corpus cannot be used. The message is one line that names the file and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value and its sentence, or one of them."""

    document: str
    line: int
    """1-based line of the English label; without a sentence, of the first label."""
    first_line: int
    """1-based, the first line that the entry was read from."""
    last_line: int
    """1-based, the last line that the entry was read from."""
    section: str
    """The nearest `##` heading above, without its `#`; "" if there is none."""
    operation: str
    """The kind of the value, by `operation_of`; `SENTENCE` without a value."""
    english: str | None
    texts: tuple[str, ...]
    """The value's canonical text in each format, in the order of `Format`; empty for a sentence without a value."""
    rendered: tuple[Format, ...] = ()
    """The formats that the document lacks; they are rendered from one that it has."""
    left_out: bool = False
    """Some of its examples are longer than the sequence length: no model learns them."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what pickle needs. The way of a frozen dataclass takes several times as long."""
        return Entry, _FIELDS(self)


_FIELDS = attrgetter(*Entry.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One refused entry, and why it was refused."""

    document: str
    line: int
    """1-based line of the English label; without a sentence, of the first label."""
    english: str | None
    rule: str
    """The name of the rule that it breaks."""
    reason: str
    """Why it was refused, as one line."""
    found: str
    """The text that breaks the rule."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How an ambiguous form was read, and where."""

    document: str
    line: int
    """1-based line of the first place."""
    places: int
    """How often it occurs in the document."""
    reading: str


@dataclass(frozen=True)
class Collection:
    """What was read from one or several documents, in their order."""

    entries: tuple[Entry, ...]
    quarantined: tuple[Quarantined, ...]
    readings: tuple[Reading, ...]
    max_tokens: int | None = None
    """Tokens of the longest example that is used; None if no entry has a longer one."""

    @property
    def entries_read(self) -> int:
        """Return the number of entries, quarantined ones included."""
        return len(self.entries) + len(self.quarantined)


def operation_of(value: Value) -> str:
    """Return the kind of a value, for figures by operation.

    It is the string in field 0 of contract 1000, such as `search`; else `contract 14`; else the name of the type,
    such as `array` or `integer`.
    """
    match value:
        case Contract(1000, ((0, str(operation)), *_)):
            return operation
        case Contract(number):
            return f"contract {number}"
        case dict():
            return "object"
    return _TYPE_NAMES.get(type(value), type(value).__name__)


def listed(formats: Iterable[Format]) -> str:
    """Return the tags of `formats` as words: `HLXL, LC-R and LC-T`."""
    *others, last = formats
    return f"{', '.join(others)} and {last}" if others else str(last)
