"""Stretches of a document: entries in its commonest form, one after the other, found without reading line by line.

    English: Search for documents
    HLXL: {1000: {@0: "search", @1: &h_documents}}
    LC-R: 🜊1000🜁0 "search"🜁1 ⟁documents🜂
    LC-T: {C:1000,0="search",1=@documents}
    LC-B: [1000|0:"search"|1:&documents]

A sentence, one format or several in any order, and a blank line. Every character is in the vocabulary, so nothing is
cleaned; a text begins with no mark of code or bold, so nothing is taken away. What reads line by line finds the same
entries in these lines, if the line above them is blank, a heading or prose, and no fenced block or comment is open.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

from hlx_model.corpus.parts import Block, Labelled
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.language import Format
from hlx_model.model.tokenizer import CHARACTERS

_TEXT = "[{}][{}]*\n".format(
    re.escape("".join(c for c in CHARACTERS if not c.isspace() and c not in "*`")),
    re.escape(CHARACTERS.replace("\n", "")),
)
_LABEL_ENDS = ": "
_ENTRY = re.compile(
    rf"^{ENGLISH}{_LABEL_ENDS}{_TEXT}(?:(?:{'|'.join(map(re.escape, Format))}){_LABEL_ENDS}{_TEXT})+\n", re.MULTILINE
)


@dataclass
class Stretch:
    """Whole lines of a document, which have entries in the form above and nothing else."""

    text: str
    line: int = 0
    """1-based, its first line."""
    section: str = ""
    """The nearest `##` heading above, without its `#`; "" if there is none."""
    region: int = -1
    """As of a `Block`."""
    sentence_begin: ClassVar[int] = len(ENGLISH) + len(_LABEL_ENDS)
    """Where the sentence begins in its line."""

    @cached_property
    def entries(self) -> int:
        """Return the number of its entries."""
        return self.text.count("\n\n")

    @property
    def lines(self) -> list[str]:
        """Return its lines without their ends."""
        return self.text.split("\n")[:-1]

    @property
    def first(self) -> Block:
        """Return its first entry."""
        return next(replace(self, text=self.text[: self.text.index("\n\n") + 2]).blocks())

    @property
    def last(self) -> Block:
        """Return its last entry."""
        return next(self.without_last()[1].blocks())

    def without_last(self) -> "tuple[Stretch, Stretch]":
        """Return the stretch without its last entry, and its last entry."""
        begin = self.text.rfind("\n\n", 0, -2) + 2 if self.entries > 1 else 0
        line = self.line + self.text.count("\n", 0, begin)
        return replace(self, text=self.text[:begin]), replace(self, text=self.text[begin:], line=line)

    def numbered(self) -> Iterator[tuple[int, str]]:
        """Yield each entry without its blank line, and before it the 1-based line that it begins in."""
        line = self.line
        for entry in self.text.split("\n\n")[:-1]:
            yield line, entry
            line += entry.count("\n") + 2

    def runs(self) -> Iterator[list[Labelled]]:
        """Yield the labelled texts of each entry, as they are read line by line."""
        for line, entry in self.numbered():
            labelled = (one.partition(_LABEL_ENDS) for one in entry.split("\n"))
            yield [
                Labelled(label, number, self.section, number > line, [text.strip()], number)
                for number, (label, _, text) in enumerate(labelled, line)
            ]

    def blocks(self) -> Iterator[Block]:
        """Yield the block of each entry."""
        for english, *others in self.runs():
            block = Block(english=english, region=self.region, closed=True)
            for part in others:
                block.add(part)
            yield block


def stretches(text: str) -> Iterator[str | Stretch]:
    """Yield the stretches of a part of a document, and each other line without its end.

    Args:
        text: whole lines; their ends are line feeds, and each may have a carriage return before it.
    """
    if text.count("\r") == text.count("\r\n"):
        text = text.replace("\r\n", "\n")
    done = end = 0
    begin = -1
    for entry in _ENTRY.finditer(text):
        if entry.start() != end or begin < 0:
            if begin >= 0:
                yield Stretch(text[begin:end])
                done = end
            begin = entry.start()
            yield from _lines(text[done:begin])
        end = entry.end()
    if begin >= 0:
        yield Stretch(text[begin:end])
    yield from _lines(text[end:])


def _lines(text: str) -> Iterator[str]:
    # Not splitlines(): it also ends a line at characters that may occur in a string.
    for line in text.removesuffix("\n").split("\n") if text else ():
        yield from line.removesuffix("\r").split("\r")
