"""Read the entries of a document of any kind, by the end of its name and by what is in it.

| named | is read as |
|---|---|
| `.jsonl`, `.ndjson`, `.json` | a row a line |
| `.csv`, `.tsv` | rows below a head |
| `.parquet`, and anything that begins as Parquet does | rows |
| `.txt` without a label | an English sentence a line |
| all else | Markdown with labels and tables |
"""

import errno
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hlx_model.corpus.columns import row_block
from hlx_model.corpus.entries import CorpusError
from hlx_model.corpus.labels import is_labelled, labelled
from hlx_model.corpus.pairing import blocks
from hlx_model.corpus.parts import Block, cleaned
from hlx_model.corpus.prompts import ENGLISH
from hlx_model.corpus.rows import csv_rows, json_lines, parquet_rows
from hlx_model.corpus.stretches import Stretch, stretches
from hlx_model.files import open_input
from hlx_model.language import Format
from hlx_model.shown import is_utf8

_PARQUET = b"PAR1"
_BEGINNING = 4096
"""Bytes from which the kind of a file is told."""
_AT_ONCE = 1 << 18
"""Bytes of a Markdown document that are read at once: about a thousand entries."""
_UNPACK = "unpack it, and name what is in it"
_OTHER_CONTENTS = {
    b"\x1f\x8b": f"is compressed (gzip); {_UNPACK}",
    b"BZh": f"is compressed (bzip2); {_UNPACK}",
    b"\xfd7zXZ\0": f"is compressed (xz); {_UNPACK}",
    b"\x28\xb5\x2f\xfd": f"is compressed (Zstandard); {_UNPACK}",
    b"PK\x03\x04": f"is a ZIP archive, or a document of an office program; {_UNPACK}, or save it as Markdown",
    b"%PDF-": "is a PDF; save its text as Markdown",
}
"""What is no text and no table, by the bytes that it begins with, and what to do."""
_WIDE = {"utf-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "utf-16": (b"\xff\xfe", b"\xfe\xff")}
"""Encodings other than UTF-8 by their byte order marks; the longer marks first."""


@contextmanager
def opened(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open a document to read its bytes.

    Raises:
        CorpusError: the file is missing, a directory or unreadable, when it is opened or read.
    """
    if not is_utf8(str(path)):
        raise CorpusError(f"{name}: its name is not UTF-8: rename it")
    try:
        with open_input(path) as file:
            yield file
    except FileNotFoundError:
        raise CorpusError(f"{name}: no such file; give the path of a corpus document") from None
    except IsADirectoryError:
        raise CorpusError(f"{name}: is a directory; name the corpus documents in it") from None
    except OSError as error:
        advice = "check its permissions" if error.errno in (errno.EACCES, errno.EPERM) else "name a readable document"
        raise CorpusError(f"{name}: cannot be read ({error.strerror or error}); {advice}") from None


def read_blocks(file: BinaryIO, name: str, unread: dict[str, int]) -> Iterator[Block]:
    """Yield the entries of a document, unparsed; arguments and errors as for `read_pieces`."""
    for piece in read_pieces(file, name, unread):
        if isinstance(piece, Stretch):
            yield from piece.blocks()
        else:
            yield piece


def read_pieces(file: BinaryIO, name: str, unread: dict[str, int]) -> Iterator[Block | Stretch]:
    """Yield the entries of a document, unparsed: each by itself, or as a stretch of many.

    Args:
        file: the document, from its beginning.
        name: its name, whose end says what it is.
        unread: filled with the lines that look like a label and are none, by kind, with the first line.

    Raises:
        CorpusError: it is not UTF-8, empty, or not what its name says.
    """
    ending, beginning = Path(name).suffix.lower(), file.read(_BEGINNING)
    file.seek(0)
    if ending == ".parquet" or beginning.startswith(_PARQUET):
        return parquet_rows(file, name)
    if other := _other_content(beginning):
        raise CorpusError(f"{name}: {other}")
    if ending in (".jsonl", ".ndjson", ".json"):
        return json_lines(_decoded(file, name), name)
    if ending in (".csv", ".tsv"):
        return csv_rows(_decoded(file, name), name)
    if ending == ".txt":
        only_sentences = not any(map(is_labelled, _decoded(file, name)))
        file.seek(0)
        if only_sentences:
            return _sentences(_decoded(file, name))
    return blocks(labelled(_in_stretches(file, name), unread))


def _other_content(beginning: bytes) -> str | None:
    """Return what a file is that is no UTF-8 text, and what to do; None if its beginning does not tell."""
    for magic, problem in _OTHER_CONTENTS.items():
        if beginning.startswith(magic):
            return problem
    named = next((name for name, marks in _WIDE.items() if beginning.startswith(marks)), None)
    if named is None and b"\0" in beginning:
        # Latin letters have a zero byte beside them in UTF-16, three in UTF-32.
        zeros = beginning.count(0) / len(beginning)
        named = "utf-16" if 0.3 < zeros < 0.6 else "utf-32" if 0.6 <= zeros < 0.8 else None
    return f"is {named.upper()}; save it as UTF-8" if named else None


def _sentences(lines: Iterable[str]) -> Iterator[Block]:
    """Yield the sentences of a text file: each line that is not blank is one."""
    for number, line in enumerate(lines, start=1):
        if cleaned(line)[0].strip():
            yield row_block({ENGLISH: line}, number, number)


def _in_stretches(file: BinaryIO, name: str) -> Iterator[str | Stretch]:
    """Yield the lines that `_decoded` yields, many of them as stretches; errors as there."""
    offset, empty = 0, True
    while content := file.read(_AT_ONCE):
        content += file.readline()
        try:
            text = content.decode("utf-8" if offset else "utf-8-sig")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            yield from _decoded(io.BytesIO(content), name, offset)  # which says in which line
        offset += len(content)
        empty = empty and not text.strip()
        yield from stretches(text)
    _require_text(name, empty=empty)


def _decoded(file: Iterable[bytes], name: str, offset: int = 0) -> Iterator[str]:
    """Yield the lines of a UTF-8 file without their ends, of any kind, and without a byte order mark.

    Args:
        file: its lines.
        name: of the document.
        offset: bytes of the document before them.

    Raises:
        CorpusError: it is not UTF-8; or, at its end, it contains only white space.
    """
    empty = True
    for line in file:
        try:
            text = line.decode("utf-8" if offset else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise CorpusError(f"{name}: not UTF-8 at byte offset {offset + error.start}; save it as UTF-8") from None
        if "\0" in text:
            advice = "it is no text, or was not written to its end: save it again"
            raise CorpusError(f"{name}: a zero byte at byte offset {offset + line.index(0)}; {advice}")
        offset += len(line)
        empty = empty and not text.strip()
        # Not splitlines(): it also ends a line at characters that may occur in a string.
        yield from text.removesuffix("\n").removesuffix("\r").split("\r")
    _require_text(name, empty=empty)


def _require_text(name: str, *, empty: bool) -> None:
    if empty:
        raise CorpusError(f"{name}: is empty; write entries of English:, {', '.join(f'{f}:' for f in Format)}")
