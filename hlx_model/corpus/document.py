"""Read a corpus document: Markdown with entries of one English label and four format labels.

    English: Search for documents
    HLXL: {1000: {@0: "search", @1: &h_documents}}
    LC-R: 🜊1000🜁0 "search"🜁1 ⟁documents🜂
    LC-T: {C:1000,0="search",1=@documents}
    LC-B: [1000|0:"search"|1:&documents]

An entry ends where the next `English:` begins: what is missing is never looked for further on, since
that pairs a sentence with another's answer. An entry with any defect goes to quarantine whole, with
its line and the reason, because the intact rest of a wrong entry is a wrong example.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hlx_model.corpus.prompts import ENGLISH, conversion, translations
from hlx_model.language import Format, HLXSyntaxError, Value, parse, render, same
from hlx_model.tokenizer import unknown_characters

DEFAULT_SEQ_LENGTH = 256
"""Tokens of the longest example, `<BOS>` and `<EOS>` included."""

_LABELLED = re.compile(rf"({'|'.join((ENGLISH, *Format))}):(.*)")
_SECTION = re.compile(r"##(?!#)\s*(.*?)[\s#]*$")


class CorpusError(ValueError):
    """A document that cannot be used; `str()` is one line naming the file and what to do."""


@dataclass(frozen=True)
class Entry:
    """One sentence and the value it says."""

    document: str
    line: int
    """1-based, of the English label."""
    section: str
    """The nearest `##` heading above, without its `#`; "" if there is none."""
    english: str
    value: Value


@dataclass(frozen=True)
class Quarantined:
    """One entry that was read and refused, and why."""

    document: str
    line: int
    """1-based, of the English label."""
    english: str
    reason: str


@dataclass(frozen=True)
class Document:
    """What a corpus document holds."""

    name: str
    entries: tuple[Entry, ...]
    quarantined: tuple[Quarantined, ...]
    respelled: int
    """Lines of `entries` whose spelling was not canonical, such as `[0x03e8]`."""

    @property
    def entries_read(self) -> int:
        """All entries of the document, the quarantined ones included."""
        return len(self.entries) + len(self.quarantined)


class _DefectError(Exception):
    """Why an entry goes to quarantine, as one line."""


@dataclass
class _Block:
    """The labelled lines of one entry as they stand in the document."""

    line: int
    section: str
    english: str
    lines: dict[Format, str] = field(default_factory=dict)
    repeated: list[Format] = field(default_factory=list)


def read_document(path: Path, *, seq_length: int = DEFAULT_SEQ_LENGTH) -> Document:
    """The document at `path`, by `parse_document`, named as the path is written.

    Raises:
        CorpusError: no such file, a directory, unreadable, not UTF-8, empty, or no readable entry.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise CorpusError(f"{path}: no such file; give the path of a corpus document (Markdown)") from None
    except IsADirectoryError:
        raise CorpusError(f"{path}: is a directory; give the path of one corpus document in it") from None
    except OSError as error:
        raise CorpusError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 at byte offset {error.start}; save it as UTF-8") from None
    return parse_document(text, str(path), seq_length=seq_length)


def parse_document(text: str, name: str, *, seq_length: int = DEFAULT_SEQ_LENGTH) -> Document:
    """The entries of the Markdown `text`, and those that were refused.

    Args:
        text: the whole document.
        name: what errors, entries and tables call it, usually its path.
        seq_length: tokens an example may have, `<BOS>` and `<EOS>` included.

    Raises:
        CorpusError: empty, without an `English:` label, or with every entry in quarantine.
    """
    if not text.strip():
        raise CorpusError(f"{name}: is empty; write entries of English:, {', '.join(f'{f}:' for f in Format)}")
    entries: list[Entry] = []
    quarantined: list[Quarantined] = []
    respelled = 0
    first_line: dict[str, int] = {}
    for block in _blocks(text):
        try:
            earlier = first_line.setdefault(block.english, block.line)
            if block.english and earlier != block.line:
                raise _DefectError(f"the sentence was seen before, in line {earlier}")
            value = _agreed_value(block)
            texts = {format: render(value, format) for format in Format}
            _check_examples(block, texts, seq_length)
        except _DefectError as defect:
            quarantined.append(Quarantined(name, block.line, block.english, str(defect)))
        else:
            entries.append(Entry(name, block.line, block.section, block.english, value))
            respelled += sum(texts[format] != line for format, line in block.lines.items())
    if not entries and not quarantined:
        raise CorpusError(f"{name}: no entry found; each begins with a line such as 'English: Search for documents'")
    if not entries:
        first = quarantined[0]
        raise CorpusError(
            f"{name}: none of its {len(quarantined)} entries is usable; "
            f"mend them, beginning with line {first.line}: {first.reason}"
        )
    return Document(name, tuple(entries), tuple(quarantined), respelled)


def _blocks(text: str) -> Iterator[_Block]:
    """The entries of `text` as they stand, each from one English label to the next."""
    section = ""
    block: _Block | None = None
    # Not splitlines(), which also ends a line at characters that may stand inside a string.
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if heading := _SECTION.match(line):
            section = heading[1]
        elif labelled := _LABELLED.match(line):
            label, content = labelled[1], labelled[2].strip()
            if label == ENGLISH:
                if block is not None:
                    yield block
                block = _Block(number, section, content)
            elif block is not None:
                format = Format(label)
                if format in block.lines:
                    block.repeated.append(format)
                block.lines.setdefault(format, content)
    if block is not None:
        yield block


def _agreed_value(block: _Block) -> Value:
    """The value that all four lines of `block` say. Raises `_DefectError` when they do not."""
    if not block.english:
        raise _DefectError("the English sentence is empty")
    if block.repeated:
        raise _DefectError(f"{_listed(block.repeated)} given more than once")
    if missing := [format for format in Format if format not in block.lines]:
        raise _DefectError(f"{_listed(missing)} missing")
    for label, text in ((ENGLISH, block.english), *block.lines.items()):
        if unknown := unknown_characters(text):
            raise _DefectError(f"{label} has characters outside the vocabulary: {unknown}")
    values: dict[Format, Value] = {}
    for format in Format:
        try:
            values[format] = parse(block.lines[format], format)
        except HLXSyntaxError as error:
            raise _DefectError(f"{format} `{block.lines[format]}` cannot be read: {error}") from None
    if not all(same(value, values[Format.HLXL]) for value in values.values()):
        raise _DefectError(_disagreement(block, values))
    return values[Format.HLXL]


def _disagreement(block: _Block, values: Mapping[Format, Value]) -> str:
    """Which formats read otherwise than most do, in one line."""
    written = {format: render(value, Format.HLXL) for format, value in values.items()}
    readings = list(written.values())
    most = max(readings, key=readings.count)
    others = [f"{f} `{block.lines[f]}` reads as {text}" for f, text in written.items() if text != most]
    agreeing = [format for format, text in written.items() if text == most]
    return f"{' and '.join(others)} where {_listed(agreeing)} say{'s' * (len(agreeing) == 1)} {most}"


def _check_examples(block: _Block, texts: Mapping[Format, str], seq_length: int) -> None:
    """Raise `_DefectError` when an example made of this entry has more than `seq_length` tokens."""
    pairs = (*translations(block.english, texts), conversion(texts))
    longest = max(pairs, key=lambda example: len(example.prompt) + len(example.answer))
    tokens = len(longest.prompt) + len(longest.answer) + 2  # one a character, <BOS> and <EOS>
    if tokens > seq_length:
        raise _DefectError(f"its example {longest.source} to {longest.target} has {tokens} tokens, over {seq_length}")


def _listed(formats: list[Format]) -> str:
    *others, last = formats
    return f"{', '.join(others)} and {last}" if others else str(last)
