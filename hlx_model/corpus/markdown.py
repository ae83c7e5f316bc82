"""The labelled texts of a Markdown document, in every shape that documents in the field have.

A label is `English:`, `HLXL:`, `LC-R:`, `LC-T:` or `LC-B:`, in any case, with `_`, a space or nothing for
the hyphen, bold, in a list, a quotation or a heading, perhaps with a remark (`LC-R (runic):`). Its text
stands on its line, on the lines below it, or in a fenced block below it; a fenced block whose language is
a format (```` ```lc-r ````) needs no label. Everything else is prose.

Lines are read one at a time, so that a document of a million entries costs no memory.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from hlx_model.corpus.prompts import ENGLISH
from hlx_model.language import Format, parse


class Mark(Enum):
    """What stands between labelled texts."""

    BREAK = "break"
    """A heading, a rule, an end of a fenced block that holds a sentence: no entry goes on past it."""
    OPEN = "open"
    """A fenced block begins."""
    CLOSE = "close"
    """It ends."""


_LABEL = re.compile(
    r"""
    [ \t]*(?:(?:>|[-*+]|\d{1,4}[.)]|\#{3,6})[ \t]+)*         # quotation, list item, heading
    (?P<opened>\*{1,3}|_{1,3}|`)?
    (?P<label>english|hlxl|lc[-_ ‐‑‒–—]?[rtb])
    (?:[ \t]*\([^()]{0,40}\))?
    (?P<closed>\*{1,3}|_{1,3}|`)?
    [ \t]*[:\uff1a]                                         # full-width too
    (?P<closed_after>(?P=opened))?
    (?P<text>.*)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_COLON = re.compile("[:\uff1a]")
_UNKNOWN = re.compile(r"[^\w|]{0,8}([A-Za-z][\w -]{0,20}?)[*_`]{0,3}[ \t]*[:\uff1a]")
_HEADING = re.compile(r" {0,3}(#{1,6})([ \t].*)?$")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|={3,}[ \t]*)$")
_FENCE = re.compile(r"[ \t]*(?:>[ \t]*)?(`{3,}|~{3,})([^`]*)$")
_MARKS = re.compile(r"[ \t]*(?:(?:>|[-*+])[ \t]+)*")
_QUOTED = re.compile(r"[ \t]*(?:>[ \t]?)*")
_PROSE = re.compile(r"[ \t]*(?:\*\*|>|<|[-*+][ \t]|\d{1,4}[.)][ \t]|\|.*\|[ \t]*$)")
_REMARK = re.compile(r"[ \t]*(?:\*\*|<|\|.*\|[ \t]*$)")
_NO_LANGUAGES = frozenset({"hlx", "text", "txt", "plain", "markdown", "md"})
_SECTION_LEVEL = 2
_MOST_WAITING = 1000


@dataclass(slots=True)
class Labelled:
    """A label and the lines of its text."""

    label: str
    """`ENGLISH`, the tag of a format, or "" for a fenced block that says neither."""
    line: int
    """1-based, of the label (of the fence where there is no label)."""
    section: str
    """The nearest `##` heading above, without its `#`; "" if there is none."""
    touches: bool
    """It stands directly below the labelled text before it: no blank line and no prose between."""
    unknown: str = ""
    """The line directly above begins like a label that is none, such as `Enlgish`."""
    lines: list[str] = field(default_factory=list)
    """The text, stripped, line by line; empty where the label has none."""
    last_line: int = 0
    """1-based, of the last line that belongs to it."""
    composed: bool = False
    """It held decomposed characters, which were composed (NFC)."""
    fenced: bool = False
    """Its text is that of a fenced block."""
    language: str = ""
    """Of a fenced block without a label; "" where it is none in particular."""

    @property
    def text(self) -> str:
        """All lines of the text."""
        return "\n".join(self.lines)

    def drop_prose(self) -> bool:
        """Drop the lines below HLX that ends in its first line, and say whether there were any."""
        if len(self.lines) < 2 or self.fenced or self.label == ENGLISH or not _reads(self.lines[0], self.label):
            return False
        self.last_line -= len(self.lines) - 1
        del self.lines[1:]
        return True


def label_of(text: str) -> str | None:
    """`ENGLISH` or the tag of the format that `text` names, in any spelling; None for other text."""
    if text.casefold() == ENGLISH.casefold():
        return ENGLISH
    try:
        return str(Format(text))
    except ValueError:
        return None


class _Scanner:
    """The state between one line and the next."""

    def __init__(self) -> None:
        self.section = ""
        self.current: Labelled | None = None
        self.touching = False
        self.unknown = ""
        self.in_comment = False
        self.fence = ""
        """The mark that opened the fenced block one is in."""
        self.fenced_text = False
        """The lines of the fenced block are the text of `current`, and not labels or prose."""
        self.holds_labels = False
        """The fenced block is no label's text: it may hold labels of its own."""

    def read(self, number: int, line: str, composed: bool) -> Iterator[Labelled | Mark]:
        """What `line` completes."""
        unknown, self.unknown = self.unknown, ""
        if self.in_comment or (not self.fence and line.lstrip().startswith("<!--")):
            self.in_comment = "-->" not in line
            yield from self._end(touching=False)
        elif fence := _FENCE.match(line):
            yield from self._fence(number, fence[1], fence[2].strip())
        elif _COLON.search(line) and (label := _LABEL.match(line)) and (tag := label_of(label["label"])):
            yield from self._end(touching=self._touched())
            self.fenced_text = False
            self._begin(tag, number, unknown)
            self._add(number, _unmarked(label, tag), composed)
        elif self.fenced_text:
            self._add(number, _QUOTED.sub("", line, count=1).strip(), composed)
        elif not line.strip():
            # A label without text waits for it across blank lines.
            if self.current is None or self.current.lines:
                yield from self._end(touching=False)
        elif heading := _HEADING.match(line):
            yield from self._end(touching=False)
            if len(heading[1]) == _SECTION_LEVEL and not self.fence:
                self.section = (heading[2] or "").rstrip("# \t").lstrip()
            yield Mark.BREAK
        elif _RULE.match(line):
            yield from self._end(touching=False)
            yield Mark.BREAK
        elif self.current is not None and not self.current.lines and not _REMARK.match(line):
            self._add(number, _MARKS.sub("", line, count=1).strip(), composed)
        elif self.current is not None and self.current.lines and not _PROSE.match(line):
            self._add(number, line.strip(), composed)
        else:
            yield from self._end(touching=False)
            if like_a_label := _UNKNOWN.match(line):
                self.unknown = like_a_label[1]

    def finish(self) -> Iterator[Labelled | Mark]:
        """What the end of the document completes."""
        yield from self._end(touching=False)
        yield Mark.BREAK

    def _fence(self, number: int, mark: str, language: str) -> Iterator[Labelled | Mark]:
        if self.fence:
            # An opening mark inside a block is its text; its own end is as long or longer, and says nothing.
            if mark.startswith(self.fence) and not language:
                if self.fenced_text and self.current is not None:
                    self.current.last_line = number
                yield from self._end(touching=self.fenced_text)
                if self.holds_labels:
                    yield Mark.CLOSE
                self.fence, self.fenced_text, self.holds_labels = "", False, False
            return
        self.fence = mark
        self.fenced_text = True
        if self.current is not None and not self.current.lines:
            self.current.fenced = True
            return
        yield from self._end(touching=self._touched())
        yield Mark.OPEN
        self.holds_labels = True
        self._begin(label_of(language) or "", number)
        if self.current is not None and not self.current.label:
            self.current.fenced, self.current.language = True, _language(language)

    def _touched(self) -> bool:
        """The line that is being read stands directly below a labelled text; the mark of a fenced block is no text."""
        text_above = self.current is not None and bool(self.current.label or self.current.lines)
        return self.touching or text_above

    def _begin(self, tag: str, number: int, unknown: str = "") -> None:
        self.current = Labelled(tag, number, self.section, self.touching, unknown, last_line=number)

    def _add(self, number: int, text: str, composed: bool) -> None:
        if text and self.current is not None:
            self.current.lines.append(text)
            self.current.last_line = number
            self.current.composed |= composed

    def _end(self, *, touching: bool) -> Iterator[Labelled]:
        done, self.current = self.current, None
        if done is not None and done.drop_prose():
            touching = False
        self.touching = touching
        # A fenced block without a text of its own holds labels.
        if done is not None and (done.label or done.lines):
            yield done


def labelled(lines: Iterable[str]) -> Iterator[Labelled | Mark]:
    """The labelled texts of a document in their order, and `Mark.BREAK` where no entry goes on.

    Args:
        lines: of the document, without their ends.
    """
    yield from _bounded(_scanned(lines))


def _scanned(lines: Iterable[str]) -> Iterator[Labelled | Mark]:
    scanner = _Scanner()
    for number, line in enumerate(lines, start=1):
        # A byte order mark also stands where files that begin with one were joined.
        line = line.removeprefix("\ufeff")
        composed = not line.isascii() and not unicodedata.is_normalized("NFC", line)
        yield from scanner.read(number, unicodedata.normalize("NFC", line) if composed else line, composed)
    yield from scanner.finish()


def _bounded(found: Iterable[Labelled | Mark]) -> Iterator[Labelled | Mark]:
    """Turn the ends of a fenced block that holds a sentence into breaks; those of others mean nothing.

    A block that holds HLX alone may belong to the sentence above it, so its texts wait for what comes.
    """
    waiting: list[Labelled] | None = None
    inside = holds_sentence = False
    for part in found:
        if isinstance(part, Mark):
            yield from waiting or ()
            inside = part is Mark.OPEN or (inside and part is Mark.BREAK)
            waiting = [] if inside else None
            if part is Mark.BREAK or (part is Mark.CLOSE and holds_sentence):
                yield Mark.BREAK
            holds_sentence &= inside
        elif inside and part.label == ENGLISH and not holds_sentence:
            holds_sentence = True
            yield Mark.BREAK
            yield from (*(waiting or ()), part)
            waiting = None
        elif waiting is not None and len(waiting) < _MOST_WAITING:
            waiting.append(part)
        else:
            yield from (*(waiting or ()), part)
            waiting = None
    yield from waiting or ()


def _reads(text: str, label: str) -> bool:
    try:
        parse(text, Format(label))
    except ValueError:
        return False
    return True


def _language(name: str) -> str:
    return "" if name.casefold() in _NO_LANGUAGES else name


def _unmarked(label: re.Match[str], tag: str) -> str:
    """The text on a label's line, without the marks of bold, italics and code around it."""
    text = label["text"].strip()
    opened = label["opened"]
    if opened and not label["closed"] and not label["closed_after"]:
        return text.removesuffix(opened).rstrip()
    for mark in ("**", "`") if tag != ENGLISH else ("**",):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            return text[len(mark) : -len(mark)].strip()
    return text
