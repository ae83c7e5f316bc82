"""Read a corpus document: entries of one English label and four format labels.

    English: Search for documents
    HLXL: {1000: {@0: "search", @1: &h_documents}}
    LC-R: 🜊1000🜁0 "search"🜁1 ⟁documents🜂
    LC-T: {C:1000,0="search",1=@documents}
    LC-B: [1000|0:"search"|1:&documents]

Missing formats are rendered from one that is given. An entry without a sentence serves phase 2 alone, one without HLX
phase 1. `sources` finds the entries of a document of any kind, and `meaning` says what each one means: in several
processes, if there are many (`slices`). An entry with any defect goes to quarantine whole, with its line and reason:
the rest of a wrong entry is a wrong example. An example that is too long is only left out. If a form is ambiguous, the
document lists how it was read.

Reasons and texts of quarantined entries are part of the data version of the examples: their wording must not change.
"""

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from hlx_model.corpus import rules
from hlx_model.corpus.entries import Collection, CorpusError, Entry, Quarantined, Reading
from hlx_model.corpus.labels import NEVER_CLOSED
from hlx_model.corpus.slices import read_slice, slices
from hlx_model.corpus.sources import opened, read_pieces
from hlx_model.corpus.stretches import Stretch
from hlx_model.model.sizes import POSITIONS
from hlx_model.parallel import Processes

DEFAULT_SEQ_LENGTH = 256
"""Tokens of the longest example, `<BOS>` and `<EOS>` included."""


@dataclass(frozen=True)
class Document(Collection):
    """What was read from one document; a sentence may occur in it twice."""

    name: str = ""
    """Its name in errors, entries and tables."""


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
        pieces = read_pieces(file, name, {})
        _require_entries(name, sum(piece.entries if isinstance(piece, Stretch) else 1 for piece in pieces))


def parse_document(text: str, name: str, *, seq_length: int = DEFAULT_SEQ_LENGTH) -> Document:
    """Read a document from its text: its entries, the refused ones, and how ambiguous forms were read.

    Args:
        text: the whole document.
        name: its name in errors, entries and tables; its end says what it is, as in `sources`.
        seq_length: the most tokens of an example, `<BOS>` and `<EOS>` included; at most the model's positions.

    Raises:
        CorpusError: it is empty, has no label, or every entry is in quarantine.
        ValueError: no model has `seq_length`.
    """
    return _read(io.BytesIO(text.encode()), name, seq_length)


def _read(file: BinaryIO, name: str, seq_length: int) -> Document:
    if not 3 <= seq_length <= POSITIONS:
        raise ValueError(f"seq_length is {seq_length}: 3 to {POSITIONS} tokens are allowed, the positions of the model")
    entries: list[Entry] = []
    quarantined: list[Quarantined] = []
    places: Counter[str] = Counter()
    first_line: dict[str, int] = {}
    unread: dict[str, int] = {}
    with Processes() as processes:
        for found in processes.map(read_slice, slices(read_pieces(file, name, unread), name, seq_length)):
            entries += found.entries
            quarantined += found.quarantined
            for reading, (first_place, number) in found.readings.items():
                places[reading] += number
                first_line.setdefault(reading, first_place)
    max_tokens = seq_length if any(entry.left_out for entry in entries) else None
    if line := unread.pop(NEVER_CLOSED, None):
        quarantined.append(Quarantined(name, line, None, rules.READABLE_ROW, NEVER_CLOSED, "<!--"))
    places.update(unread.keys())
    first_line |= unread
    _require_entries(name, len(entries) + len(quarantined))
    if not entries:
        first = quarantined[0]
        todo = f"none of its {len(quarantined)} entries is usable; mend them, beginning with line {first.line}"
        raise CorpusError(f"{name}: {todo}: {first.reason}")
    readings = tuple(Reading(name, line, places[reading], reading) for reading, line in first_line.items())
    return Document(tuple(entries), tuple(quarantined), readings, max_tokens, name)


def _require_entries(name: str, found: int) -> None:
    if not found:
        kinds = "sentences alone are a file named .txt, rows one named .jsonl, .csv or .parquet"
        begins = "each begins with a line such as 'English: Search for documents'"
        raise CorpusError(f"{name}: no entry found; {begins}; {kinds}")
