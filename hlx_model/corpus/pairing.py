"""Pair labelled texts into entries: a sentence, and lines in up to four formats.

A sentence is above its HLX, or below it. Labels without a blank line between them tell which: if a run of them begins
with a sentence, sentences come first; if it ends with one, they come last. An isolated sentence, with blank lines
around it, gets the HLX below it, if that order leaves fewer sentences and HLX unpaired than the other order. It gets
none if something unpaired is right above it, or below entries without blank lines. A sentence whose order stays unclear
gets no HLX at all: the wrong order would pair each sentence with another's answer. Prose, a heading, a rule, the next
sentence, and the end of a fenced block that contains a sentence end the search.

A sentence without HLX serves phase 1 alone, unless it has lost its HLX: then it is no entry.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Literal, TypeAlias

from hlx_model.corpus.parts import Block, Labelled, Mark
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.corpus.stretches import Stretch


def blocks(parts: Iterable[Labelled | Block | Mark | Stretch]) -> Iterator[Block | Stretch]:
    """Yield the entries of a document from its labelled texts; rows are entries already, and stretches many of them."""
    above: Block | None = None
    bare: list[Block] = []
    for found in chain(_paired(parts), [None]):
        block = found.first if isinstance(found, Stretch) else found
        if block and _is_bare(block) and (not bare or bare[-1].section == block.section):
            bare.append(block)
            continue
        alone = not _cut_off(bare, above, block)
        for one in bare:
            one.alone = alone
            yield one
        above, bare = bare[-1] if bare else above, []
        if block and _is_bare(block):
            bare.append(block)
        elif found:
            yield found
            above = found.last if isinstance(found, Stretch) else found


def _is_bare(block: Block) -> bool:
    """Return whether a block is a sentence without anything that may be its HLX."""
    if block.english is None or block.has_hlx or block.alone:
        return False
    return block.english.sentence_lines == len(block.english.lines)


def _cut_off(bare: list[Block], above: Block | None, below: Block | None) -> bool:
    """Return whether sentences without HLX that follow each other have lost it.

    One has if it is alone between other entries of its section; several have if HLX without a sentence is next to them.
    """
    around = ((bare[0], above), (bare[-1], below)) if bare else ()
    if len(bare) == 1:
        return any(other and not other.alone and other.section == one.section for one, other in around)
    return any(other and other.english is None and other.region == one.region for one, other in around)


def _paired(parts: Iterable[Labelled | Block | Mark | Stretch]) -> Iterator[Block | Stretch]:
    region = _Region(0)
    for run in _runs(parts):
        if isinstance(run, Block):
            yield run
        elif isinstance(run, Stretch):
            yield from region.read_stretch(run)
        elif run:
            yield from region.read(run)
        else:
            yield from region.end()
            region = _Region(region.number + 1)


_Order: TypeAlias = Literal["sentence first", "sentence last", "unclear"]


class _Region:
    """The texts from one break to the next: the entry that is being read, and the evidence for each order."""

    def __init__(self, number: int) -> None:
        self.number = number
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

    def read_stretch(self, stretch: Stretch) -> Iterator[Block | Stretch]:
        """Yield what `read` yields of the runs of a stretch: as it is, if no entry is held back."""
        yield from self._next(Block())
        whole, last = stretch.without_last()
        if self.held or not whole.entries:
            for run in stretch.runs():
                yield from self.read(run)
            return
        self.pattern += b"P" * whole.entries
        whole.region = self.number
        yield whole
        # What is below it may belong to its last entry: the mark of a fenced block touches both.
        for run in last.runs():
            yield from self.read(run)

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
                yield Block(english=block.english, unclear=True, region=self.number)
                yield replace(block, english=None)
            else:
                yield block

    def _next(self, block: Block) -> Iterator[Block]:
        """Begin `block`; yield the entry before it, or hold it back."""
        done, self.block = self.block, block
        if done.english is None and not done.has_hlx:
            return
        done.region = self.number
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


def _runs(parts: Iterable[Labelled | Block | Mark | Stretch]) -> Iterator[list[Labelled] | Block | Stretch]:
    """Yield the labelled texts that are directly below each other, together; an empty run for a break.

    A run that begins with a sentence ends before the next one: its order is known from the start. A row is a break.
    """
    run: list[Labelled] = []
    for part in parts:
        if run and (not isinstance(part, Labelled) or not part.touches or run[0].label == part.label == ENGLISH):
            yield run
            run = []
        if isinstance(part, Labelled):
            run.append(part)
        elif isinstance(part, Stretch):
            yield part
        else:
            yield []
        if isinstance(part, Block):
            yield part
