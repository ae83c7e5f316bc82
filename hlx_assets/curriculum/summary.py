"""What a terminal shows when a curriculum has ended: a table of what this curriculum made, and what failed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
from rich.markup import escape
from rich.table import Table

from hlx_assets.common import failure_reason
from hlx_assets.io_manager import ARTIFACT, artifacts_at_home
from hlx_model.cli.show import DataConsole
from hlx_model.corpus.verdict import GATES_OF_CORPUS
from hlx_model.language import Format
from hlx_model.layout import REPORT
from hlx_model.phases import PHASES, Phase
from hlx_model.reporting.conclusion import conclusion
from hlx_model.reporting.models import Rates, Report, SourceRates
from hlx_model.reporting.views import evaluation_line
from hlx_model.runs.heartbeat import Heartbeat

_Type = dg.DagsterEventType


def made_by(events: Sequence[dg.DagsterEvent]) -> dict[str, Path]:
    """Return the directories of the assets that some runs materialized, by asset."""
    root, found = artifacts_at_home().root, {}
    for event in events:
        if event.is_step_materialization and event.asset_key is not None:
            metadata = event.step_materialization_data.materialization.metadata
            if ARTIFACT in metadata:
                found[event.asset_key.to_user_string()] = root / str(metadata[ARTIFACT].value)
    return found


def print_summary(console: DataConsole, events: Sequence[dg.DagsterEvent], seconds: float) -> None:
    """Print a table of the phases, and what failed, of runs that took so many seconds."""
    made = made_by(events)
    columns = ("phase", "epochs", "test loss", "gates", "English→HLX", "HLX→English", "trained in")
    table, notes, said = Table(*columns, title="curriculum", show_lines=True), [], ""
    for phase in PHASES.values():
        if phase.report_asset in made:
            report = Report.read(made[phase.report_asset] / REPORT)
            table.add_row(*_row(phase, report, made.get(phase.checkpoint_asset)))
            said = f"phase {phase.number}: {conclusion(report)}"
            if report.evaluation:
                notes.append(escape(evaluation_line(report.evaluation)))
            if report.translation:
                for source in report.translation.by_source:
                    if source.kind == "document":
                        table.add_row(*_source_row(source))
                pairs = report.translation.training_pairs
                share = f"{pairs.exact_match:.1%} of its training pairs (a sample of {pairs.samples})"
                notes.append(f"phase {phase.number} reproduces {share}")
            if report.evaluation_note:
                notes.append(escape(report.evaluation_note))
    if table.row_count:
        console.print(said, markup=False)
        console.print(table)
    for line in (*notes, *_failures(events)):
        console.print(line)
    console.print(f"{seconds / 60:.1f} minutes in all; `make ui` shows the graph, the reports and the curves")


def _failures(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """Return one line for each failed gate, each failed step, and each step that did not run; in markup of rich."""
    lines: dict[object, str] = {}
    for event in events:
        if event.event_type == _Type.ASSET_CHECK_EVALUATION:
            # A milestone is evaluated in training and after it: the last evaluation counts.
            check = event.asset_check_evaluation_data
            lines.pop(check.asset_check_key, None)
            name = f"{check.asset_key.to_user_string()} {check.check_name}: {escape(check.description or '')}"
            if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                lines[check.asset_check_key] = f"[red]gate failed[/] {name}"
            elif not check.passed:
                # The corpora warn of the same: the first one is enough.
                key = check.check_name if check.asset_key.to_user_string() in GATES_OF_CORPUS else check.asset_check_key
                lines.setdefault(key, f"[yellow]warning[/] {name}")
        elif event.is_step_failure and (reason := failure_reason(event)):
            lines[event.step_key] = f"[red]failed[/] {event.step_key}: {escape(reason)}"
        elif event.event_type == _Type.RUN_FAILURE and "interrupted" in (event.message or ""):
            lines.setdefault("run", "interrupted: the same command continues")
        elif event.event_type == _Type.STEP_SKIPPED:
            lines[event.step_key] = f"[yellow]not run[/] {event.step_key}: an asset that it needs did not pass"
    return list(lines.values())


def _row(phase: Phase, report: Report, checkpoint: Path | None) -> list[str]:
    """Return the row of a phase whose report was made."""
    gates, figures = report.gates, report.translation
    count = {outcome: sum(gate.outcome == outcome for gate in gates) for outcome in ("pass", "warn", "fail")}
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in count.items() if n)
    outcomes += "".join(f"\n{gate.outcome}: {gate.name}" for gate in gates if gate.outcome != "pass")
    beat = Heartbeat.read(checkpoint.parents[1]) if checkpoint else None
    return [
        str(phase.number),
        f"{report.epoch} of {report.epochs}" + (" (stopped)" if report.stopped else ""),
        f"{report.figures.held_out_loss:.3f}",
        outcomes,
        _rates(figures.to_hlx, figures.all_to_hlx) if figures else "",
        _rates(figures.to_english, figures.all_to_english) if figures else "",
        f"{(beat.time - beat.started) / 60:.1f} min" if beat else "",
    ]


def _source_row(source: SourceRates) -> list[str]:
    """Return the row of a user's document: how much of its test rows is right, and of those that were trained."""
    into_hlx = f"test {_of(source.to_hlx)}\ntrained {_of(source.trained_to_hlx)}"
    return [escape(source.name), "", "", "", into_hlx, f"test {_of(source.to_english)}", ""]


def _of(rates: Rates | None) -> str:
    return f"{rates.exact_match:.1%} of {rates.samples}" if rates and rates.samples else "–"


def _rates(by_format: Mapping[Format, Rates], total: Rates) -> str:
    lines = [f"{name} {rates.exact_match:.1%}" for name, rates in by_format.items()]
    return "\n".join([*lines, f"all {total.exact_match:.1%} of {total.samples}"])
