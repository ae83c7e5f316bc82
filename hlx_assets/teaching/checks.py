"""The checks of what a teacher was asked and wrote: its rows keep the schema, its document is read as it is."""

from pathlib import Path

import dagster as dg
import pandera.polars as pa
import polars as pl
import pyarrow.parquet as pq

from hlx_assets.common import user_errors
from hlx_assets.corpus.schemas import pandera_rows
from hlx_assets.settings import DagsterEnvironment
from hlx_assets.teaching.assets import written_of
from hlx_model.corpus.documents import read_corpus
from hlx_model.corpus.row_rules import ROW_RULES
from hlx_model.corpus.tables import examples_table
from hlx_model.language import Format
from hlx_model.layout import EXAMPLES, QUARANTINE, ROWS, TAUGHT, TEACHER_DOCUMENT, TEACHER_PROPOSALS, TEACHER_REQUESTS
from hlx_model.teaching.proposals import PROPOSALS_SCHEMA

FEW = 0.5
"""Share of requests with a sentence, and of sentences that are admitted, below which a check warns."""
_SHA256 = pa.Check.str_matches("^[0-9a-f]{64}$")
_REQUESTS = pa.DataFrameSchema({
    "id": pa.Column(pl.String, unique=True), "value_sha256": pa.Column(pl.String, _SHA256),
    str(Format.HLXL): pa.Column(pl.String, unique=True), "english": pa.Column(pl.String),
}, strict=True)  # fmt: skip
_PROPOSALS = pa.DataFrameSchema({
    name: pa.Column(pl.String, nullable=name not in ("id", "question", "provider", "model"))
    for name in PROPOSALS_SCHEMA.names
}, strict=True)  # fmt: skip


def checks(environment: DagsterEnvironment) -> list[dg.AssetChecksDefinition]:
    """Return the checks if there is a teacher; else nothing."""
    return [_requests, _proposals, _readable, _admitted] if environment.teacher else []


@dg.asset_check(asset=TEACHER_REQUESTS, name="schema", blocking=True, description="Each value is there once.")
def _requests(rows: Path) -> dg.AssetCheckResult:
    return _by_schema(rows, _REQUESTS)


@dg.asset_check(asset=TEACHER_PROPOSALS, name="schema", blocking=True,
                description="Each row has an id and the question that it answers.")  # fmt: skip
def _proposals(rows: Path) -> dg.AssetCheckResult:
    result, table = _by_schema(rows, _PROPOSALS), pq.read_table(rows / ROWS)
    answered = 1 - table["english"].null_count / max(1, table.num_rows)
    if not result.passed or answered >= FEW:
        return result
    few = f"{answered:.0%} of the requests have a sentence: see the column problem"
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description=few)


@dg.asset_check(asset=TEACHER_DOCUMENT, name="readable", blocking=True,
                description="The document is read whole: nothing is quarantined, and every row keeps the rules of the "
                "pandera schema of corpus_examples.")  # fmt: skip
def _readable(document: Path) -> dg.AssetCheckResult:
    with user_errors():
        found, expected = read_corpus([document / TAUGHT]), written_of(document).sentences
        wanted = [rule for rule in ROW_RULES[EXAMPLES] if not rule.compares]
        broken = [rule.reason for batch in examples_table(found).to_batches()
                  for rule, _ in pandera_rows(EXAMPLES, batch, wanted)]  # fmt: skip
    missing = len(expected) - len(found.entries)
    said = next((entry.reason for entry in found.quarantined), None) or next(iter(broken), None)
    passed = said is None and missing == 0
    return dg.AssetCheckResult(
        passed=passed, description=said or (f"{missing} sentences are missing in it" if missing else None),
        metadata={"entries": f"{len(found.entries):,}"},
    )  # fmt: skip


@dg.asset_check(asset=TEACHER_DOCUMENT, name="admitted", description="At least half of what was written is admitted.")
def _admitted(document: Path) -> dg.AssetCheckResult:
    with user_errors():
        kept, refused = len(written_of(document).sentences), pq.read_metadata(document / QUARANTINE).num_rows
    share = kept / (kept + refused)
    return dg.AssetCheckResult(
        passed=share >= FEW, severity=dg.AssetCheckSeverity.WARN, metadata={"admitted (share)": share},
        description=f"{kept} of {kept + refused} are admitted",
    )  # fmt: skip


def _by_schema(rows: Path, schema: pa.DataFrameSchema) -> dg.AssetCheckResult:
    frame = pl.read_parquet(rows / ROWS)
    try:
        schema.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        return dg.AssetCheckResult(passed=False, description=str(errors.failure_cases.head(1).to_dicts()[0]))
    return dg.AssetCheckResult(passed=True, metadata={"rows": f"{frame.height:,}"})
