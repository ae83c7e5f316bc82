"""What a corpus document gives: entries, those that were refused, and the readings that were taken."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from hlx_model.language import Contract, Format, Handle, Value, parse

_TYPE_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    bytes: "bytes",
    Handle: "handle",
    list: "array",
    dict: "object",
}


class DocumentRef(NamedTuple):
    """A corpus document, as it was when it was read."""

    name: str
    """What entries and errors call it."""
    sha256: str
    bytes: int
    source: str
    """The path that it was read from, or how it was composed."""


class CorpusError(ValueError):
    """A corpus that cannot be used; `str()` is one line naming the file and what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One value, and the sentence that says it where the document has one."""

    document: str
    line: int
    """1-based, of the English label; of the first label where there is no sentence."""
    first_line: int
    """1-based, of the first of the lines that the entry was read from."""
    last_line: int
    """1-based, of the last of them."""
    section: str
    """The nearest `##` heading above, without its `#`; "" if there is none."""
    operation: str
    """What kind of thing the value says, as `operation_of` names it."""
    english: str | None
    texts: tuple[str, ...]
    """The value's canonical text in each format, in the order of `Format`."""
    rendered: tuple[Format, ...] = ()
    """The formats that the document lacks, rendered from one that it has."""

    @property
    def value(self) -> Value:
        """The value itself, read from its HLXL."""
        return parse(self.texts[0], Format.HLXL)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One entry that was read and refused, and why."""

    document: str
    line: int
    """1-based, of the English label; of the first label where there is no sentence."""
    english: str | None
    rule: str
    """The rule that it breaks, by the name that it has in the checks."""
    reason: str
    """Why it was refused, as one line."""
    found: str
    """The text that breaks the rule."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a form was read that could have been read otherwise, and where."""

    document: str
    line: int
    """1-based, of the first place."""
    places: int
    """How often in the document."""
    reading: str


@dataclass(frozen=True)
class Collection:
    """What was read of one document or of several, in their order."""

    entries: tuple[Entry, ...]
    quarantined: tuple[Quarantined, ...]
    readings: tuple[Reading, ...]

    @property
    def entries_read(self) -> int:
        """All entries, the quarantined ones included."""
        return len(self.entries) + len(self.quarantined)


class Readings:
    """The readings taken in one document, counted by kind."""

    def __init__(self, document: str) -> None:
        self.document = document
        self._counts: Counter[str] = Counter()
        self._first: dict[str, int] = {}

    def take(self, reading: str, line: int) -> None:
        """Note `reading`, taken in `line`."""
        self._counts[reading] += 1
        self._first.setdefault(reading, line)

    def taken(self) -> tuple[Reading, ...]:
        """Each kind once, in the order of its first place."""
        return tuple(
            Reading(self.document, line, self._counts[reading], reading) for reading, line in self._first.items()
        )


def operation_of(value: Value) -> str:
    """What kind of thing `value` says, for figures by operation.

    The string in field 0 of contract 1000, such as `search`; else `contract 14`; else the name of
    the type, such as `array` or `integer`.
    """
    if not isinstance(value, Contract):
        return _TYPE_NAMES[type(value)]
    if value.id == 1000 and value.fields and value.fields[0][0] == 0 and isinstance(value.fields[0][1], str):
        return value.fields[0][1]
    return f"contract {value.id}"


def listed(formats: Iterable[Format]) -> str:
    """The tags of `formats` as words: `HLXL, LC-R and LC-T`."""
    *others, last = formats
    return f"{', '.join(others)} and {last}" if others else str(last)
