"""Make the corpora as Arrow tables, one derived from the other.

documents ─► examples ─┬► english   (phase 1: each sentence)
                       ├► hlx       (phase 2: each value in each format)
                       └► paired    (phase 3: each translation)

Derived corpora are made batch by batch: those of a million entries do not fit in memory as a whole. Each row names
the document and line of its entry, so that a wrong row can be found in the document.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from hlx_model.corpus.entries import Collection, Entry
from hlx_model.corpus.prompts import conversion, tokens_of, translations, value_sha256
from hlx_model.corpus.split import EVALUATED, assign_splits
from hlx_model.language import Format
from hlx_model.model.sizes import POSITIONS


def _schema(*names: str) -> pa.Schema:
    """Return the schema of a table: its lines are numbers, all other columns are text."""
    return pa.schema([(name, pa.int32() if name.endswith("line") else pa.string()) for name in names])


PLACE = ("document", "line")
"""The place of a row's entry. It is not learned and not part of the data version: a corpus from a document that was
moved, or that got a remark, is the same version."""
PLACES_SCHEMA = _schema(*PLACE)
EXAMPLES_SCHEMA = _schema(
    *(*PLACE, "first_line", "last_line", "section", "operation", "english"),
    *(*map(str, Format), "rendered", "value_sha256", "split"),
)
EVALUATION_SCHEMA = _schema(*PLACE, "section", "operation", "english", *map(str, Format), "value_sha256", "split")
QUARANTINE_SCHEMA = _schema(*PLACE, "english", "rule", "reason", "found")
_MAX_TOKENS = "max_tokens"
_NO_TEXTS = (None,) * len(Format)
_ENTRY = ("split", "section", "operation", *PLACE)
BATCH = 50_000
"""Rows that are made at once."""

_Row: TypeAlias = Mapping[str, Any]
_Cells: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Derived:
    """How a corpus is derived from the examples."""

    schema: pa.Schema
    texts: tuple[str, ...]
    """The columns that together are the text that a model sees."""
    rows_of: Callable[[_Row, bool], Iterable[_Cells]]
    """Returns the rows of an example; the second argument says whether it is the first one of its value."""

    @property
    def learned(self) -> list[str]:
        """Return the columns that the data version covers."""
        return [name for name in self.schema.names if name not in PLACE]

    def batches(self, examples: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the corpus in the order of the examples."""
        return _batches(self._rows(examples), self.schema)

    def table(self, examples: pa.Table) -> pa.Table:
        """Return the corpus as one table."""
        return _table(self._rows(examples), self.schema)

    def _rows(self, examples: pa.Table) -> Iterator[_Cells]:
        seen: set[str] = set()
        columns = [self.schema.names.index(name) for name in self.texts]
        # Sentences and lines that are longer are kept: `tables.model_texts` leaves them out.
        limit = (max_tokens_of(examples.schema) or POSITIONS) if len(columns) > 1 else POSITIONS
        for batch in examples.to_batches(max_chunksize=BATCH):
            for row in batch.to_pylist():
                for cells in self.rows_of(row, row["value_sha256"] not in seen):
                    if tokens_of(*(cells[column] for column in columns)) <= limit:
                        yield cells
                seen.add(row["value_sha256"])


def examples_table(corpus: Collection, *, held_out: float = 0.10) -> pa.Table:
    """Return one row an entry, in the order of the documents, with its canonical renderings and its split."""
    rows = (
        (
            *(e.document, e.line, e.first_line, e.last_line, e.section, e.operation, e.english),
            *(
                *(e.texts or _NO_TEXTS),
                ", ".join(e.rendered),
                value_sha256(e.texts[0]) if e.texts else None,
                str(split),
            ),
        )
        for e, split in zip(corpus.entries, assign_splits(corpus.entries, held_out), strict=True)
    )
    table = _table(rows, EXAMPLES_SCHEMA)
    return table.cast(with_max_tokens(EXAMPLES_SCHEMA, corpus.max_tokens))


def with_max_tokens(schema: pa.Schema, max_tokens: int | None) -> pa.Schema:
    """Return a schema that says which texts are left out: those with more tokens."""
    return schema if max_tokens is None else schema.with_metadata({_MAX_TOKENS: str(max_tokens)})


def max_tokens_of(rows: pa.Schema) -> int | None:
    """Return the most tokens of a text that is learned of these rows; None if none of them is longer."""
    found = (rows.metadata or {}).get(_MAX_TOKENS.encode())
    return None if found is None else int(found)


def evaluation_table(evaluation: Collection) -> pa.Table:
    """Return one row for each value that is right for a sentence of a document, in the order of the documents."""
    right: dict[tuple[str, str | None, str], Entry] = {}
    for entry in evaluation.entries:
        right.setdefault((entry.document, entry.english, entry.texts[0]), entry)
    rows = (
        (e.document, e.line, e.section, e.operation, e.english, *e.texts, value_sha256(e.texts[0]), EVALUATED)
        for e in right.values()
    )
    return _table(rows, EVALUATION_SCHEMA)


def quarantine_table(corpus: Collection) -> pa.Table:
    """Return one row a quarantined entry, with the reason."""
    rows = ((q.document, q.line, q.english, q.rule, q.reason, q.found) for q in corpus.quarantined)
    return _table(rows, QUARANTINE_SCHEMA)


def _table(rows: Iterable[_Cells], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_batches(_batches(rows, schema), schema)


def _batches(rows: Iterable[_Cells], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    remaining = iter(rows)
    while some := list(islice(remaining, BATCH)):
        columns = zip(*some, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


_entry_of = itemgetter(*_ENTRY)
"""Returns the last cells of each derived row: the split, and the entry of the example."""


def _english_rows(row: _Row, first: bool) -> Iterator[_Cells]:
    """Yield each sentence once."""
    if row["english"] is not None:
        yield (row["english"], *_entry_of(row))


def _hlx_rows(row: _Row, first: bool) -> Iterator[_Cells]:
    """Yield each value once in each format, from its first entry."""
    if first and row["value_sha256"] is not None:
        for format in Format:
            yield (str(format), row[format], row["value_sha256"], *_entry_of(row))


def _paired_rows(row: _Row, first: bool) -> Iterator[_Cells]:
    """Yield prompts and answers; `prompt + answer` is the text that the model sees.

    They translate from English into each format and from each format into English. Each value also has one conversion
    between two formats, chosen by its hash. An entry without a sentence or a value has none: it serves phase 2 or 1.
    """
    if row["english"] is None or row["value_sha256"] is None:
        return
    texts = {format: row[format] for format in Format}
    pairs = [*translations(row["english"], texts), *([conversion(texts)] if first else [])]
    for pair in pairs:
        yield (str(pair.target), str(pair.source), pair.prompt, pair.answer, row["value_sha256"], *_entry_of(row))


ENGLISH_CORPUS = Derived(_schema("english", *_ENTRY), ("english",), _english_rows)
HLX_CORPUS = Derived(_schema("format", "text", "value_sha256", *_ENTRY), ("text",), _hlx_rows)
PAIRED_CORPUS = Derived(
    _schema("target", "source", "prompt", "answer", "value_sha256", *_ENTRY), ("prompt", "answer"), _paired_rows
)
DERIVED = {"english_corpus": ENGLISH_CORPUS, "hlx_corpus": HLX_CORPUS, "paired_corpus": PAIRED_CORPUS}


def model_texts(rows: pa.Table, *splits: str) -> list[str]:
    """Return the texts that a model sees of these rows, in their order: of the named splits, or of all.

    Texts over the sequence length that the corpus was made with are left out.
    """
    texts: list[str] = learned_texts(rows, *splits).to_pylist()
    return texts


def learned_texts(rows: pa.Table, *splits: str) -> pa.ChunkedArray:
    """Return the texts of `model_texts` as large strings in Arrow."""
    limit = max_tokens_of(rows.schema)
    if splits:
        rows = rows.filter(pc.is_in(rows["split"], pa.array(splits)))
    texts = text_column(rows)
    # `<BOS>` and `<EOS>` are tokens too.
    return texts if limit is None else texts.filter(pc.less_equal(pc.utf8_length(texts), limit - tokens_of()))


def text_column(rows: pa.Table | pa.RecordBatch) -> pa.ChunkedArray | pa.Array:
    """Return the text that a model sees of each row, as large strings: together they may have more than 2 GiB."""
    if "prompt" in rows.schema.names:
        prompts, answers = (rows[name].cast(pa.large_string()) for name in ("prompt", "answer"))
        return pc.binary_join_element_wise(prompts, answers, pa.scalar("", pa.large_string()))
    return rows["english" if "english" in rows.schema.names else "text"].cast(pa.large_string())
