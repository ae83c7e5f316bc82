"""Make the corpora as Arrow tables, one derived from the other.

documents ─► examples ─┬► english   (phase 1: each sentence)
                       ├► hlx       (phase 2: each value in each format)
                       └► paired    (phase 3: each translation)

Derived corpora are made batch by batch: those of a million entries do not fit in memory as a whole. Each row names
the document and line of its entry, so that a wrong row can be found in the document.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa

from hlx_model.corpus.entries import Collection
from hlx_model.corpus.prompts import conversion, translations, value_sha256
from hlx_model.corpus.split import assign_splits
from hlx_model.language import Format

EXAMPLES_SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        *((name, pa.int32()) for name in ("line", "first_line", "last_line")),
        ("section", pa.string()),
        ("operation", pa.string()),
        ("english", pa.string()),
        *((str(format), pa.string()) for format in Format),
        ("rendered", pa.string()),
        ("value_sha256", pa.string()),
        ("split", pa.string()),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        ("line", pa.int32()),
        *((name, pa.string()) for name in ("english", "rule", "reason", "found")),
    ]
)
PLACE = ("document", "line")
"""The place of a row's entry. It is not learned and not part of the data version: a corpus from a document that was
moved, or that got a remark, is the same version."""
PLACES_SCHEMA = pa.schema([("document", pa.string()), ("line", pa.int32())])
_ENTRY = [("section", pa.string()), ("operation", pa.string()), ("document", pa.string()), ("line", pa.int32())]
ENGLISH_SCHEMA = pa.schema([("english", pa.string()), ("split", pa.string()), *_ENTRY])
HLX_SCHEMA = pa.schema([*((name, pa.string()) for name in ("format", "text", "value_sha256", "split")), *_ENTRY])
PAIRED_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("target", "source", "prompt", "answer")),
        *((name, pa.string()) for name in ("value_sha256", "split")),
        *_ENTRY,
    ]
)
BATCH = 20_000
"""Examples that are derived at once."""

_Row: TypeAlias = Mapping[str, Any]
_Cells: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Derived:
    """How a corpus is derived from the examples."""

    schema: pa.Schema
    rows_of: Callable[[_Row, bool], Iterable[_Cells]]
    """Returns the rows of an example; the second argument says whether it is the first one of its value."""

    @property
    def learned(self) -> list[str]:
        """Return the columns that the data version covers."""
        return [name for name in self.schema.names if name not in PLACE]

    def batches(self, examples: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the corpus in the order of the examples."""
        seen: set[str] = set()
        for batch in examples.to_batches(max_chunksize=BATCH):
            rows: list[_Cells] = []
            for row in batch.to_pylist():
                rows += self.rows_of(row, row["value_sha256"] not in seen)
                seen.add(row["value_sha256"])
            yield from _table(rows, self.schema).to_batches()

    def table(self, examples: pa.Table) -> pa.Table:
        """Return the corpus as one table."""
        return pa.Table.from_batches(self.batches(examples), self.schema)


def examples_table(corpus: Collection, *, held_out: float = 0.10) -> pa.Table:
    """Return one row an entry, in the order of the documents, with its canonical renderings and its split."""
    splits = assign_splits(corpus.entries, held_out)
    batches = []
    for start in range(0, len(corpus.entries), BATCH):
        rows = [
            (
                *(entry.document, entry.line, entry.first_line, entry.last_line),
                *(entry.section, entry.operation, entry.english),
                *entry.texts,
                ", ".join(entry.rendered),
                value_sha256(entry.texts[0]),
                str(split),
            )
            for entry, split in zip(corpus.entries[start : start + BATCH], splits[start : start + BATCH], strict=True)
        ]
        batches.append(_table(rows, EXAMPLES_SCHEMA))
    return pa.concat_tables(batches) if batches else EXAMPLES_SCHEMA.empty_table()


def quarantine_table(corpus: Collection) -> pa.Table:
    """Return one row a quarantined entry, with the reason."""
    rows = [(q.document, q.line, q.english, q.rule, q.reason, q.found) for q in corpus.quarantined]
    return _table(rows, QUARANTINE_SCHEMA)


def _english_rows(row: _Row, first: bool) -> Iterator[_Cells]:
    """Yield each sentence once."""
    if row["english"] is not None:
        yield (row["english"], row["split"], *_entry_of(row))


def _hlx_rows(row: _Row, first: bool) -> Iterator[_Cells]:
    """Yield each value once in each format, from its first entry."""
    if first:
        for format in Format:
            yield (str(format), row[format], row["value_sha256"], row["split"], *_entry_of(row))


def _paired_rows(row: _Row, first: bool) -> Iterator[_Cells]:
    """Yield prompts and answers; `prompt + answer` is the text that the model sees.

    They translate from English into each format and from each format into English. Each value also has one conversion
    between two formats, chosen by its hash. An entry without a sentence has none of them: it serves phase 2 alone.
    """
    if row["english"] is None:
        return
    texts = {format: row[format] for format in Format}
    pairs = [*translations(row["english"], texts), *([conversion(texts)] if first else [])]
    for pair in pairs:
        about = (row["value_sha256"], row["split"], *_entry_of(row))
        yield (str(pair.target), str(pair.source), pair.prompt, pair.answer, *about)


def _entry_of(row: _Row) -> _Cells:
    return row["section"], row["operation"], row["document"], row["line"]


ENGLISH_CORPUS = Derived(ENGLISH_SCHEMA, _english_rows)
HLX_CORPUS = Derived(HLX_SCHEMA, _hlx_rows)
PAIRED_CORPUS = Derived(PAIRED_SCHEMA, _paired_rows)
DERIVED = {"english_corpus": ENGLISH_CORPUS, "hlx_corpus": HLX_CORPUS, "paired_corpus": PAIRED_CORPUS}


def _table(rows: Sequence[_Cells], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
