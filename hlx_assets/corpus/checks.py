"""The corpora's gates: pandera schemas, enough of every split, and not too much in quarantine."""

from pathlib import Path

import dagster as dg
import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from hlx_assets.corpus import assets as corpus
from hlx_assets.corpus.assets import quarantine_of, table_metadata
from hlx_assets.corpus.schemas import SCHEMAS
from hlx_model.corpus import store as corpora
from hlx_model.corpus.split import Split

MOST_QUARANTINED = 0.05
"""Share of a document's entries in quarantine above which nothing is trained on it: a twentieth is a few
slips of the pen; more is a document, or a reader, that is wrong."""
SHOWN = 25


def validate(rows: pl.DataFrame, schema: pa.DataFrameSchema) -> dg.AssetCheckResult:
    """One check result of a pandera schema; the first failing rows as a table for the UI."""
    try:
        # Not .lazy(): pandera checks a LazyFrame's columns only and passes bad rows.
        schema.validate(rows, lazy=True)
    except SchemaErrors as errors:
        return _failed(rows, errors.failure_cases)
    return dg.AssetCheckResult(
        passed=True,
        description=f"{rows.height} rows keep every rule of {schema.name}",
        metadata={"rows": rows.height},
    )


def _failed(rows: pl.DataFrame, cases: pl.DataFrame) -> dg.AssetCheckResult:
    records = []
    for case in cases.head(SHOWN).to_dicts():
        row = rows.row(case["index"], named=True) if case["index"] is not None else {}
        records.append(dg.TableRecord({
            "rule": str(case["check"]),
            "column": str(case["column"]),
            "line": str(row.get("line", "")),
            "found": str(case["failure_case"])[:200],
        }))  # fmt: skip
    rules = sorted({str(check) for check in cases["check"].to_list()})
    first = records[0].data
    return dg.AssetCheckResult(
        passed=False,
        description=f"{cases.height} failures of {', '.join(rules)}; first: line {first['line']}, {first['found']}",
        metadata={
            "rows": rows.height,
            "failures": cases.height,
            "failing_rows": dg.MetadataValue.table(
                records,
                dg.TableSchema([dg.TableColumn(c, "string") for c in ("rule", "column", "line", "found")]),
            ),
        },
    )


def _schema_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    name = asset.key.to_user_string()

    @dg.asset_check(
        asset=asset,
        name="schema",
        blocking=True,
        description=f"Every row keeps the rules of the pandera schema {name}.",
    )
    def schema(rows: Path) -> dg.AssetCheckResult:
        table = pl.from_arrow(corpora.load(rows))
        assert isinstance(table, pl.DataFrame)
        return validate(table, SCHEMAS[name])

    return schema


@dg.asset_check(
    asset=corpus.corpus_examples,
    blocking=True,
    description=f"At most {MOST_QUARANTINED:.0%} of the entries are in quarantine.",
)
def quarantine(corpus_examples: Path) -> dg.AssetCheckResult:
    """Show what was set aside; too much of it means that the document is not what it should be."""
    aside, kept = quarantine_of(corpus_examples), corpora.load(corpus_examples).num_rows
    share = aside.num_rows / max(1, aside.num_rows + kept)
    too_many = share > MOST_QUARANTINED
    return dg.AssetCheckResult(
        passed=aside.num_rows == 0,
        severity=dg.AssetCheckSeverity.ERROR if too_many else dg.AssetCheckSeverity.WARN,
        description=f"{aside.num_rows} of {aside.num_rows + kept} entries are in quarantine ({share:.1%}); "
        f"at most {MOST_QUARANTINED:.0%} is asked"
        + (f"; first: line {aside['line'][0]}, {aside['reason'][0]}" if aside.num_rows else ""),
        metadata={"quarantined": aside.num_rows, "share": share, "rows": table_metadata(aside)},
    )


@dg.asset_check(
    asset=corpus.corpus_examples, blocking=True, description="There are rows to train on and held-out rows."
)
def splits(corpus_examples: Path) -> dg.AssetCheckResult:
    """Training and validation rows are there; a test split is missed with a warning."""
    found = corpora.load(corpus_examples)["split"].to_pylist()
    counts = {str(split): found.count(str(split)) for split in Split}
    usable = counts[Split.TRAIN] > 0 and counts[Split.VALIDATION] > 0
    return dg.AssetCheckResult(
        passed=usable and counts[Split.TEST] > 0,
        severity=dg.AssetCheckSeverity.WARN if usable else dg.AssetCheckSeverity.ERROR,
        description=", ".join(f"{name} {count}" for name, count in counts.items()),
        metadata=counts,
    )


checks = [
    *(
        _schema_check(asset)
        for asset in (corpus.corpus_examples, corpus.english_corpus, corpus.hlx_corpus, corpus.paired_corpus)
    ),
    quarantine,
    splits,
]
