"""Which labelled texts make one entry: a sentence, and lines in up to four formats.

A sentence stands above its HLX, or below it. Labels without a blank line between them say which: a run of
them that begins with a sentence has it first, one that ends with a sentence has it last. Where that does
not decide, the order that the document had so far does; where nothing decides, the sentence is given no
HLX at all, since the wrong order pairs each sentence with another's answer. Nothing is ever looked for
past a heading, a rule or the next sentence.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from hlx_model.corpus.markdown import BREAK, Labelled
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

    @property
    def parts(self) -> list[Labelled]:
        """All that the entry was read from, in order."""
        found = [*([self.english] if self.english else []), *self.formats.values(), *self.unnamed]
        return sorted(found, key=lambda part: part.line)

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
        if self.unclear:
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


def blocks(parts: Iterable[Labelled | None]) -> Iterator[Block]:
    """The entries of a document as they stand, from its labelled texts."""
    grouping = _Grouping()
    for run in _runs(parts):
        yield from grouping.end() if run is BREAK else grouping.read(run)
    yield from grouping.end()


_Order: TypeAlias = Literal["sentence first", "sentence last", "unclear"]


class _Grouping:
    """The entry that is being read, and the order that the document had so far."""

    def __init__(self) -> None:
        self.block = Block()
        self.order: _Order = "unclear"
        self.in_doubt = False
        """A sentence above, since the last heading or rule, could not be given its HLX."""

    def read(self, run: list[Labelled]) -> Iterator[Block]:
        """The entries that `run` completes."""
        order = self._order_of(run)
        self.in_doubt |= order == "unclear"
        self.block.unclear |= order == "unclear" and self.block.waits
        if order == "sentence last" and len(run) > 1:
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
                yield from self._next(Block(english=part, unclear=order == "unclear"))

    def end(self) -> Iterator[Block]:
        """The last entry before a heading, a rule or the end."""
        self.in_doubt = False
        yield from self._next(Block())

    def _next(self, block: Block) -> Iterator[Block]:
        done, self.block = self.block, block
        if done.english is not None or done.formats:
            yield done

    def _order_of(self, run: list[Labelled]) -> _Order:
        """How the entries of `run` are ordered: by what touches, else as in the document so far."""
        first, last = run[0].label == ENGLISH, run[-1].label == ENGLISH
        if all(part.label != ENGLISH for part in run) or (first and len(run) > 1):
            return "sentence first"
        goes_on = not first and self.block.english is not None and self.block.takes(run[0])
        if first:
            above = bool(self.block.formats) and self.block.english is None
            if self.order == "sentence last":
                return self.order if above else "unclear"
            return self.order if above or self.in_doubt else "sentence first"
        if last:
            return self.order if goes_on else "sentence last"
        return "sentence first" if goes_on else self.order


def _runs(parts: Iterable[Labelled | None]) -> Iterator[list[Labelled] | None]:
    """The labelled texts that stand directly below each other, together; `BREAK` as it comes.

    A run that begins with a sentence ends before the next one: its order is plain from the start.
    """
    run: list[Labelled] = []
    for part in parts:
        if part is BREAK or not part.touches or (run and run[0].label == part.label == ENGLISH):
            if run:
                yield run
            run = []
        if part is BREAK:
            yield BREAK
        else:
            run.append(part)
    if run:
        yield run
