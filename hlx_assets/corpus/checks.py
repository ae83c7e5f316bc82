"""The gates of the corpora as asset checks: they judge a corpus, write its verdict, and show what it says."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import check_result, user_errors
from hlx_assets.corpus import assets as corpus
from hlx_assets.corpus.assets import failing_table, quarantine_table, records_metadata
from hlx_assets.corpus.schemas import pandera_rows
from hlx_model.corpus.gates import COVERAGE, QUARANTINED, SCHEMA
from hlx_model.corpus.verdict import judge_corpus, judged_today, read_report
from hlx_model.environment import MOST_QUARANTINED


def schema_result(directory: Path) -> dg.AssetCheckResult:
    """Judge a kept corpus, its rules evaluated by pandera, and return the result of the check `schema`.

    Raises:
        CorpusError: its rows are missing, or not those of its version.
    """
    gate = judge_corpus(directory, _pandera(directory)).gate(SCHEMA)
    metadata: dict[str, Any] = {"rows": gate.samples}
    if gate.outcome == "fail":
        failing = failing_table(row.to_json() for row in read_report(directory).failing)
        metadata |= {"failures": gate.value, "failing_rows": failing}
    return check_result(_asset(directory), gate, metadata)


def coverage_result(directory: Path) -> dg.AssetCheckResult:
    """Return the result of the check `coverage` from the verdict on a kept corpus; errors as for `schema_result`."""
    gate, report = judged_today(directory, _pandera(directory)).gate(COVERAGE), read_report(directory)
    counts = [{**count.to_json(), "wanted": count.wanted} for count in report.counts]
    table = records_metadata(counts, ("of", "name", "split", "rows", "wanted"))
    return check_result(_asset(directory), gate, {"rows": report.rows, "counts": table})


def quarantine_result(examples: Path) -> dg.AssetCheckResult:
    """Return the result of the check `quarantine` from the verdict on kept examples; errors as for `schema_result`."""
    gate = judged_today(examples, _pandera(examples)).gate(QUARANTINED)
    share = gate.value or 0.0
    count, failing = round(share * gate.samples), quarantine_table(examples)
    return check_result(_asset(examples), gate, {"quarantined": count, "share": share, "failing_rows": failing})


def _asset(directory: Path) -> dg.AssetKey:
    return dg.AssetKey(directory.absolute().parent.name)


def _pandera(directory: Path) -> "partial[Any]":
    return partial(pandera_rows, directory.absolute().parent.name)


def corpus_check(
    asset: dg.AssetsDefinition,
    name: str,
    result: Callable[[Path], dg.AssetCheckResult],
    description: str,
    *,
    blocking: bool = True,
) -> dg.AssetChecksDefinition:
    """Return the check of an asset that shows a gate of its verdict.

    Args:
        asset: the asset.
        name: of the gate.
        result: judges the directory that the asset was materialized to.
        description: what is required.
        blocking: whether a failure stops the steps after the asset.
    """

    @dg.asset_check(asset=asset, name=name, blocking=blocking, description=description)
    def check(rows: Path) -> dg.AssetCheckResult:
        with user_errors():
            return result(rows)

    return check


_QUARANTINE = f"At most {MOST_QUARANTINED:.0%} of the entries (HLX_MOST_QUARANTINED) are in quarantine."
_SCHEMA = "Every row keeps the rules of the pandera schema {}."
_COVERAGE = "Each split, format, direction and section has enough rows."
_JUDGED = (corpus.corpus_examples, corpus.english_corpus, corpus.hlx_corpus, corpus.paired_corpus)
checks = [
    *(corpus_check(asset, SCHEMA, schema_result, _SCHEMA.format(asset.key.to_user_string())) for asset in _JUDGED),
    *(corpus_check(asset, COVERAGE, coverage_result, _COVERAGE) for asset in _JUDGED),
    corpus_check(corpus.corpus_examples, QUARANTINED, quarantine_result, _QUARANTINE),
]
