"""What readers find in documents: labelled texts, and the blocks that they make, each one an entry to be.

Every kind of document comes to this: Markdown by its labels, a table by its columns, a text file by its lines.
"""

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from hlx_model.corpus.prompts import ENGLISH
from hlx_model.language import Format

_FORMATS = {str(format): format for format in Format}
COMPOSED = "decomposed characters are composed (Unicode NFC)"
INVISIBLE = "invisible characters, such as zero-width spaces, are left out"
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e01ef]"
)

# A line that continues a sentence begins with a small letter. Of HLX only these words do, and perhaps a mistyped label.
_CONTINUES = re.compile(r"(?!(?:null|true|false)\Z|b\"|[\w -]{1,20}[*_`]{0,3}\s*[:\uff1a])[a-z]")


class Mark(Enum):
    """What is between labelled texts."""

    BREAK = "break"
    """Prose, a heading, a rule, an end of a fenced block that contains a sentence: it ends every entry."""
    OPEN = "open"
    """A fenced block begins."""
    CLOSE = "close"
    """It ends."""


@dataclass(slots=True)
class Labelled:
    """A label and the lines of its text."""

    label: str
    """`ENGLISH`, the tag of a format, or "" for a fenced block without one."""
    line: int
    """1-based line of the label; without a label, of the fence."""
    section: str = ""
    """The nearest `##` heading above, without its `#`; "" if there is none."""
    touches: bool = False
    """It is directly below the labelled text before it: no blank line and no prose between."""
    lines: list[str] = field(default_factory=list)
    """The text, stripped, line by line; empty if the label has none."""
    last_line: int = 0
    """1-based, the last line that belongs to it."""
    readings: frozenset[str] = frozenset()
    """What was changed in its characters: `COMPOSED`, `INVISIBLE`."""
    fenced: bool = False
    """Its text is that of a fenced block."""
    language: str = ""
    """The language of a fenced block without a label; "" if it is none in particular."""

    @property
    def text(self) -> str:
        """Return all lines of the text."""
        return "\n".join(self.lines)

    @property
    def sentence_lines(self) -> int:
        """Return how many of the lines are one sentence; those below do not continue it."""
        return next((i for i, line in enumerate(self.lines) if i and not _CONTINUES.match(line)), len(self.lines))


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
    alone: bool = False
    """Its sentence is not meant to have HLX."""
    region: int = -1
    """Counts what breaks separate, -1 for a row; entries of one region have nothing but labelled texts between them."""
    defect: tuple[str, str, str] | None = None
    """The rule that it breaks, the reason and the wrong text, if its reader found that."""

    @property
    def parts(self) -> list[Labelled]:
        """Return all texts that the entry was read from, in order."""
        return sorted(filter(None, (self.english, *self.formats.values(), *self.unnamed)), key=lambda part: part.line)

    @property
    def line(self) -> int:
        """Return the line of its sentence; without a sentence, of its first text."""
        return (self.english or self.parts[0]).line

    @property
    def section(self) -> str:
        """Return the section of its first text."""
        return self.parts[0].section

    @property
    def has_hlx(self) -> bool:
        """Return whether there is HLX, or what may be HLX."""
        return bool(self.formats or self.unnamed)

    def takes(self, part: Labelled) -> bool:
        """Return whether `part`, which is no sentence, belongs to this entry rather than to a new one."""
        if self.unclear or ((self.closed or self.unnamed) and not part.touches):
            return False
        # The tag of a format is a member's text: it is found without making the member.
        repeated = part.label != "" and part.label in self.formats
        return not repeated or (part.touches and self.english is not None)

    def add(self, part: Labelled) -> None:
        """Add the text of a format or of a fenced block."""
        if not part.label:
            self.unnamed.append(part)
        elif (format := _FORMATS[part.label]) in self.formats:
            self.repeated.append(format)
        else:
            self.formats[format] = part


@lru_cache(maxsize=1024)
def label_of(text: str) -> str | None:
    """Return `ENGLISH` or the tag of the format that `text` names, in any spelling; None for other text."""
    if text.casefold() == ENGLISH.casefold():
        return ENGLISH
    with suppress(ValueError):
        return str(Format(text))
    return None


def cleaned(text: str) -> tuple[str, frozenset[str]]:
    """Return a text without invisible characters, in Unicode NFC, and which of both changed it."""
    if text.isascii():
        return text, frozenset()
    visible = _INVISIBLE.sub("", text)
    composed = unicodedata.normalize("NFC", visible)
    changes = (INVISIBLE, visible != text), (COMPOSED, composed != visible)
    return composed, frozenset(reading for reading, changed in changes if changed)
