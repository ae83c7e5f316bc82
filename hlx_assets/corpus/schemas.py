"""The pandera schemas of the corpora: the columns, and the rules of `hlx_model.corpus` as pandera checks.

A rule is written once, in `hlx_model`; this module lets pandera evaluate it.
"""

from collections.abc import Callable, Iterator

import pandera.polars as pa
import polars as pl
import pyarrow
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from hlx_model.corpus.row_rules import SCHEMAS, Rule

_TYPES = {pyarrow.string(): pl.String, pyarrow.int32(): pl.Int32}


def pandera_rows(asset: str, rows: pyarrow.RecordBatch, wanted: list[Rule]) -> Iterator[tuple[Rule, int]]:
    """Validate a slice of a corpus with its pandera schema; yield each rule with the index of each row that breaks it.

    Args:
        asset: which corpus.
        rows: the slice; rows of a derived corpus have what their entry says in additional columns.
        wanted: the rules.
    """
    by_key = {rule.key: rule for rule in wanted}
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    try:
        # Not .lazy(): pandera checks a LazyFrame's columns only and passes bad rows.
        schema_of(asset, rows.schema, wanted).validate(frame, lazy=True)
    except SchemaErrors as errors:
        for case in errors.failure_cases.to_dicts():
            yield by_key[case["check"]], case["index"]


def schema_of(asset: str, schema: pyarrow.Schema, wanted: list[Rule]) -> pa.DataFrameSchema:
    """Return the pandera schema of a corpus: its columns with their types, and its rules as checks.

    Args:
        asset: which corpus.
        schema: of the Arrow rows that the rules expect.
        wanted: the rules.
    """
    columns = {field.name: pa.Column(_TYPES[field.type], nullable=True) for field in SCHEMAS[asset]}
    converted = _Converted(schema)
    return pa.DataFrameSchema(columns, checks=[_check(rule, converted) for rule in wanted], name=asset)


def _check(rule: Rule, converted: "_Converted") -> pa.Check:
    def keeps(data: pa.PolarsData) -> pl.LazyFrame:
        broken = pc.fill_null(rule.broken(converted(data.lazyframe)), False)
        return pl.LazyFrame({"keeps": pc.invert(broken).to_pylist()}, schema={"keeps": pl.Boolean})

    check: Callable[..., pa.Check] = pa.Check
    return check(keeps, name=rule.key)


class _Converted:
    """Converts a frame to Arrow rows, once for all checks of a schema."""

    def __init__(self, schema: pyarrow.Schema) -> None:
        self._schema = schema
        self._rows: pyarrow.RecordBatch | None = None

    def __call__(self, frame: pl.LazyFrame) -> pyarrow.RecordBatch:
        if self._rows is None:
            table = frame.collect().to_arrow().select(self._schema.names).cast(self._schema)
            (self._rows,) = table.combine_chunks().to_batches() or [pyarrow.RecordBatch.from_pylist([], self._schema)]
        return self._rows
