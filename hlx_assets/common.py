"""What every asset of the graph shares: owner, groups, how a gate becomes a check, how a user's error ends a step."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_model.parallel import ProcessEndedError
from hlx_model.reporting.render import markdown_code
from hlx_model.shown import one_line
from hlx_model.verdicts import GateResult

OWNERS = ["team:hlx"]
CORPUS_GROUP, CURRICULUM_GROUP, VALIDATION_GROUP, LINEAGE_GROUP = "corpus", "curriculum", "validation", "lineage"
GROUPS = (CORPUS_GROUP, CURRICULUM_GROUP, VALIDATION_GROUP, LINEAGE_GROUP)
"""What every graph has, and the job `curriculum` makes."""
BASELINES_GROUP, TEACHING_GROUP = "baselines", "teaching"
PROVIDERS_POOL, TRAINING_POOL = "providers", "training"
"""One step at a time asks models of others, and one trains, or as many as `HLX_TRAINER` says."""
SCREEN_LINES = 24
"""Lines of Markdown that a screen shows at once."""
Texts = Mapping[str, str]


@contextmanager
def user_errors() -> Iterator[None]:
    """End the step without retries if the block raises `ValueError`, which is bad input, or lost a process.

    Each has one line that says what to do.
    """
    try:
        yield
    except (ValueError, ProcessEndedError) as error:
        raise dg.Failure(one_line(error), allow_retries=False) from None


@contextmanager
def exit_with_one_line(advice: str = "") -> Iterator[None]:
    """End the program with one line, and `advice` after it, if the block raises `ValueError` or `OSError`."""
    try:
        yield
    except (ValueError, OSError) as error:
        sys.exit(f"error: {one_line(error)}{advice}")


def failure_reason(event: dg.DagsterEvent) -> str | None:
    """Return why a step failed, in one line; None if one of its checks failed, which is reported by itself."""
    failure = event.step_failure_data
    error = failure.error.cause or failure.error if failure.error else None
    if error and error.cls_name == "DagsterAssetCheckFailedError":
        return None
    if error and error.cls_name == "DagsterExecutionInterruptedError":
        return "interrupted: materialize again, or repeat the command, to resume"
    description = failure.user_failure_data.description if failure.user_failure_data else None
    return " ".join((description or (error.message if error else "") or "it failed: see the run's log").split())


def check_result(asset: dg.AssetKey, gate: GateResult, extra: Mapping[str, Any] | None = None) -> dg.AssetCheckResult:
    """Return the check of an asset that shows a gate: whether it passed, its severity, reason, figures and `extra`."""
    interval = f"{gate.interval[0]:.1%} to {gate.interval[1]:.1%}" if gate.interval else None
    # Dagster plots every number: a rate or a loss is one, a count or a limit is a flat line.
    value = gate.value if isinstance(gate.value, float) else None if gate.value is None else f"{gate.value:,}"
    threshold = None if gate.threshold is None else f"{gate.threshold:,.4f}".rstrip("0").rstrip(".")
    figures = {"value": value, "threshold": threshold, "interval": interval, "samples": f"{gate.samples:,}"}
    known = {name: value for name, value in figures.items() if value is not None}
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=gate.name,
        passed=gate.outcome == "pass",
        severity=dg.AssetCheckSeverity.WARN if gate.outcome == "warn" else dg.AssetCheckSeverity.ERROR,
        description=one_line(gate.reason),
        metadata={"outcome": gate.outcome, **known, **(extra or {})},
    )


def gate_checks(
    name: str, asset: str, gates: Callable[[Path], Iterable[GateResult]], blocking: Texts, others: Texts
) -> dg.AssetChecksDefinition:
    """Return the checks of one asset, each of which shows a gate.

    Args:
        name: of the step that evaluates them.
        asset: its name.
        gates: returns the gates of a directory that the asset was materialized to.
        blocking: the gates that stop the steps after the asset, by name, each with its description.
        others: the same of gates that stop nothing.
    """
    key = dg.AssetKey(asset)
    specs = [dg.AssetCheckSpec(gate, asset=key, description=text, blocking=True) for gate, text in blocking.items()]
    specs += [dg.AssetCheckSpec(gate, asset=key, description=text) for gate, text in others.items()]

    @dg.multi_asset_check(specs=specs, name=name, ins={"directory": dg.AssetIn(key)}, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, directory: Path) -> Iterator[dg.AssetCheckResult]:
        for gate in gates(directory):
            if dg.AssetCheckKey(key, gate.name) in context.selected_asset_check_keys:
                yield check_result(key, gate)

    return checks


def markdown_metadata(text: str, rest: object) -> dg.MarkdownMetadataValue:
    """Return the first sections of a text for the UI, whose dialog opens at its end: they fit on a screen.

    Args:
        text: Markdown.
        rest: where the whole text is.
    """
    first, *sections = text.split("\n## ")
    kept = first
    for section in sections:
        if len(kept.splitlines()) + len(section.splitlines()) > SCREEN_LINES:
            return dg.MetadataValue.md(f"{kept.rstrip()}\n\nThe rest: {markdown_code(str(rest))}")
        kept += f"\n## {section}"
    return dg.MetadataValue.md(kept)


def table_metadata(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], of: str) -> dg.TableMetadataValue:
    """Return rows as a table for the UI, with these columns, all of one type (`string` or `float`)."""
    records = [dg.TableRecord({name: "" if row[name] is None else row[name] for name in columns}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name, of) for name in columns]))
