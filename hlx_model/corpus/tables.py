"""The corpora as Arrow tables, one derived from the other, and their data versions.

documents ─► examples ─┬► english   (phase 1: each sentence)
                       ├► hlx       (phase 2: each value in each format)
                       └► paired    (phase 3: each translation)
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from hlx_model.corpus.document import Document, Entry, Quarantined
from hlx_model.corpus.prompts import conversion, translations, value_sha256
from hlx_model.corpus.split import assign_splits
from hlx_model.language import Contract, Format, Handle, Value, render

EXAMPLES_SCHEMA = pa.schema(
    [
        ("document", pa.string()),
        ("line", pa.int32()),
        ("section", pa.string()),
        ("operation", pa.string()),
        ("english", pa.string()),
        *((str(format), pa.string()) for format in Format),
        ("value_sha256", pa.string()),
        ("split", pa.string()),
    ]
)
QUARANTINE_SCHEMA = pa.schema(
    [("document", pa.string()), ("line", pa.int32()), ("english", pa.string()), ("reason", pa.string())]
)
ENGLISH_SCHEMA = pa.schema(
    [("english", pa.string()), ("split", pa.string()), ("section", pa.string()), ("line", pa.int32())]
)
HLX_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("format", "text", "value_sha256", "split", "section", "operation")]
)
PAIRED_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("target", "source", "prompt", "answer")),
        *((name, pa.string()) for name in ("value_sha256", "split", "section", "operation")),
        ("line", pa.int32()),
    ]
)

_TYPE_NAMES = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    bytes: "bytes",
    Handle: "handle",
    list: "array",
    dict: "object",
}
_HASHED_AT_ONCE = 65_536


def operation_of(value: Value) -> str:
    """What kind of thing `value` says, for figures by operation.

    The string in field 0 of contract 1000, such as `search`; else `contract 14`; else the name of
    the type, such as `array` or `integer`.
    """
    if not isinstance(value, Contract):
        return _TYPE_NAMES[type(value)]
    if value.id == 1000 and value.fields and value.fields[0][0] == 0 and isinstance(value.fields[0][1], str):
        return value.fields[0][1]
    return f"contract {value.id}"


def examples_table(documents: Sequence[Document], *, held_out: float = 0.10) -> pa.Table:
    """One row an entry, in the order of the documents, with its canonical renderings and its split.

    A sentence that an earlier document holds is left out here and reported by `quarantine_table`.
    """
    entries = _admitted(documents)[0]
    rows = []
    for entry, split in zip(entries, assign_splits(entries, held_out), strict=True):
        texts = {format: render(entry.value, format) for format in Format}
        rows.append(
            (
                *(entry.document, entry.line, entry.section, operation_of(entry.value), entry.english),
                *texts.values(),
                value_sha256(texts[Format.HLXL]),
                split,
            )
        )
    return _table(rows, EXAMPLES_SCHEMA)


def quarantine_table(documents: Sequence[Document]) -> pa.Table:
    """One row an entry that is in none of the corpora, with the reason."""
    refused = [*(row for document in documents for row in document.quarantined), *_admitted(documents)[1]]
    return _table([(row.document, row.line, row.english, row.reason) for row in refused], QUARANTINE_SCHEMA)


def english_table(examples: pa.Table) -> pa.Table:
    """Each sentence once: what phase 1 reads."""
    return examples.select(ENGLISH_SCHEMA.names)


def hlx_table(examples: pa.Table) -> pa.Table:
    """Each value once in each format, in the order of the values' first entries: what phase 2 reads."""
    rows = [
        (format, row[format], row["value_sha256"], row["split"], row["section"], row["operation"])
        for row in _first_of_each_value(examples)
        for format in Format
    ]
    return _table(rows, HLX_SCHEMA)


def paired_table(examples: pa.Table) -> pa.Table:
    """What phase 3 reads: prompt and answer, whose concatenation is the text that the model sees.

    A row an entry and format from English into it, one from it into English, and after the first
    entry of each value one conversion between two formats, picked by the value's hash.
    """
    first_entries = {row["value_sha256"]: row["english"] for row in _first_of_each_value(examples)}
    rows = []
    for row in examples.to_pylist():
        texts = {format: row[format] for format in Format}
        pairs = [*translations(row["english"], texts)]
        if first_entries[row["value_sha256"]] == row["english"]:
            pairs.append(conversion(texts))
        about = (row["value_sha256"], row["split"], row["section"], row["operation"], row["line"])
        rows += [(pair.target, pair.source, pair.prompt, pair.answer, *about) for pair in pairs]
    return _table(rows, PAIRED_SCHEMA)


def data_version(table: pa.Table) -> str:
    """SHA-256, in hexadecimal, of the column names and the rows of `table`, whatever wrote it.

    Hashed are JSON texts: the names, then column by column slices of a fixed number of rows. JSON
    writes different lists differently (strings are quoted and escaped, so no cell can end early) and
    says where it ends, so texts in a row are told apart, and the number of slices follows from their
    lengths: two tables with equal digests have equal names and cells. It does not depend on the chunks,
    the encoding or the release of Arrow and Parquet, which hashing their bytes would.

    Raises:
        TypeError: a column is neither text, number, boolean nor null.
    """
    digest = hashlib.sha256()
    _hash_json(digest, table.column_names)
    for column in table.columns:
        _hash_json(digest, len(column))
        for start in range(0, len(column), _HASHED_AT_ONCE):
            _hash_json(digest, column.slice(start, _HASHED_AT_ONCE).to_pylist())
    return digest.hexdigest()


def _hash_json(digest: Any, content: object) -> None:
    digest.update(json.dumps(content, separators=(",", ":"), allow_nan=False).encode())
    digest.update(b"\n")


def _admitted(documents: Sequence[Document]) -> tuple[list[Entry], list[Quarantined]]:
    """The entries of all documents, and those whose sentence an earlier document holds already."""
    admitted: dict[str, Entry] = {}
    repeated: list[Quarantined] = []
    for entry in (entry for document in documents for entry in document.entries):
        earlier = admitted.setdefault(entry.english, entry)
        if earlier is not entry:
            reason = f"the sentence was seen before, in {earlier.document} line {earlier.line}"
            repeated.append(Quarantined(entry.document, entry.line, entry.english, reason))
    return list(admitted.values()), repeated


def _first_of_each_value(examples: pa.Table) -> Iterator[Mapping[str, Any]]:
    seen: set[str] = set()
    for row in examples.to_pylist():
        if row["value_sha256"] not in seen:
            seen.add(row["value_sha256"])
            yield row


def _table(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)
