"""Documents for tests: small ones, a handwritten one, and real ones that may lie beside the project."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from hlx_model.corpus import Entry, operation_of
from hlx_model.language import Contract, Format, Handle, Value, parse, render

SHARED = Path(os.environ.get("HLX_SHARED", Path(__file__).parents[3] / "shared"))
HANDWRITTEN = Path(__file__).parent / "handwritten.md"
"""A document as people write it: shapes mixed, prose between entries, four mistakes."""
VERBS = {
    "search": "Search for", "filter": "Filter active", "count": "Count the", "sort": "Sort all", "delete": "Delete old",
    "map": "Map each",
}  # fmt: skip
NOUNS = ("documents", "users", "items", "files", "images", "orders", "logs", "songs")
_TINY_VERBS = {"search": "Search for", "read": "Read the", "clear": "Clear all"}
_TINY_NOUNS = (
    "users", "files", "logs", "orders", "books", "songs", "tasks", "notes", "images", "tables", "rows", "jobs",
)  # fmt: skip


def small_text(verbs: Mapping[str, str] = VERBS, nouns: Iterable[str] = NOUNS) -> str:
    """Return a document of 48 entries whose words each occur in several values, so that some can be held out.

    A composed one has as many words as entries below about 200, and then nothing is held out.
    """
    entries = []
    for verb, words in verbs.items():
        for noun in nouns:
            value = Contract(1000, ((0, verb), (1, Handle(noun))))
            lines = "\n".join(f"{format}: {render(value, format)}" for format in Format)
            entries.append(f"English: {words} {noun}\n{lines}\n")
    return "\n".join(entries)


def tiny_text() -> str:
    """Return a document of 36 entries, which `dagster_home.SETTINGS` teach in seconds."""
    return "# A small corpus\n\n" + small_text(_TINY_VERBS, _TINY_NOUNS)


def contradicting_text(entries: int) -> str:
    """Return `tiny_text` in which LC-B contradicts the other formats in so many entries, which are quarantined."""
    return tiny_text().replace("LC-B: [1000", "LC-B: [1001", entries)


def entry_of(english: str | None, value: Value, *, document: str = "corpus.md", line: int = 1) -> Entry:
    """Return an entry that no document has."""
    texts = tuple(render(value, format) for format in Format)
    return Entry(document, line, line, line + 4, "", operation_of(value), english, texts)


def value_of(entry: Entry) -> Value:
    """Return the value that an entry writes."""
    return parse(entry.texts[0], Format.HLXL)


def shared(folder: str, name: str) -> Path:
    """Return a file that lies beside the project, found by `HLX_SHARED`; skip the test if it is missing."""
    path = SHARED / folder / name
    if not path.exists():
        pytest.skip(f"{path} is missing: set HLX_SHARED to the folder that contains {folder}/")
    return path


def real_corpus() -> Path:
    """Return a real document of 164 entries, written by its users."""
    return shared("corpus", "corpus_all_variants.md")
