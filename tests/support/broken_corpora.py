"""Corpora in which one thing is wrong, for the rules and for the pandera schemas that wrap them."""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa

from hlx_model.composer.sampling import compose
from hlx_model.corpus import DERIVED, collect, examples_table, parse_document
from hlx_model.corpus.gates import CheckRows, Entries, SchemaFindings, check_schema
from hlx_model.corpus.split import EVALUATED
from hlx_model.corpus.tables import evaluation_table
from hlx_model.layout import EVALUATION, EXAMPLES

_CORPUS = collect([parse_document(compose(300, 0), "composed.md")])
_EXAMPLES = examples_table(_CORPUS)
TABLES: dict[str, pa.Table] = {
    EXAMPLES: _EXAMPLES,
    EVALUATION: evaluation_table(_CORPUS),
    **{name: one.table(_EXAMPLES) for name, one in DERIVED.items()},
}


class Broken(NamedTuple):
    """A cell that breaks a rule."""

    name: str
    column: str
    value: object
    rule: str


BROKEN_CELLS = [
    Broken(*case)
    for case in (
        (EXAMPLES, "HLXL", "{1000: {@0: ", "parses"),
        (EXAMPLES, "LC-B", "[0xff9c]", "four_formats_have_the_same_value"),
        (EXAMPLES, "document", "", "is_not_empty"),
        (EXAMPLES, "english", "", "is_not_empty"),
        (EXAMPLES, "LC-T", None, "is_not_empty"),
        (EXAMPLES, "english", "naïve", "in_vocabulary"),
        (EXAMPLES, "english", "{}", "is_english"),
        (EXAMPLES, "value_sha256", "abc", "is_sha256"),
        (EXAMPLES, "value_sha256", "0" * 64, "value_sha256_is_that_of_the_value"),
        (EXAMPLES, "split", "dev", "split_is_known"),
        (EXAMPLES, "line", 0, "line_is_positive"),
        (EXAMPLES, "last_line", 10_000, "lines_of_one_entry_only"),
        (EVALUATION, "english", None, "is_not_empty"),
        (EVALUATION, "LC-R", "🜊", "four_formats_have_the_same_value"),
        (EVALUATION, "split", "train", "split_is_known"),
        ("english_corpus", "english", "Find 🜊14🜂", "is_english"),
        ("english_corpus", "english", None, "is_not_empty"),
        ("english_corpus", "english", "Another sentence", "says_what_its_entry_says"),
        ("english_corpus", "english", "x" * 511, "fits_the_models_positions"),
        ("english_corpus", "split", "validation", "split_is_that_of_its_entry"),
        ("english_corpus", "split", None, "split_is_known"),
        ("hlx_corpus", "text", "🜊", "text_parses_in_its_format"),
        ("hlx_corpus", "text", "Search for files", "text_parses_in_its_format"),
        ("hlx_corpus", "text", "é", "in_vocabulary"),
        ("hlx_corpus", "text", '"' + "x" * 509 + '"', "fits_the_models_positions"),
        ("hlx_corpus", "format", "LC-X", "format_is_known"),
        ("hlx_corpus", "line", 99_999, "says_what_its_entry_says"),
        ("hlx_corpus", "document", "other.md", "says_what_its_entry_says"),
        ("hlx_corpus", "value_sha256", None, "is_sha256"),
        ("paired_corpus", "prompt", "HLXL: x", "is_a_prompt"),
        ("paired_corpus", "target", "French", "target_is_known"),
        ("paired_corpus", "source", "French", "source_is_known"),
        ("paired_corpus", "answer", "naïve", "in_vocabulary"),
        ("paired_corpus", "answer", "", "is_not_empty"),
        ("paired_corpus", "answer", "(", "answer_is_in_its_language"),
        ("paired_corpus", "answer", '"' + "x" * 500 + '"', "fits_the_models_positions"),
    )
]
LEAKS = [
    (EXAMPLES, "english"),
    (EXAMPLES, "value_sha256"),
    ("english_corpus", "english"),
    ("hlx_corpus", "text"),
    ("hlx_corpus", "value_sha256"),
    ("paired_corpus", "prompt"),
]
TWICE = [
    (EXAMPLES, "sentence_once"),
    (EVALUATION, "answer_once"),
    ("english_corpus", "sentence_once"),
    ("hlx_corpus", "line_once"),
    ("paired_corpus", "pair_once"),
]


def judged(
    name: str, rows: pa.Table, check_rows: CheckRows, *, slices: int = 1, proven: bool = True, entries: bool = True
) -> SchemaFindings:
    """Return what the gate `schema` finds in a table."""

    def read() -> Iterator[pa.RecordBatch]:
        yield from rows.combine_chunks().to_batches(max_chunksize=-(-rows.num_rows // slices))

    said = Entries(_EXAMPLES.to_batches(), right=proven) if entries and name in DERIVED else None
    return check_schema(name, read, said, check_rows)


def spoilt(broken: Broken, row: int | None = None) -> tuple[pa.Table, int]:
    """Return a corpus with one other cell, by default in a training row, and the index of its row."""
    rows = TABLES[broken.name]
    if row is None:
        row = next(i for i, split in enumerate(rows["split"].to_pylist()) if split in ("train", EVALUATED) and i >= 40)
    return _changed(rows, broken.column, row, broken.value), row


def leaked(name: str, column: str) -> tuple[pa.Table, int, str]:
    """Return a corpus with a held-out text in a training row, the index of the row, and the text."""
    splits = TABLES[name]["split"].to_pylist()
    held_out = TABLES[name][column].to_pylist()[next(i for i, split in enumerate(splits) if split != "train")]
    return _changed(TABLES[name], column, splits.index("train"), held_out), splits.index("train"), held_out


def twice(name: str) -> pa.Table:
    """Return a corpus with its first row once more at its end."""
    return pa.concat_tables([TABLES[name], TABLES[name].slice(0, 1)])


def _changed(rows: pa.Table, column: str, row: int, value: object) -> pa.Table:
    cells = rows[column].to_pylist()
    cells[row] = value
    index = rows.schema.get_field_index(column)
    return rows.set_column(index, rows.schema.field(index), pa.array(cells, rows.schema.field(index).type))
