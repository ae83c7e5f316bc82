"""The corpora's gates: pandera schemas, enough rows of everything, and not too much in quarantine."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pyarrow.parquet as pq
from pandera.errors import SchemaErrors

from hlx_assets.common import user_errors
from hlx_assets.corpus import assets as corpus
from hlx_assets.corpus.assets import FAILING, SHOWN, quarantine_of, quarantined, records_metadata
from hlx_assets.corpus.schemas import ENTRY, FORMATS, Facts, facts_of, rule_of, schema_of
from hlx_model.corpus import ENGLISH
from hlx_model.corpus import store as corpora
from hlx_model.corpus.coverage import Count, counts
from hlx_model.corpus.rules import MOST_QUARANTINED, most_quarantined, too_many_quarantined
from hlx_model.layout import EXAMPLES, ROWS

COUNTS_SHOWN = 100


def validate(name: str, slices: Iterable[pl.DataFrame], facts: Facts) -> dg.AssetCheckResult:
    """One check result of the pandera schema of a corpus; the first failing rows as a table for the UI."""
    schema = schema_of(name, facts)
    rows = failures = 0
    broken: dict[str, None] = {}
    shown: list[dict[str, Any]] = []
    for frame in slices:
        rows += frame.height
        try:
            # Not .lazy(): pandera checks a LazyFrame's columns only and passes bad rows.
            schema.validate(frame, lazy=True)
        except SchemaErrors as errors:
            cases = errors.failure_cases
            failures += cases.height
            broken |= dict.fromkeys(sorted({str(check) for check in cases["check"].to_list()}))
            shown += [_failing_row(frame, case) for case in cases.head(SHOWN - len(shown)).to_dicts()]
    if not failures:
        return dg.AssetCheckResult(
            passed=True, description=f"{rows} rows keep every rule of {name}", metadata={"rows": rows}
        )
    first = shown[0]
    return dg.AssetCheckResult(
        passed=False,
        description=f"{failures} failures of {', '.join(broken)}; first: {first['document']} line {first['line']}: "
        f"{first['reason']}: {first['found']}",
        metadata={"rows": rows, "failures": failures, "failing_rows": records_metadata(shown, FAILING)},
    )


def _failing_row(frame: pl.DataFrame, case: dict[str, Any]) -> dict[str, Any]:
    row = frame.row(case["index"], named=True) if case["index"] is not None else {}
    rule = rule_of(str(case["check"]), case["column"])
    found = [str(row[column]) for column in rule.found if row.get(column) is not None]
    return {
        "document": row.get("document"),
        "line": row.get("line"),
        "English": row.get("entry_English", row.get("english")),
        "rule": case["check"],
        "reason": rule.reason,
        "found": " | ".join(found) or str(case["failure_case"]),
    }


def validate_kept(name: str, directory: Path) -> dg.AssetCheckResult:
    """Validate a kept version of a corpus slice by slice; its bytes must be those of its name."""
    corpora.verify(directory)
    slices = partial(_slices, directory)
    said = None if name == EXAMPLES else said_by_entries(_slices(corpora.examples_of(directory)))
    return validate(name, (with_entries(frame, said) for frame in slices()), facts_of(name, slices))


def said_by_entries(examples: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """What each entry of the examples says, to be joined to the rows that were derived from it."""
    said = {"english": f"entry_{ENGLISH}", "split": "entry_split", **{f: f"entry_{f}" for f in FORMATS}}
    return pl.concat([frame.select(*ENTRY, *said).rename(said) for frame in examples])


def with_entries(frame: pl.DataFrame, said: pl.DataFrame | None) -> pl.DataFrame:
    """The rows of a derived corpus, each with what its entry says."""
    if said is None:
        return frame
    near = said.filter(pl.col("line").is_between(frame["line"].min(), frame["line"].max()))
    return frame.join(near, on=ENTRY, how="left", maintain_order="left")


def _slices(directory: Path) -> Iterator[pl.DataFrame]:
    for batch in corpora.batches(directory):
        frame = pl.from_arrow(batch)
        assert isinstance(frame, pl.DataFrame)
        yield frame


def _schema_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    name = asset.key.to_user_string()

    @dg.asset_check(
        asset=asset,
        name="schema",
        blocking=True,
        description=f"Every row keeps the rules of the pandera schema {name}.",
    )
    def schema(rows: Path) -> dg.AssetCheckResult:
        return validate_kept(name, rows)

    return schema


def _coverage_check(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset,
        name="coverage",
        blocking=True,
        description="Each split, format, direction and section has enough rows.",
    )
    def coverage(rows: Path) -> dg.AssetCheckResult:
        return enough(counts(corpora.batches(rows)))

    return coverage


def enough(found: Sequence[Count]) -> dg.AssetCheckResult:
    """Fails where rows are missing that training cannot do without, warns where they are too few to judge by."""
    missing = [count for count in found if count.rows < count.needed]
    scarce = [count for count in found if count.rows < count.wanted]
    short = missing or scarce
    total = {count.split: count.rows for count in found if count.of == "all"}
    said = [", ".join(f"{rows} {split}" for split, rows in total.items())]
    for of in dict.fromkeys(count.of for count in short):
        some = [count for count in short if count.of == of]
        which = f"{some[0].rows} rows in {some[0].split}" + ("" if of == "all" else f" of {of} {some[0].name}")
        more = f" (and {len(some) - 1} more)" if len(some) > 1 else ""
        wanted = some[0].needed if missing else some[0].wanted
        said.append(f"{which}{more}, at least {wanted} {'needed' if missing else 'wanted'}")
    return dg.AssetCheckResult(
        passed=not short,
        severity=dg.AssetCheckSeverity.ERROR if missing else dg.AssetCheckSeverity.WARN,
        description="; ".join(said),
        metadata={
            "rows": total,
            "counts": records_metadata(
                [
                    {"of": c.of, "name": c.name, "split": c.split, "rows": c.rows, "wanted": c.wanted}
                    for c in sorted(found, key=lambda c: c.rows >= c.wanted)[:COUNTS_SHOWN]
                ],
                ("of", "name", "split", "rows", "wanted"),
            ),
        },
    )


@dg.asset_check(
    asset=corpus.corpus_examples,
    blocking=True,
    description=f"At most {MOST_QUARANTINED:.0%} of the entries (HLX_MOST_QUARANTINED) are in quarantine.",
)
def quarantine(corpus_examples: Path) -> dg.AssetCheckResult:
    """Show what was set aside; too much of it means that the document is not what it should be."""
    with user_errors():
        most = most_quarantined()
    aside, kept = quarantine_of(corpus_examples), pq.read_metadata(corpus_examples / ROWS).num_rows
    entries = aside.num_rows + kept
    too_many = too_many_quarantined(aside.num_rows, entries, most)
    share = aside.num_rows / max(1, entries)
    return dg.AssetCheckResult(
        passed=aside.num_rows == 0,
        severity=dg.AssetCheckSeverity.ERROR if too_many else dg.AssetCheckSeverity.WARN,
        description=(too_many or f"{aside.num_rows} of {entries} entries are in quarantine, at most {most:.0%} may be")
        + (f"; first: {aside['document'][0]} line {aside['line'][0]}: {aside['reason'][0]}" if aside.num_rows else ""),
        metadata={
            "quarantined": aside.num_rows,
            "share": share,
            "failing_rows": records_metadata(quarantined(corpus_examples), FAILING),
        },
    )


_VALIDATED = (corpus.corpus_examples, corpus.english_corpus, corpus.hlx_corpus, corpus.paired_corpus)
checks = [
    *(_schema_check(asset) for asset in _VALIDATED),
    *(_coverage_check(asset) for asset in _VALIDATED),
    quarantine,
]
