"""Make the corpora as Arrow tables, one derived from the other.

documents ─► examples ─┬► english   (phase 1: each sentence)
                       ├► hlx       (phase 2: each value in each format)
                       └► paired    (phase 3: each translation)

Derived corpora are made batch by batch: those of a million entries do not fit in memory as a whole. Each row names
the document and line of its entry, so that a wrong row can be found in the document.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from operator import attrgetter
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from hlx_model.corpus.entries import Collection, Entry
from hlx_model.corpus.prompts import ARROW, CONVERSIONS, ENGLISH, conversion_of, tokens_of, value_sha256
from hlx_model.corpus.split import EVALUATED, Split, assign_splits
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
"""Rows of a corpus that are kept at once."""
_EXAMPLES_AT_ONCE = 10_000

_Cells: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Derived:
    """How a corpus is derived from the examples."""

    schema: pa.Schema
    texts: tuple[str, ...]
    """The columns that together are the text that a model sees."""
    rows_of: Callable[[pa.RecordBatch, NDArray[np.bool_]], list[pa.Array]]
    """Returns the columns of the rows of some examples; the second argument says which are the first of their value."""

    @property
    def learned(self) -> list[str]:
        """Return the columns that the data version covers."""
        return [name for name in self.schema.names if name not in PLACE]

    def batches(self, examples: pa.Table) -> Iterator[pa.RecordBatch]:
        """Yield the rows of the corpus in the order of the examples, `BATCH` at once."""
        waiting: list[pa.RecordBatch] = []
        for rows in self._rows(examples):
            waiting.append(rows)
            if sum(batch.num_rows for batch in waiting) >= BATCH:
                *whole, rest = _of_batch(waiting, self.schema)
                yield from whole
                waiting = [rest]
        yield from (batch for batch in _of_batch(waiting, self.schema) if batch.num_rows)

    def table(self, examples: pa.Table) -> pa.Table:
        """Return the corpus as one table."""
        return pa.Table.from_batches(self.batches(examples), self.schema)

    def _rows(self, examples: pa.Table) -> Iterator[pa.RecordBatch]:
        # Sentences and lines that are longer are kept: `tables.model_texts` leaves them out.
        limit = (max_tokens_of(examples.schema) or POSITIONS) if len(self.texts) > 1 else POSITIONS
        first, start = _first_of_value(examples["value_sha256"]), 0
        for batch in examples.to_batches(max_chunksize=_EXAMPLES_AT_ONCE):
            columns = self.rows_of(batch, first[start : start + batch.num_rows])
            rows = pa.RecordBatch.from_arrays(columns, schema=self.schema)
            tokens: Any = tokens_of()
            for name in self.texts:
                tokens = pc.add(pc.utf8_length(rows[name]), tokens)
            yield rows.filter(pc.less_equal(tokens, limit))
            start += batch.num_rows


def _first_of_value(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Return whether each example is the first one of its value (examples,); one without a value is none."""
    codes = values.combine_chunks().dictionary_encode().indices
    found, present = np.zeros(len(codes), bool), np.flatnonzero(codes.is_valid())
    found[present[np.unique(codes.drop_null(), return_index=True)[1]]] = True
    return found


def _of_batch(batches: list[pa.RecordBatch], schema: pa.Schema) -> list[pa.RecordBatch]:
    """Return the rows of batches as batches of `BATCH` rows, and a last one with the others; it may have none."""
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    whole = table.num_rows // BATCH * BATCH
    found: list[pa.RecordBatch] = table.slice(0, whole).to_batches(max_chunksize=BATCH)
    last = table.slice(whole).to_batches() or [pa.RecordBatch.from_pylist([], schema)]
    return [*found, *last]


def examples_table(corpus: Collection, *, held_out: float = 0.10) -> pa.Table:
    """Return one row an entry, in the order of the documents, with its canonical renderings and its split."""
    splits = assign_splits(corpus.entries, held_out)
    batches = (
        _batch(_example_columns(corpus.entries[start : start + BATCH], splits[start : start + BATCH]), EXAMPLES_SCHEMA)
        for start in range(0, len(splits), BATCH)
    )
    table = pa.Table.from_batches(batches, EXAMPLES_SCHEMA)
    return table.cast(with_max_tokens(EXAMPLES_SCHEMA, corpus.max_tokens))


_OF_ENTRY = attrgetter(*EXAMPLES_SCHEMA.names[:7])
"""The cells of an entry before its texts."""


def _example_columns(entries: Sequence[Entry], splits: Sequence[Split]) -> list[Sequence[Any]]:
    texts = [entry.texts or _NO_TEXTS for entry in entries]
    return [
        *zip(*map(_OF_ENTRY, entries), strict=True),
        *zip(*texts, strict=True),
        [", ".join(entry.rendered) if entry.rendered else "" for entry in entries],
        [_sha256_of(hlxl) for hlxl, *_ in texts],
        splits,
    ]


@lru_cache(maxsize=1 << 12)
def _sha256_of(hlxl: str | None) -> str | None:
    """Return the hash of a value: the sentences of one follow each other in most documents."""
    return None if hlxl is None else value_sha256(hlxl)


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
        yield _batch(zip(*some, strict=True), schema)


def _batch(columns: Iterable[Sequence[Any]], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _english_rows(examples: pa.RecordBatch, first: NDArray[np.bool_]) -> list[pa.Array]:
    """Return each sentence once."""
    rows = examples.filter(examples["english"].is_valid())
    return [rows["english"], *map(rows.column, _ENTRY)]


def _hlx_rows(examples: pa.RecordBatch, first: NDArray[np.bool_]) -> list[pa.Array]:
    """Return each value once in each format, from its first entry."""
    rows = examples.filter(pa.array(first))
    number = rows.num_rows
    each = np.repeat(np.arange(number), len(Format))
    format = np.tile(np.arange(len(Format)), number)
    texts = pa.concat_arrays([rows[name] for name in Format]).take(pa.array(format * number + each))
    return [
        _named(tuple(Format), format),
        texts,
        *(rows[name].take(pa.array(each)) for name in ("value_sha256", *_ENTRY)),
    ]


def _paired_rows(examples: pa.RecordBatch, first: NDArray[np.bool_]) -> list[pa.Array]:
    """Return prompts and answers; `prompt + answer` is the text that the model sees.

    They translate from English into each format and from each format into English. Each value also has one conversion
    between two formats, chosen by its hash. An entry without a sentence or a value has none: it serves phase 2 or 1.
    """
    whole = pc.and_(examples["english"].is_valid(), examples["value_sha256"].is_valid())
    rows, first = examples.filter(whole), first[whole.to_numpy(zero_copy_only=False)]
    number = rows.num_rows
    # Languages by number: English, then the formats. For each row the pairs of languages, in their order.
    into, back = [(form + 1, 0) for form in range(len(Format))], [(0, form + 1) for form in range(len(Format))]
    ways = np.broadcast_to(np.array([*into, *back]), (number, 2 * len(Format), 2)).reshape(-1, 2)
    each = np.repeat(np.arange(number), 2 * len(Format))
    converted = np.flatnonzero(first)
    chosen = [
        _CONVERSION_LANGUAGES[conversion_of(text.as_py())] for text in rows[Format.HLXL].take(pa.array(converted))
    ]
    place = (converted + 1) * 2 * len(Format)
    targets, sources = np.insert(ways, place, np.array(chosen, np.int64).reshape(-1, 2), axis=0).T
    each = np.insert(each, place, converted)
    texts = pa.concat_arrays([rows[name] for name in ("english", *Format)])
    given, answers = (texts.take(pa.array(language * number + each)) for language in (sources, targets))
    names = _named(_LANGUAGES, targets)
    prompts = pc.binary_join_element_wise("[", names, "] ", given, ARROW, "")
    entry = (rows[name].take(pa.array(each)) for name in ("value_sha256", *_ENTRY))
    return [names, _named(_LANGUAGES, sources), prompts, answers, *entry]


_LANGUAGES = (ENGLISH, *Format)
_CONVERSION_LANGUAGES = [
    (_LANGUAGES.index(target), _LANGUAGES.index(source)) for target, source in CONVERSIONS
]  # fmt: skip


def _named(names: tuple[str, ...], numbers: NDArray[np.int64]) -> pa.Array:
    """Return the name that each number stands for (rows,)."""
    return pa.array(map(str, names), pa.string()).take(pa.array(numbers))


ENGLISH_CORPUS = Derived(_schema("english", *_ENTRY), ("english",), _english_rows)
HLX_CORPUS = Derived(_schema("format", "text", "value_sha256", *_ENTRY), ("text",), _hlx_rows)
PAIRED_CORPUS = Derived(
    _schema("target", "source", "prompt", "answer", "value_sha256", *_ENTRY), ("prompt", "answer"), _paired_rows
)
DERIVED = {"english_corpus": ENGLISH_CORPUS, "hlx_corpus": HLX_CORPUS, "paired_corpus": PAIRED_CORPUS}


TEXTS = frozenset(("prompt", "answer", "english", "text"))
"""The columns with what a model sees."""


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
        wanted = pc.is_in(rows["split"], pa.array(splits))
        rows = rows.select([name for name in rows.column_names if name in TEXTS]).filter(wanted)
    texts = text_column(rows)
    # `<BOS>` and `<EOS>` are tokens too.
    return texts if limit is None else texts.filter(pc.less_equal(pc.utf8_length(texts), limit - tokens_of()))


def text_column(rows: pa.Table | pa.RecordBatch) -> pa.ChunkedArray | pa.Array:
    """Return the text that a model sees of each row, as large strings: together they may have more than 2 GiB."""
    if "prompt" in rows.schema.names:
        prompts, answers = (rows[name].cast(pa.large_string()) for name in ("prompt", "answer"))
        return pc.binary_join_element_wise(prompts, answers, pa.scalar("", pa.large_string()))
    return rows["english" if "english" in rows.schema.names else "text"].cast(pa.large_string())
