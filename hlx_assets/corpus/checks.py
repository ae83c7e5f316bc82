"""The gates of the corpora as asset checks: they judge a corpus, write its verdict, and show what it says."""

from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import check_result, user_errors
from hlx_assets.corpus import assets as corpus
from hlx_assets.corpus.assets import FAILING, quarantine_rows, records_metadata
from hlx_assets.corpus.schemas import pandera_rows
from hlx_model.corpus.verdict import (
    COVERAGE,
    QUARANTINED,
    SCHEMA,
    CorpusReport,
    CorpusVerdict,
    judge_corpus,
    judged_today,
    read_report,
)
from hlx_model.environment import MOST_QUARANTINED


def schema_result(directory: Path) -> dg.AssetCheckResult:
    """Judge a kept corpus, its rules evaluated by pandera, and return the result of the check `schema`.

    Raises:
        CorpusError: its rows are missing, or not those of its version.
    """
    gate = judge_corpus(directory, _pandera(directory)).gate(SCHEMA)
    failing = [{**row.to_json(), "English": row.english} for row in _report(directory).failing]
    metadata: dict[str, Any] = {"rows": gate.samples}
    if gate.outcome == "fail":
        metadata |= {"failures": gate.value, "failing_rows": records_metadata(failing, FAILING)}
    return check_result(_asset(directory), gate, metadata)


def coverage_result(directory: Path) -> dg.AssetCheckResult:
    """Return the result of the check `coverage` from the verdict on a kept corpus; errors as for `schema_result`."""
    gate, report = _verdict(directory).gate(COVERAGE), _report(directory)
    counts = [{**count.to_json(), "wanted": count.wanted} for count in report.counts]
    table = records_metadata(counts, ("of", "name", "split", "rows", "wanted"))
    return check_result(_asset(directory), gate, {"rows": report.rows, "counts": table})


def quarantine_result(examples: Path) -> dg.AssetCheckResult:
    """Return the result of the check `quarantine` from the verdict on kept examples; errors as for `schema_result`."""
    gate, rows = _verdict(examples).gate(QUARANTINED), quarantine_rows(examples)
    metadata = {
        "quarantined": round((gate.value or 0) * gate.samples),
        "share": gate.value or 0.0,
        "failing_rows": records_metadata(rows, FAILING),
    }
    return check_result(_asset(examples), gate, metadata)


def _asset(directory: Path) -> dg.AssetKey:
    return dg.AssetKey(directory.absolute().parent.name)


def _pandera(directory: Path) -> "partial[Any]":
    return partial(pandera_rows, directory.parent.name)


def _verdict(directory: Path) -> CorpusVerdict:
    return judged_today(directory, _pandera(directory))


def _report(directory: Path) -> CorpusReport:
    return read_report(directory) or CorpusReport(rows={}, counts=(), failing=())


def _schema_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name=SCHEMA,
        blocking=True,
        description=f"Every row keeps the rules of the pandera schema {asset.key.to_user_string()}.",
    )
    def schema(rows: Path) -> dg.AssetCheckResult:
        with user_errors():
            return schema_result(rows)

    return schema


def _coverage_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name=COVERAGE,
        blocking=True,
        description="Each split, format, direction and section has enough rows.",
    )
    def coverage(rows: Path) -> dg.AssetCheckResult:
        with user_errors():
            return coverage_result(rows)

    return coverage


@dg.asset_check(
    asset=corpus.corpus_examples,
    blocking=True,
    description=f"At most {MOST_QUARANTINED:.0%} of the entries (HLX_MOST_QUARANTINED) are in quarantine.",
)
def quarantine(corpus_examples: Path) -> dg.AssetCheckResult:
    """Show the quarantined entries; too many of them mean that the document is not what it should be."""
    with user_errors():
        return quarantine_result(corpus_examples)


_JUDGED = (corpus.corpus_examples, corpus.english_corpus, corpus.hlx_corpus, corpus.paired_corpus)
checks = [
    *(_schema_check(asset) for asset in _JUDGED),
    *(_coverage_check(asset) for asset in _JUDGED),
    quarantine,
]
