"""Which labelled texts make one entry: a sentence, and lines in up to four formats.

A sentence stands above its HLX, or below it. Labels without a blank line between them say which: a run of
them that begins with a sentence has it first, one that ends with a sentence has it last. A sentence that
stands alone, with blank lines around it, has the HLX below it, if that order leaves fewer sentences and
HLX over than the other order would; and not where one was left over right above it, nor below entries
without blank lines. What remains unclear is given no HLX at all, since the wrong order pairs each sentence
with another's answer. Nothing is ever looked for past prose, a heading, a rule, the next sentence, or the
end of a fenced block that holds a sentence.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from hlx_model.corpus.labels import Labelled, Mark
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.language import Format


@dataclass(slots=True)
class Block:
    """The labelled texts of one entry as they stand in the document."""

    english: Labelled | None = None
    formats: dict[Format, Labelled] = field(default_factory=dict)
    repeated: list[Format] = field(default_factory=list)
    """Formats that it has more than once."""
    unnamed: list[Labelled] = field(default_factory=list)
    """Fenced blocks that say no format."""
    unclear: bool = False
    """Its HLX could stand above it as well as below it."""
    isolated: bool = False
    """Its sentence stands alone, with blank lines around it."""
    closed: bool = False
    """Some of its lines followed each other without a blank line: a blank line ends it."""

    @property
    def parts(self) -> list[Labelled]:
        """All that the entry was read from, in order."""
        found = [*([self.english] if self.english else []), *self.formats.values(), *self.unnamed]
        return sorted(found, key=lambda part: part.line)

    @property
    def has_hlx(self) -> bool:
        """There is HLX, or what may be HLX."""
        return bool(self.formats or self.unnamed)

    @property
    def waits(self) -> bool:
        """There is a sentence, and no HLX yet."""
        return self.english is not None and not self.formats

    @property
    def sentence_is_below(self) -> bool:
        """The sentence stands below its HLX."""
        return self.english is not None and any(part.line < self.english.line for part in self.formats.values())

    def takes(self, part: Labelled) -> bool:
        """Whether `part`, no sentence, goes on with this entry rather than beginning another."""
        if self.unclear or ((self.closed or self.unnamed) and not part.touches):
            return False
        repeated = part.label != "" and Format(part.label) in self.formats
        return not repeated or (part.touches and self.english is not None)

    def add(self, part: Labelled) -> None:
        """Take a format's text, or a fenced block's."""
        if not part.label:
            self.unnamed.append(part)
        elif (format := Format(part.label)) in self.formats:
            self.repeated.append(format)
        else:
            self.formats[format] = part


def blocks(parts: Iterable[Labelled | Mark]) -> Iterator[Block]:
    """The entries of a document as they stand, from its labelled texts."""
    stretch = _Region()
    for run in _runs(parts):
        if run:
            yield from stretch.read(run)
        else:
            yield from stretch.end()
            stretch = _Region()
    yield from stretch.end()


_Order: TypeAlias = Literal["sentence first", "sentence last", "unclear"]


class _Region:
    """From one break to the next: the entry that is being read, and what speaks for which order."""

    def __init__(self) -> None:
        self.block = Block()
        self.order: _Order = "unclear"
        self.adjacent = False
        """Sentences touch their HLX here, so that one which stands alone has none."""
        self.ambiguous = False
        """A run above could be read in both orders."""
        self.pattern = bytearray()
        """E for a sentence that stands alone, F for HLX that no sentence touches, P for a sentence with its HLX."""
        self.held: list[tuple[int, Block]] = []
        """The entries since the first sentence that stands alone, with their places in the outline."""

    def read(self, run: list[Labelled]) -> Iterator[Block]:
        """The entries that `run` completes."""
        order = self._order_of(run)
        if order == "unclear":
            self.ambiguous |= len(run) > 1
            self.block.unclear |= self.block.waits
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
        """The last entry, and those that waited."""
        yield from self._next(Block())
        e, f = self.pattern.count(b"E"), self.pattern.count(b"F")
        over_if_first, over_if_last = (e + f - 2 * self.pattern.count(pair) for pair in (b"EF", b"FE"))
        for place, block in self.held:
            left_over_above = place > 0 and not self.pattern.endswith((b"P", b"EF"), 0, place)
            if block.isolated and block.has_hlx and (over_if_first >= over_if_last or left_over_above):
                yield Block(english=block.english, unclear=True)
                yield replace(block, english=None)
            else:
                yield block

    def _next(self, block: Block) -> Iterator[Block]:
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
        """How the entries of `run` are ordered."""
        first, last = run[0].label == ENGLISH, run[-1].label == ENGLISH
        if all(part.label != ENGLISH for part in run) or (first and len(run) > 1):
            return "sentence first"
        if first:
            return "unclear" if self.adjacent else "sentence first"
        goes_on = self.block.english is not None and self.block.takes(run[0])
        if last:
            doubtful = (goes_on or self.ambiguous) and self.order != "sentence last"
            return "unclear" if doubtful else "sentence last"
        return "sentence first" if goes_on else "unclear"


def _runs(parts: Iterable[Labelled | Mark]) -> Iterator[list[Labelled]]:
    """The labelled texts that stand directly below each other, together; an empty run for a break.

    A run that begins with a sentence ends before the next one: its order is plain from the start.
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
    if run:
        yield run
