"""`make curriculum`: the whole graph without a daemon, and a table at the end.

    python -m hlx_assets.curriculum [--config run.yaml]

Runs whose process is gone are closed first: the slot of a killed run would be waited for without end.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import yaml
from rich.console import Console
from rich.table import Table

from hlx_assets.common import why_failed
from hlx_assets.corpus.assets import quarantine_of
from hlx_assets.definitions import defs
from hlx_assets.io_manager import latest_path
from hlx_assets.storage import opened_instance
from hlx_assets.watchdog.runs import close_dead_runs, runs_elsewhere
from hlx_model.files import read_json
from hlx_model.layout import REPORT, ROWS
from hlx_model.phases import PHASES
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.verdicts import GateResult

SHOWN = 10
SHORT_LINES: dict[str, Any] = {"loggers": {"console": {}}}
LONGEST_ERROR = 400
console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 130)


def main() -> int:
    """Materialize everything; 0 where every phase came out, 1 where a gate or an error stopped it."""
    parser = argparse.ArgumentParser(prog="make curriculum", description="Run the whole curriculum.")
    parser.add_argument("--config", type=Path, help="Dagster run configuration (YAML), as in the launchpad")
    arguments = parser.parse_args()
    config = run_configuration(arguments.config)
    started = time.monotonic()
    # Dagster's own modules call what Dagster calls preview or deprecated: nothing that a user can mend.
    warnings.filterwarnings("ignore", module=r"dagster\.")
    with opened_instance() as instance:
        for run_id in close_dead_runs(instance):
            console.print(f"closed run {run_id[:8]}, whose process is gone; the same training goes on where it was")
        for line in runs_elsewhere(instance):
            console.print(line, markup=False)
        with dg.execute_job(dg.reconstructable(curriculum_job), instance, run_config=config) as result:
            events, success = result.all_events, result.success
        tell(instance, events, time.monotonic() - started)
    return 0 if success else 1


def run_configuration(path: Path | None) -> dict[str, Any]:
    """Return the run configuration in a YAML file; ends the program with one line if Dagster would refuse it."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) if path else None
        if not isinstance(config or {}, dict):
            raise ValueError("it must be a mapping, such as ops: {phase1_checkpoint: {config: {epochs: 40}}}")
        merged = {**(config or {}), "loggers": {**SHORT_LINES["loggers"], **(config or {}).get("loggers", {})}}
        dg.validate_run_config(curriculum_job(), merged)
    except (OSError, ValueError, yaml.YAMLError, dg.DagsterInvalidConfigError) as error:
        said = " ".join(str(error).split())
        sys.exit(f"error: --config {path}: {said[:LONGEST_ERROR]}")
    return merged


def curriculum_job() -> dg.JobDefinition:
    """The job, found again by Dagster from this function's name."""
    return defs.resolve_job_def("curriculum")


def tell(instance: dg.DagsterInstance, events: Sequence[dg.DagsterEvent], seconds: float) -> None:
    """The table of the three phases, what the corpus check set aside, and what failed."""
    if dg.AssetKey("corpus_examples") in _materialized(events):
        _tell_quarantine(instance)
    table = Table(title="curriculum", show_lines=True)
    for column in ("phase", "epochs", "held-out loss", "gates", "English→HLX", "HLX→English", "trained in"):
        table.add_column(column)
    for phase in PHASES:
        row = _row(instance, phase, events)
        if row:
            table.add_row(*row)
    if table.row_count:
        console.print(table)
    _tell_training_pairs(instance, events)
    for event in events:
        _tell_failure(event)
    console.print(f"{seconds / 60:.1f} minutes in all; `make ui` shows the graph, the reports and the curves")


def _tell_failure(event: dg.DagsterEvent) -> None:
    """One line for a failed gate, a failed step, or a step that was not run; nothing for the rest."""
    if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed:
            sign = "[red]gate failed[/]" if check.severity == dg.AssetCheckSeverity.ERROR else "[yellow]warning[/]"
            console.print(f"{sign} {check.asset_key.to_user_string()} {check.check_name}: ", end="")
            console.print(check.description or "", markup=False)
    elif event.is_step_failure:
        if reason := why_failed(event):
            console.print(f"[red]failed[/] {event.step_key}: ", end="")
            console.print(reason, markup=False)
    elif event.event_type == dg.DagsterEventType.STEP_SKIPPED:
        console.print(f"[yellow]not run[/] {event.step_key}: what it builds on did not pass")


def _row(instance: dg.DagsterInstance, phase: int, events: Sequence[dg.DagsterEvent]) -> list[str] | None:
    """A phase that this run came to, from its report."""
    report_key = dg.AssetKey(f"phase{phase}_validation_report")
    if report_key not in _materialized(events):
        return None
    report: dict[str, Any] = read_json(latest_path(instance, report_key) / REPORT)
    checkpoint = latest_path(instance, dg.AssetKey(f"phase{phase}_checkpoint"))
    figures = report["figures"]
    gates = [GateResult.from_json(gate) for gate in report["gates"]]
    count = {outcome: sum(gate.outcome == outcome for gate in gates) for outcome in ("pass", "warn", "fail")}
    said = ", ".join(f"{n} {outcome}" for outcome, n in count.items() if n)
    said += "".join(f"\n{gate.outcome}: {gate.name}" for gate in gates if gate.outcome != "pass")
    beat = Heartbeat.read(checkpoint.parents[1])
    return [
        str(phase),
        f"{report['epoch']} of {report['epochs']}" + (" (stopped)" if report["stopped"] else ""),
        # JSON has no NaN: a figure that is not finite is written by its name.
        f"{float(figures['held_out_loss']):.3f}",
        said,
        _rates(figures, "to_hlx"),
        _rates(figures, "to_english"),
        f"{(beat.time - beat.started) / 60:.1f} min" if beat else "",
    ]


def _tell_training_pairs(instance: dg.DagsterInstance, events: Sequence[dg.DagsterEvent]) -> None:
    key = dg.AssetKey("phase3_validation_report")
    if key in _materialized(events):
        found = read_json(latest_path(instance, key) / REPORT)["figures"]["training_pairs"]
        console.print(f"phase 3 reproduces {found['exact_match']:.1%} of its training pairs ({found['samples']} asked)")


def _materialized(events: Sequence[dg.DagsterEvent]) -> set[dg.AssetKey | None]:
    """The assets that this run made."""
    return {event.asset_key for event in events if event.is_step_materialization}


def _rates(figures: dict[str, Any], direction: str) -> str:
    if direction not in figures:
        return ""
    lines = [f"{name} {rates['exact_match']:.1%}" for name, rates in figures[direction].items()]
    total = figures[f"all_{direction}"]
    return "\n".join([*lines, f"all {total['exact_match']:.1%} of {total['samples']}"])


def _tell_quarantine(instance: dg.DagsterInstance) -> None:
    examples = latest_path(instance, dg.AssetKey("corpus_examples"))
    rows = quarantine_of(examples).to_pylist()
    kept = pq.read_metadata(examples / ROWS).num_rows
    console.print(f"{kept + len(rows)} entries read, {len(rows)} quarantined")
    for row in rows[:SHOWN]:
        console.print(
            f"quarantined: {row['document']} line {row['line']} ({row['english'] or 'no sentence'}): {row['reason']}",
            markup=False,
        )
    if len(rows) > SHOWN:
        console.print(f"and {len(rows) - SHOWN} more: `hlx corpus check` lists them")
