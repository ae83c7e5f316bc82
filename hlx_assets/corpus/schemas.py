"""The pandera schemas of the corpora: the columns, and the rules of `hlx_model.corpus` as pandera checks.

A rule is written once, in `hlx_model`; this module lets pandera evaluate it.
"""

from collections.abc import Iterator

import pandera.polars as pa
import polars as pl
import pyarrow
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from hlx_model.corpus.row_rules import SCHEMAS, Rule, evaluated

_TYPES = {pyarrow.string(): pl.String, pyarrow.int32(): pl.Int32}


def pandera_rows(asset: str, rows: pyarrow.RecordBatch, wanted: list[Rule]) -> Iterator[tuple[Rule, int]]:
    """Validate a slice of a corpus with its pandera schema; yield each rule with the index of each row that breaks it.

    Args:
        asset: which corpus.
        rows: the slice; rows of a derived corpus have what their entry says in additional columns.
        wanted: the rules.
    """
    columns = {field.name: pa.Column(_TYPES[field.type], nullable=True) for field in SCHEMAS[asset]}
    checks = [_check(rule, broken) for rule, broken in zip(wanted, evaluated(rows, wanted), strict=True)]
    schema = pa.DataFrameSchema(columns, checks=checks, name=asset)
    try:
        # Not .lazy(): pandera checks a LazyFrame's columns only and passes bad rows.
        schema.validate(pl.DataFrame(pl.from_arrow(rows.select(list(columns)))), lazy=True)
    except SchemaErrors as errors:
        for case in errors.failure_cases.to_dicts():
            yield wanted[case["check_number"]], case["index"]


def _check(rule: Rule, broken: pyarrow.BooleanArray) -> pa.Check:
    """Return a rule as a check. It was evaluated on the Arrow rows that pandera's frame was made of."""

    def keeps(_: pa.PolarsData) -> pl.LazyFrame:
        return pl.LazyFrame({"keeps": pl.from_arrow(pc.invert(broken))}, schema={"keeps": pl.Boolean})

    return pa.Check(keeps, name=rule.name)
