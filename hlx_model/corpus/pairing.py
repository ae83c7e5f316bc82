"""Pair labelled texts into entries: a sentence, and lines in up to four formats.

A sentence is above its HLX, or below it. Labels without a blank line between them tell which: if a run of them begins
with a sentence, sentences come first; if it ends with one, they come last. An isolated sentence, with blank lines
around it, gets the HLX below it, if that order leaves fewer sentences and HLX unpaired than the other order. It gets
none if something unpaired is right above it, or below entries without blank lines. A sentence whose order stays unclear
gets no HLX at all: the wrong order would pair each sentence with another's answer. Prose, a heading, a rule, the next
sentence, and the end of a fenced block that contains a sentence end the search.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from hlx_model.corpus.labels import Labelled, Mark
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.language import Format


@dataclass(slots=True)
class Block:
    """The labelled texts of one entry, as they are in the document."""

    english: Labelled | None = None
    formats: dict[Format, Labelled] = field(default_factory=dict)
    repeated: list[Format] = field(default_factory=list)
    """Formats that it has more than once."""
    unnamed: list[Labelled] = field(default_factory=list)
    """Fenced blocks without a format."""
    unclear: bool = False
    """Its HLX could be above it as well as below it."""
    isolated: bool = False
    """Its sentence is isolated, with blank lines around it."""
    closed: bool = False
    """Some of its lines followed each other without a blank line: a blank line ends it."""

    @property
    def parts(self) -> list[Labelled]:
        """Return all texts that the entry was read from, in order."""
        return sorted(filter(None, (self.english, *self.formats.values(), *self.unnamed)), key=lambda part: part.line)

    @property
    def line(self) -> int:
        """Return the line of its sentence; without a sentence, of its first text."""
        return (self.english or self.parts[0]).line

    @property
    def has_hlx(self) -> bool:
        """Return whether there is HLX, or what may be HLX."""
        return bool(self.formats or self.unnamed)

    def takes(self, part: Labelled) -> bool:
        """Return whether `part`, which is no sentence, belongs to this entry rather than to a new one."""
        if self.unclear or ((self.closed or self.unnamed) and not part.touches):
            return False
        repeated = part.label != "" and Format(part.label) in self.formats
        return not repeated or (part.touches and self.english is not None)

    def add(self, part: Labelled) -> None:
        """Add the text of a format or of a fenced block."""
        if not part.label:
            self.unnamed.append(part)
        elif (format := Format(part.label)) in self.formats:
            self.repeated.append(format)
        else:
            self.formats[format] = part


def blocks(parts: Iterable[Labelled | Mark]) -> Iterator[Block]:
    """Yield the entries of a document from its labelled texts."""
    region = _Region()
    for run in _runs(parts):
        if run:
            yield from region.read(run)
        else:
            yield from region.end()
            region = _Region()


_Order: TypeAlias = Literal["sentence first", "sentence last", "unclear"]


class _Region:
    """The texts from one break to the next: the entry that is being read, and the evidence for each order."""

    def __init__(self) -> None:
        self.block = Block()
        self.order: _Order = "unclear"
        self.adjacent = False
        """Sentences touch their HLX here: an isolated sentence has none."""
        self.ambiguous = False
        """A run above could be read in both orders."""
        self.pattern = bytearray()
        """E for an isolated sentence, F for HLX that no sentence touches, P for a sentence with its HLX."""
        self.held: list[tuple[int, Block]] = []
        """The entries since the first isolated sentence, with their places in the pattern."""

    def read(self, run: list[Labelled]) -> Iterator[Block]:
        """Yield the entries that `run` completes."""
        order = self._order_of(run)
        if order == "unclear":
            self.ambiguous |= len(run) > 1
            self.block.unclear |= self.block.english is not None and not self.block.formats
        if order != "sentence first":
            yield from self._next(Block())
        for part in run:
            if part.label != ENGLISH:
                if not self.block.takes(part):
                    yield from self._next(Block())
                self.block.add(part)
                if self.block.english is not None:
                    self.order = "sentence first"
            elif order == "sentence last":
                self.block.english = part
                yield from self._next(Block())
                self.order = order
            else:
                unclear = order == "unclear"
                yield from self._next(Block(english=part, unclear=unclear, isolated=unclear or len(run) == 1))
        self.adjacent |= len(run) > 1 and any(part.label == ENGLISH for part in run) and order != "unclear"
        self.block.closed = len(run) > 1 and not any(part.fenced for part in run)

    def end(self) -> Iterator[Block]:
        """Yield the last entry, and those that were held back."""
        yield from self._next(Block())
        # Each pair takes one sentence and one HLX; what remains is left over.
        alone = self.pattern.count(b"E") + self.pattern.count(b"F")
        over_if_first = alone - 2 * self.pattern.count(b"EF")
        over_if_last = alone - 2 * self.pattern.count(b"FE")
        for place, block in self.held:
            # What is right above it is no complete pair.
            left_over_above = place > 0 and not self.pattern.endswith((b"P", b"EF"), 0, place)
            if block.isolated and block.has_hlx and (over_if_first >= over_if_last or left_over_above):
                yield Block(english=block.english, unclear=True)
                yield replace(block, english=None)
            else:
                yield block

    def _next(self, block: Block) -> Iterator[Block]:
        """Begin `block`; yield the entry before it, or hold it back."""
        done, self.block = self.block, block
        if done.english is None and not done.has_hlx:
            return
        place = len(self.pattern)
        if done.english is not None and not done.isolated and done.has_hlx:
            self.pattern += b"P"
        else:
            self.pattern += b"E" * (done.english is not None) + b"F" * done.has_hlx
        if self.held or (done.isolated and done.has_hlx):
            self.held.append((place, done))
        else:
            yield done

    def _order_of(self, run: list[Labelled]) -> _Order:
        """Return the order of the entries of `run`."""
        first, last = run[0].label == ENGLISH, run[-1].label == ENGLISH
        if all(part.label != ENGLISH for part in run) or (first and len(run) > 1):
            return "sentence first"
        if first:  # a sentence alone
            return "unclear" if self.adjacent else "sentence first"
        continues = self.block.english is not None and self.block.takes(run[0])
        if last:
            doubtful = (continues or self.ambiguous) and self.order != "sentence last"
            return "unclear" if doubtful else "sentence last"
        return "sentence first" if continues else "unclear"


def _runs(parts: Iterable[Labelled | Mark]) -> Iterator[list[Labelled]]:
    """Yield the labelled texts that are directly below each other, together; an empty run for a break.

    A run that begins with a sentence ends before the next one: its order is known from the start.
    """
    run: list[Labelled] = []
    for part in parts:
        if run and (isinstance(part, Mark) or not part.touches or run[0].label == part.label == ENGLISH):
            yield run
            run = []
        if isinstance(part, Mark):
            yield []
        else:
            run.append(part)
