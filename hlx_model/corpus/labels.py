"""Read the labelled texts of a Markdown document, in every shape that documents have.

A label is `English:`, `HLXL:`, `LC-R:`, `LC-T:` or `LC-B:`, in any case, with `_`, a space or nothing for
the hyphen, bold, in a list, a quotation or a heading, perhaps with a remark (`LC-R (runic):`). Its text
is on its line, on the lines below it, or in a fenced block below it; a fenced block whose language is
a format (```` ```lc-r ````) needs no label. Each row of a table with such columns is an entry. Everything
else is prose, front matter (`---` to `---` at the beginning) too.

Lines are read one at a time: a document of a million entries takes no memory.
"""

import difflib
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TypeAlias

from hlx_model.corpus import rules
from hlx_model.corpus.columns import table_columns, table_row
from hlx_model.corpus.parts import Block, Labelled, Mark, cleaned, label_of
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.corpus.stretches import Stretch
from hlx_model.language import Format

_SPACE = r"[^\S\n]*"  # Word and French put spaces that do not break before a colon
_LIST = r"(?:[-*+•‣◦·]|\d{1,4}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?"
_SPELLINGS = "|".join([ENGLISH, *(format.spellings for format in Format)])
_LABEL = re.compile(
    rf"""
    {_SPACE}(?:>{_SPACE}|{_LIST}|\#{{3,6}}[ \t]+)*               # quotation, list item, heading
    (?P<opened>\*{{1,3}}|_{{1,3}}|`)?
    (?P<label>{_SPELLINGS})
    (?:[ \t]*\d{{1,4}})?
    (?:[ \t]*\([^()]{{0,40}}\))?
    (?P<closed>\*{{1,3}}|_{{1,3}}|`)?
    {_SPACE}[:\uff1a]                                         # full-width too
    (?P<closed_after>(?P=opened))?
    (?P<text>.*)
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_PLAIN = {label: label for label in (ENGLISH, *map(str, Format))}
"""The labels that are matched without the pattern: nearly all, as each of them is written."""
_LETTERS = "".join(format[-1] for format in Format if "-" in format)
_LIKE_A_LABEL = re.compile(
    rf"(?:[^\w<]|<[^>]{{0,40}}>){{0,12}}([A-Za-z][\w-]{{2,10}}(?:[ \t](?i:[{_LETTERS}])(?!\w))?)"
)
_ALIKE = 0.75
"""Similarity by difflib: `Enlgish` (0.86), `HXLX` and `LC-X` (0.75) are like a label, `Finish` (0.62) is not."""
_LABELS = (ENGLISH.casefold(), *(format.casefold() for format in Format))
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)")
_HEADING = re.compile(r" {0,3}(#{1,6})([ \t].*)?$")
_RULE = re.compile(r" {0,3}(?:(?:-[ \t]*){3,}|(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|={3,}[ \t]*)$")
_FENCE = re.compile(rf"{_SPACE}(?:>{_SPACE}|{_LIST})*(`{{3,}}|~{{3,}})([^`]*)$")
_MARKS = re.compile(rf"{_SPACE}(?:>{_SPACE}|{_LIST})*")
_QUOTED = re.compile(r"[ \t]*(?:>[ \t]?)*")
_PROSE = re.compile(r"[ \t]*(?:\*\*|>|<|[-*+][ \t]|\d{1,4}[.)][ \t]|\|.*\|[ \t]*$)")
_REMARK = re.compile(r"[ \t]*(?:\*\*|<|\|.*\|[ \t]*$)")
_KEY = re.compile(r"(?:([\w.\"'-][\w .\"'-]*):(?=\s|$)\s*(.*)|\s+\S.*|-\s.*|#.*|\s*)$")
_FRONT_MATTER = 200
"""Front matter has at most so many lines."""
NEVER_CLOSED = "an HTML comment is never closed: nothing below it is read"
"""What is listed with the line of such a comment; reading the document puts it in quarantine."""
_Numbered: TypeAlias = tuple[int, str | Stretch]
"""A line, or the lines of a stretch, and the 1-based number of the first."""
_NO_LANGUAGES = frozenset({"hlx", "text", "txt", "plain", "markdown", "md"})


class _Scanner:
    """The state between one line and the next."""

    def __init__(self, unread: dict[str, int]) -> None:
        self.unread = unread
        """Lines that look like a label and are none, with the line of the first of each kind."""
        self.section = ""
        self.current: Labelled | None = None
        self.touching = False
        self.comment = 0
        """The line in which the open comment began; 0 outside of comments."""
        self.fences: list[str] = []
        """The marks of the open fenced blocks, the outermost first."""
        self.fenced_text = False
        """The lines of the innermost block are the text of `current`, not labels or prose."""
        self.readings = frozenset[str]()
        """What was changed in the characters of the current line."""
        self.above = ""
        """The line above, which may be the head of a table."""
        self.columns: list[str | None] = []
        """The labels of the columns of the table that is being read."""

    def read(self, lines: Iterable[str | Stretch]) -> Iterator[Labelled | Block | Mark | Stretch]:
        """Yield what each line completes, and what the end of the document completes."""
        for number, raw in self._stretched(self._without_front_matter(_numbered(lines))):
            if isinstance(raw, Stretch):
                yield raw
                continue
            line, self.readings = cleaned(raw)
            yield from self._read(number, line)
            self.above = line
        yield from self._end(touching=False)
        if self.comment:
            self.unread.setdefault(NEVER_CLOSED, self.comment)
        yield Mark.BREAK

    def _without_front_matter(self, lines: Iterator[_Numbered]) -> Iterator[_Numbered]:
        first = next(lines, None)
        if first is None or isinstance(first[1], Stretch) or cleaned(first[1])[0].rstrip() != "---":
            return chain([first] if first else (), lines)
        begin = [(first[0], first[1])]
        while len(begin) <= _FRONT_MATTER and (following := next(lines, None)):
            number, line = following
            if isinstance(line, Stretch):
                lines = chain(enumerate(line.lines, number), lines)
                continue
            begin.append((number, line))
            if line.rstrip() in ("---", "..."):
                break
        if labels := _front_matter([line for _, line in begin]):
            begin = []
            if any(labels):
                self.unread.setdefault("front matter is no entry", 1)
        return chain(begin, lines)

    def _stretched(self, lines: Iterable[_Numbered]) -> Iterator[_Numbered]:
        """Yield lines, and those stretches that need not be read line by line."""
        for number, line in lines:
            if not isinstance(line, Stretch):
                yield number, line
            elif self.comment or self.fences or self.current or self.touching:
                yield from enumerate(line.lines, number)
            else:
                self.above, self.columns = "", []
                line.line, line.section = number, self.section
                yield number, line

    def _read(self, number: int, line: str) -> Iterator[Labelled | Block | Mark]:
        if self.comment:
            if "-->" not in line:
                return
            self.comment, line = 0, line.partition("-->")[2]
        label: re.Match[str] | None = None
        begin, colon, rest = line.partition(":")
        tag = _PLAIN.get(begin)
        if tag and not self.fences:
            self.columns = []
            yield from self._label(number, tag, _bare(rest.strip(), tag))
            return
        if tag is None and (colon or "\uff1a" in line) and (label := _LABEL.match(line)):
            tag = label_of(label["label"])
        if tag is None and not self.fences and "<!--" in line:
            self.comment = number if line.rfind("<!--") > line.rfind("-->") else 0
            line = _COMMENT.sub("", line)
        if self.columns and "|" in line and not (tag or label):
            yield from table_row(line, self.columns, number, self.section)
            return
        self.columns = [] if self.current or self.fenced_text else table_columns(self.above, line)
        if self.columns:
            # Its head was taken for prose.
            for reading in [reading for reading, where in self.unread.items() if where == number - 1]:
                del self.unread[reading]
            return
        if fence := _FENCE.match(line):
            yield from self._fence(number, fence[1], fence[2].strip())
        elif tag:
            yield from self._label(number, tag, _unmarked(label, tag) if label else _bare(rest.strip(), tag))
        elif self.fenced_text:
            self._add(number, _QUOTED.sub("", line, count=1).strip())
        elif not line.strip():
            # A label without text can have it below blank lines.
            if self.current is None or self.current.lines:
                yield from self._end(touching=False)
        elif (marks := self._continuation(line)) is not None:
            self._add(number, marks.sub("", line, count=1).strip())
        else:
            heading = _HEADING.match(line)
            yield from self._end(touching=False)
            if heading and heading[1] == "##" and not self.fences:
                self.section = (heading[2] or "").rstrip("# \t").lstrip()
            if not heading or len(line.split()) == 2:  # the heading is one word
                self._note(number, line)
            yield Mark.BREAK

    def _label(self, number: int, tag: str, text: str) -> Iterator[Labelled]:
        """Begin the text of a label."""
        yield from self._end(touching=self._touched())
        self.fenced_text = False
        self.current = Labelled(tag, number, self.section, self.touching, last_line=number)
        self._add(number, text)

    def _continuation(self, line: str) -> re.Pattern[str] | None:
        """Return the marks before the text of a line that continues `current`; None if it does not."""
        if self.current is None or _HEADING.match(line) or _RULE.match(line):
            return None
        if not self.current.lines:
            marks = _MARKS if self.current.label == ENGLISH else _QUOTED
            return None if _REMARK.match(line) else marks
        return _QUOTED if self.current.label == ENGLISH or not _PROSE.match(line) else None

    def _fence(self, number: int, mark: str, language: str) -> Iterator[Labelled | Mark]:
        """Take in a line that opens or closes a fenced block; inside a block of text it is ignored."""
        if self.fences and mark.startswith(self.fences[-1]) and not language:
            block_text = self.current if self.fenced_text else None
            if block_text is not None:
                block_text.last_line = number
            yield from self._end(touching=self.fenced_text)
            self.fences.pop()
            self.fenced_text = False
            if not self.fences and not (block_text is not None and block_text.label):
                yield Mark.CLOSE
            return
        if self.fences and (self.fenced_text or not language):
            return
        outermost = not self.fences
        self.fences.append(mark)
        self.fenced_text = True
        word = re.search(r"[^\s{}.,:=]+", language)
        language = word[0] if word else ""
        if self.current is None or self.current.lines:
            yield from self._end(touching=self._touched())
            tag = label_of(language) or ""
            if outermost and not tag:
                yield Mark.OPEN
            if tag or language.casefold() in _NO_LANGUAGES:
                language = ""
            self.current = Labelled(tag, number, self.section, self.touching, last_line=number)
        self.current.fenced, self.current.language = True, language

    def _touched(self) -> bool:
        """Return whether the current line is directly below a labelled text; the mark of a fenced block is no text."""
        text_above = self.current is not None and bool(self.current.label or self.current.lines)
        return self.touching or text_above

    def _note(self, number: int, line: str) -> None:
        """Remember prose that begins with a label, or with what may be a mistyped one."""
        found = _LIKE_A_LABEL.match(line)
        # Tables of glyphs have formats in their heads; those of entries begin with the sentence.
        labels = _LABELS[:1] if line.lstrip().startswith("|") else _LABELS
        word = found[1].casefold() if found else "hlx"
        if found and word != "hlx" and difflib.get_close_matches(word, labels, cutoff=_ALIKE):
            self.unread.setdefault(f"prose that begins with `{found[1]}` is no label", number)

    def _add(self, number: int, text: str) -> None:
        if text and self.current is not None:
            self.current.lines.append(text)
            self.current.last_line = number
            self.current.readings |= self.readings

    def _end(self, *, touching: bool) -> Iterator[Labelled]:
        self.touching = touching
        done, self.current = self.current, None
        # A fenced block without a text of its own contains labels.
        if done is None or not (done.label or done.lines):
            return
        hlx = len(done.lines) > 1 and not done.fenced and done.label != ENGLISH
        if hlx and rules.parses(done.lines[0], Format(done.label)):
            # The lines below are prose.
            done.last_line -= len(done.lines) - 1
            del done.lines[1:]
            self.touching = False
        yield done


def is_labelled(line: str) -> bool:
    """Return whether a line has a label."""
    return _LABEL.match(cleaned(line)[0]) is not None


def labelled(lines: Iterable[str | Stretch], unread: dict[str, int]) -> Iterator[Labelled | Block | Mark | Stretch]:
    """Yield labelled texts and rows in their order, and `Mark.BREAK` at what ends every entry, and at the end.

    Args:
        lines: of the document, without their ends, or several of them as a stretch, which is then yielded if it can be.
        unread: filled with the lines that look like a label and are none, by kind, with the first line.
    """
    return _bounded(_Scanner(unread).read(lines))


def _bounded(found: Iterable[Labelled | Block | Mark | Stretch]) -> Iterator[Labelled | Block | Mark | Stretch]:
    """Turn both ends of a fenced block that contains a sentence into breaks; drop the ends of other blocks.

    A block that contains HLX alone may belong to the sentence above it: its texts are held back until that is known.
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
        elif isinstance(part, (Block, Stretch)):
            yield from waiting or ()
            yield part
            waiting = [] if inside else None
        elif inside and part.label == ENGLISH and not holds_sentence:
            holds_sentence = True
            yield Mark.BREAK
            yield from (*(waiting or ()), part)
            waiting = None
        elif waiting is not None:
            waiting.append(part)
        else:
            yield part


def _numbered(lines: Iterable[str | Stretch]) -> Iterator[_Numbered]:
    number = 1
    for line in lines:
        yield number, line
        number += len(line.lines) if isinstance(line, Stretch) else 1


def _front_matter(lines: list[str]) -> list[str | None]:
    """Return the label that each key of front matter looks like, if any; empty if the lines are no front matter.

    An entry between two rules is none: it has HLX, or its labels have capital letters, and no other keys.
    """
    keys = [_KEY.match(line) for line in lines[1:-1]]
    if len(lines) < 2 or lines[-1].rstrip() not in ("---", "...") or None in keys:
        return []
    found = [(key[1], label_of(key[1]), key[2]) for key in keys if key and key[1]]
    labels = [label for _, label, _ in found]
    is_small = all(key.islower() for key, label, _ in found if label)
    has_hlx = any(label in list(Format) and rules.parses(text, Format(label)) for _, label, text in found)
    has_others = None in labels
    return labels if (has_others and (is_small or not has_hlx)) or (is_small and not has_hlx) else []


def _unmarked(label: re.Match[str], tag: str) -> str:
    """Return the text on a label's line, without the marks of bold, italics and code around it."""
    text = label["text"].strip()
    opened = label["opened"]
    if opened and not label["closed"] and not label["closed_after"]:
        return text.removesuffix(opened).rstrip()
    return _bare(text, tag)


def _bare(text: str, tag: str) -> str:
    """Return a text without the marks of bold and code around the whole of it."""
    for mark in ("**", "`") if tag != ENGLISH else ("**",):
        inner = text[len(mark) : -len(mark)]
        if inner and mark not in inner and text.startswith(mark) and text.endswith(mark):
            return inner.strip()
    return text
