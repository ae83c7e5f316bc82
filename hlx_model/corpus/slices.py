"""Read the entries of a slice of a document: the part of reading that several processes share."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from hlx_model.corpus.entries import Entry, Quarantined, listed, operation_of
from hlx_model.corpus.meaning import (
    MOST_AROUND,
    DefectError,
    ProseError,
    entry_of,
    left_out_examples,
    read_canonical,
)
from hlx_model.corpus.parts import Block
from hlx_model.corpus.rules import why_not_english
from hlx_model.corpus.stretches import Stretch
from hlx_model.language import Format

_ENTRIES = 1000
"""A slice has about so many entries."""


class Slice(NamedTuple):
    """Pieces of a document that follow each other."""

    name: str
    """Of the document."""
    seq_length: int
    pieces: tuple[Block | Stretch, ...]


@dataclass
class Found:
    """What was read from a slice."""

    entries: list[Entry] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    readings: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How ambiguous forms were read, with the first line of each, and in how many places."""

    def add_reading(self, reading: str, line: int, places: int = 1) -> None:
        """Count a reading."""
        first, before = self.readings.get(reading, (line, 0))
        self.readings[reading] = first, before + places


def slices(pieces: Iterable[Block | Stretch], name: str, seq_length: int) -> Iterator[Slice]:
    """Yield the pieces of a document in slices."""
    some: list[Block | Stretch] = []
    entries = 0
    for piece in pieces:
        some.append(piece)
        entries += piece.entries if isinstance(piece, Stretch) else 1
        if entries >= _ENTRIES:
            yield Slice(name, seq_length, tuple(some))
            some, entries = [], 0
    if some:
        yield Slice(name, seq_length, tuple(some))


def read_slice(part: Slice) -> Found:
    """Read the entries of a slice."""
    found = Found()
    for piece in part.pieces:
        if isinstance(piece, Stretch):
            _read_stretch(piece, part, found)
        else:
            _read_block(piece, part, found)
    return found


def _read_block(block: Block, part: Slice, found: Found) -> None:
    taken: list[str] = []
    try:
        entry = entry_of(block, part.name, taken)
        if left_out := left_out_examples(entry, part.seq_length):
            taken.append(left_out)
            entry = replace(entry, left_out=True)
        found.entries.append(entry)
    except DefectError as defect:
        sentence = " ".join(block.english.lines) if block.english else None
        found.quarantined.append(Quarantined(part.name, block.line, sentence, *defect.args))
        return
    except ProseError as prose:
        taken = [str(prose)] if str(prose) else []
    for reading in taken:
        found.add_reading(reading, block.line)


def _read_stretch(stretch: Stretch, part: Slice, found: Found) -> None:
    """Read the entries of a stretch; those with any defect, or of an unusual form, as their blocks are read."""
    begin, name, section = stretch.sentence_begin, part.name, stretch.section
    for line, text in stretch.numbered():
        sentence, _, hlx = text.partition("\n")
        english, value = sentence[begin:].strip(), _value(hlx)
        if (
            value is None
            or MOST_AROUND + value.longest + max(value.longest, len(english)) > part.seq_length
            or why_not_english(english)
        ):
            (block,) = replace(stretch, text=f"{text}\n\n", line=line).blocks()
            _read_block(block, part, found)
            continue
        last_line = line + value.formats
        found.entries.append(
            Entry(name, line, line, last_line, section, value.operation, english, value.texts, value.rendered)
        )
        if value.reading:
            found.add_reading(value.reading, line)


class _Value(NamedTuple):
    """A value that is written in one or several formats, each text as hlx writes it."""

    operation: str
    texts: tuple[str, ...]
    rendered: tuple[Format, ...]
    formats: int
    """In how many it is written."""
    longest: int
    """Characters of the longest of its texts."""
    reading: str
    """How it was read; "" if there is nothing to say."""


@lru_cache(maxsize=1 << 12)
def _value(hlx: str) -> _Value | None:
    """Return the value of the labelled lines of an entry; None if they are not canonical, or not of one value."""
    labelled = [line.partition(":") for line in hlx.split("\n")]
    written = {label: text.strip() for label, _, text in labelled}
    given = tuple((format, written[format]) for format in Format if format in written)
    agreed = read_canonical(given) if len(written) == len(labelled) else None
    if agreed is None:
        return None
    value, canonical = agreed
    texts, rendered = tuple(canonical.values()), tuple(format for format in Format if format not in written)
    reading = f"{listed(rendered)} rendered from {listed(format for format, _ in given)}" if rendered else ""
    return _Value(operation_of(value), texts, rendered, len(given), max(map(len, texts)), reading)
