"""Read a corpus document: Markdown with entries of one English label and four format labels.

    English: Search for documents
    HLXL: {1000: {@0: "search", @1: &h_documents}}
    LC-R: 🜊1000🜁0 "search"🜁1 ⟁documents🜂
    LC-T: {C:1000,0="search",1=@documents}
    LC-B: [1000|0:"search"|1:&documents]

Missing formats are rendered from one that is given. An entry without a sentence serves phase 2 alone. `labels` reads
the labels in all their shapes, `pairing` finds those of one entry, and this module reads their meaning. An entry with
any defect goes to quarantine whole, with its line and the reason: the rest of a wrong entry is a wrong example. If a
form is ambiguous, the document lists how it was read.

Reasons and texts of quarantined entries are part of the data version of the examples: their wording must not change.
"""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from hlx_model.corpus import rules
from hlx_model.corpus.entries import Collection, CorpusError, Entry, Quarantined, Reading, listed, operation_of
from hlx_model.corpus.labels import label_of, labelled
from hlx_model.corpus.pairing import Block, blocks
from hlx_model.corpus.prompts import conversion, translations
from hlx_model.language import Format, HLXSyntaxError, Value, parse, render, same
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import unknown_characters

DEFAULT_SEQ_LENGTH = 256
"""Tokens of the longest example, `<BOS>` and `<EOS>` included."""


@dataclass(frozen=True)
class Document(Collection):
    """What was read from one document; a sentence may occur in it twice."""

    name: str
    """Its name in errors, entries and tables."""


# A line that continues a sentence begins with a small letter. Of HLX only these words do, and perhaps a mistyped label.
_CONTINUES = re.compile(r"(?!(?:null|true|false)\Z|b\"|[\w -]{1,20}[*_`]{0,3}\s*[:\uff1a])[a-z]")


class _DefectError(Exception):
    """An entry goes to quarantine. Its arguments: the rule that it breaks, the reason in one line, the wrong text."""


class _ProseError(Exception):
    """Labels or fenced blocks turn out to be prose; the message is listed among the readings, unless it is empty."""


def read_document(path: Path, *, seq_length: int = DEFAULT_SEQ_LENGTH, name: str | None = None) -> Document:
    """Read the document at `path` as `parse_document` does; it is called `name`, or as the path is written.

    Raises:
        CorpusError: the file is missing, a directory, unreadable, not UTF-8, empty, or has no usable entry.
        ValueError: no model has `seq_length`.
    """
    with opened(path, name or str(path)) as file:
        return _read(file, name or str(path), seq_length)


def check_document(path: Path, name: str) -> None:
    """Require that a document can be read and contains something like an entry; entries are not parsed.

    Args:
        path: the file.
        name: what errors call it.

    Raises:
        CorpusError: as `read_document` does.
    """
    with opened(path, name) as file:
        _require_entries(name, sum(1 for _ in blocks(labelled(_decoded(file, name), {}))))


@contextmanager
def opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open a document to read its bytes.

    Raises:
        CorpusError: the file is missing, a directory or unreadable, when it is opened or read.
    """
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        raise CorpusError(f"{name}: no such file; give the path of a corpus document (Markdown)") from None
    except IsADirectoryError:
        raise CorpusError(f"{name}: is a directory; name the corpus documents in it") from None
    except OSError as error:
        raise CorpusError(f"{name}: cannot be read ({error.strerror}); check its permissions") from None


def parse_document(text: str, name: str, *, seq_length: int = DEFAULT_SEQ_LENGTH) -> Document:
    """Read the Markdown `text`: its entries, the refused ones, and how ambiguous forms were read.

    Args:
        text: the whole document.
        name: its name in errors, entries and tables.
        seq_length: the most tokens of an example, `<BOS>` and `<EOS>` included; at most the model's positions.

    Raises:
        CorpusError: it is empty, has no label, or every entry is in quarantine.
        ValueError: no model has `seq_length`.
    """
    return _read(io.BytesIO(text.encode()), name, seq_length)


def _decoded(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their ends, of any kind, and without a byte order mark.

    Raises:
        CorpusError: it is not UTF-8; or, at its end, it contains only white space.
    """
    offset, empty = 0, True
    for number, line in enumerate(file):
        try:
            text = line.decode("utf-8-sig" if number == 0 else "utf-8")
        except UnicodeDecodeError as error:
            raise CorpusError(f"{name}: not UTF-8 at byte offset {offset + error.start}; save it as UTF-8") from None
        offset += len(line)
        empty = empty and not text.strip()
        # Not splitlines(): it also ends a line at characters that may occur in a string.
        yield from text.removesuffix("\n").removesuffix("\r").split("\r")
    if empty:
        raise CorpusError(f"{name}: is empty; write entries of English:, {', '.join(f'{f}:' for f in Format)}")


def _read(file: Iterable[bytes], name: str, seq_length: int) -> Document:
    if not 3 <= seq_length <= POSITIONS:
        raise ValueError(f"seq_length is {seq_length}: 3 to {POSITIONS} tokens are allowed, the positions of the model")
    entries: list[Entry] = []
    quarantined: list[Quarantined] = []
    places: Counter[str] = Counter()
    first_line: dict[str, int] = {}
    unread: dict[str, int] = {}
    for block in blocks(labelled(_decoded(file, name), unread)):
        taken: list[str] = []
        try:
            entries.append(_entry(block, name, seq_length, taken))
        except _DefectError as defect:
            sentence = " ".join(block.english.lines) if block.english else None
            quarantined.append(Quarantined(name, block.line, sentence, *defect.args))
            continue
        except _ProseError as prose:
            taken = [str(prose)] if str(prose) else []
        for reading in taken:
            places[reading] += 1
            first_line.setdefault(reading, block.line)
    places.update(unread.keys())
    first_line |= unread
    _require_entries(name, len(entries) + len(quarantined))
    if not entries:
        first = quarantined[0]
        todo = f"none of its {len(quarantined)} entries is usable; mend them, beginning with line {first.line}"
        raise CorpusError(f"{name}: {todo}: {first.reason}")
    readings = tuple(Reading(name, line, places[reading], reading) for reading, line in first_line.items())
    return Document(tuple(entries), tuple(quarantined), readings, name)


def _require_entries(name: str, found: int) -> None:
    if not found:
        raise CorpusError(f"{name}: no entry found; each begins with a line such as 'English: Search for documents'")


def _entry(block: Block, name: str, seq_length: int, taken: list[str]) -> Entry:
    """Return the entry of a block, and add to `taken` how ambiguous forms were read.

    Raises:
        _DefectError: it goes to quarantine.
        _ProseError: it is prose.
    """
    english = _sentence(block, taken)
    value, given = _agreed_value(block, english, taken)
    texts = {format: render(value, format) for format in Format}
    for format, text in texts.items():
        _require_known(format, text)
    _check_length(english, texts, seq_length)
    if any(texts[format] != text for format, text in given.items()):
        taken.append("a spelling that is not canonical is learned in the canonical one")
    parts, rendered = block.parts, tuple(format for format in Format if format not in given)
    if rendered:
        taken.append(f"{listed(rendered)} rendered from {listed(given)}")
    if english is None:
        taken.append("HLX without a sentence serves phase 2 alone")
    if any(part.line < block.line for part in block.formats.values()):
        taken.append("the sentence is below its HLX")
    if any(part.composed for part in parts):
        taken.append("decomposed characters are composed (Unicode NFC)")
    place = name, block.line, parts[0].line, max(part.last_line for part in parts), parts[0].section
    return Entry(*place, operation_of(value), english, tuple(texts.values()), rendered)


def _sentence(block: Block, taken: list[str]) -> str | None:
    """Return the sentence of a block on one line; None if it has no English label; raises `_DefectError`."""
    if block.english is None:
        return None
    lines = block.english.lines
    below = next((i for i, line in enumerate(lines) if i and not _CONTINUES.match(line)), len(lines))
    if rest := lines[below:]:
        # Lines that do not continue it are its HLX, without a label.
        reason = f"`{rest[0]}` below it could go on with the sentence: write that on one line, prose after a blank one"
        if block.formats or block.unnamed or not _values("\n".join(rest)):
            raise _DefectError(rules.SENTENCE_ENDS, reason, rest[0])
        block.unnamed.append(replace(block.english, label="", lines=rest))
        block.unclear = False
    english = " ".join(lines[:below])
    if not english:
        raise _DefectError(rules.NOT_EMPTY, "the English sentence is empty", "")
    _require_known("English", english)
    if why := rules.why_not_english(english):
        raise _DefectError(rules.IS_ENGLISH, f"the sentence {why}", english)
    if below > 1:
        taken.append("a sentence continues in the line below it")
    return english


def _agreed_value(block: Block, english: str | None, taken: list[str]) -> tuple[Value, Mapping[Format, str]]:
    """Return the value of all formats of a block, and the text of each; raises `_DefectError` or `_ProseError`."""
    if block.unclear:
        reason = "its HLX could stand above it or below it: let them follow each other without a blank line"
        raise _DefectError(rules.HAS_HLX, reason, english or "")
    if block.repeated:
        again = block.repeated[0]
        repeated = listed(dict.fromkeys(block.repeated))
        raise _DefectError(rules.ONCE, f"{repeated} given more than once", block.formats[again].text)
    for format, part in block.formats.items():
        if label_of(part.language) not in (None, format):
            reason = f"{format} is the label of a fenced block in {label_of(part.language)}"
            raise _DefectError(rules.ONCE, reason, part.text)
    written = {format: block.formats[format] for format in Format if format in block.formats}
    if empty := [format for format, part in written.items() if not part.lines]:
        taken.append(f"{listed(empty)} left empty counts as missing")
    given = {format: part.text for format, part in written.items() if part.lines}
    if not given:
        return _unnamed(block, english, taken)
    taken += ["HLX over several lines is one value" for part in written.values() if len(part.lines) > 1]
    values: dict[Format, Value] = {}
    errors: dict[Format, HLXSyntaxError] = {}
    for format, text in given.items():
        first = next(iter(values.values()), None)
        try:
            # A canonical text, which nearly every text is, need not be parsed.
            values[format] = first if values and text == render(first, format) else parse(text, format)
        except HLXSyntaxError as error:
            errors[format] = error
    if errors:
        if english is None and not values and all(error.position == 0 for error in errors.values()):
            raise _ProseError("format labels without a sentence and without HLX are prose")
        format, unread = next(iter(errors.items()))
        _require_known(format, unread.text)
        shown = " ".join(unread.text.split("\n"))
        raise _DefectError(rules.PARSES, f"{format} `{shown}` cannot be read: {unread}", unread.text)
    first = next(iter(values.values()))
    if not all(value is first or same(value, first) for value in values.values()):
        raise _DefectError(rules.SAME_VALUE, *_disagreement(given, values))
    for part in block.unnamed:
        if (said := _values(part.text)) and not any(same(value, first) for value in said.values()):
            reason = f"HLX that names no format reads as {render(next(iter(said.values())), Format.HLXL)} where "
            raise _DefectError(rules.SAME_VALUE, f"{reason}{listed(given)} say {render(first, Format.HLXL)}", part.text)
    return first, given


def _unnamed(block: Block, english: str | None, taken: list[str]) -> tuple[Value, Mapping[Format, str]]:
    """Return the value of HLX without a label, and its text in the format that can parse it; raises the same."""
    if english is None:
        hlx = any(_values(part.text) for part in block.unnamed)
        raise _ProseError("HLX that names no format and has no sentence is not read" if hlx else "")
    if not block.unnamed:
        reason = "no HLX between this sentence and the next, or prose, a heading or a rule"
        raise _DefectError(rules.HAS_HLX, reason, english)
    # A block in another language is HLX only if a format can parse it; one without a language should be HLX.
    texts = [part.text for part in block.unnamed if not part.language or _values(part.text)]
    if not texts:
        raise _DefectError(rules.HAS_HLX, "no HLX, only fenced blocks in other languages: label its HLX", english)
    text, *others = texts
    if others:
        raise _DefectError(rules.HAS_HLX, "several fenced blocks that name no format: label its HLX", text)
    readings = _values(text)
    if not readings:
        raise _DefectError(rules.PARSES, "its HLX reads in no format: label it with its format", text)
    format, value = next(iter(readings.items()))
    taken.append(f"HLX that names no format is read as {format}")
    if differing := [other for other, reading in readings.items() if not same(reading, value)]:
        taken.append(f"HLX that names no format is another value in {listed(differing)}; that of {format} is taken")
    return value, {format: text}


def _values(text: str) -> dict[Format, Value]:
    """Return the value of a text in each format that can parse it."""
    readings: dict[Format, Value] = {}
    for format in Format:
        with suppress(HLXSyntaxError):
            readings[format] = parse(text, format)
    return readings


def _disagreement(given: Mapping[Format, str], values: Mapping[Format, Value]) -> tuple[str, str]:
    """Return which formats have another value than most of them, in one line, and their texts."""
    written = {format: render(value, Format.HLXL) for format, value in values.items()}
    readings = list(written.values())
    most = max(readings, key=readings.count)
    others = {format: text for format, text in written.items() if text != most}
    agreeing = [format for format, text in written.items() if text == most]
    said = [f"{format} `{' '.join(given[format].split())}` reads as {text}" for format, text in others.items()]
    reason = f"{' and '.join(said)} where {listed(agreeing)} say{'s' * (len(agreeing) == 1)} {most}"
    return reason, "; ".join(given[format] for format in others)


def _check_length(english: str | None, texts: Mapping[Format, str], seq_length: int) -> None:
    """Require that every example of an entry has at most `seq_length` tokens; raises `_DefectError`."""
    pairs = (*(translations(english, texts) if english is not None else ()), conversion(texts))
    longest = max(pairs, key=lambda example: len(example.prompt) + len(example.answer))
    tokens = len(longest.prompt) + len(longest.answer) + 2  # one a character, <BOS> and <EOS>
    if tokens > seq_length:
        reason = f"its example {longest.source} to {longest.target} has {tokens} tokens, over {seq_length}"
        raise _DefectError(rules.FITS, reason, longest.prompt + longest.answer)


def _require_known(label: str, text: str) -> None:
    """Require that the vocabulary has every character; the defect names those it lacks, since they may look alike."""
    unknown = unknown_characters(text)
    if not unknown:
        return
    named = [f"{c if c.isprintable() else '?'} (U+{ord(c):04X} {unicodedata.name(c, 'no name')})" for c in unknown[:5]]
    more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
    reason = f"{label} has characters outside the vocabulary: {', '.join(named)}{more}"
    raise _DefectError(rules.IN_VOCABULARY, reason, text)
