"""One run of the whole graph in this process, and what a terminal shows of it: a table, and what failed."""

import os
import re
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import yaml
from rich.markup import escape
from rich.table import Table

from hlx_assets.common import failure_reason
from hlx_assets.corpus.assets import CorpusDocumentConfig, chosen_documents
from hlx_assets.curriculum.trainer import TERMINAL_TAG
from hlx_assets.definitions import defs
from hlx_assets.io_manager import latest_path
from hlx_assets.watchdog.runs import close_dead_runs, runs_elsewhere
from hlx_model.cli.show import DataConsole
from hlx_model.corpus.documents import read_corpus
from hlx_model.corpus.split import held_out_values
from hlx_model.corpus.store import quarantined
from hlx_model.evaluation.fitness import MIN_HELD_OUT_VALUES
from hlx_model.files import open_input
from hlx_model.language import Format
from hlx_model.layout import DOCUMENT, EXAMPLES, REPORT, ROWS
from hlx_model.phases import PHASES, Phase
from hlx_model.reporting.models import Rates, Report, SourceRates
from hlx_model.reporting.views import evaluation_line
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.shown import one_line

MAX_QUARANTINED_ROWS = 10
SMALL_BYTES = 4 << 20
"""Larger documents are not read before the start: 36 held-out values need some 200 KB."""
console = DataConsole(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 130)


def run_curriculum(instance: dg.DagsterInstance, config_file: Path | None) -> int:
    """Materialize everything; return 0 if every phase passed, 1 if a gate or an error stopped the run.

    Runs whose process has ended are closed first: otherwise this one would wait for the slot of a killed run for ever.
    """
    config = run_configuration(config_file)
    started = time.monotonic()
    # Dagster's own modules call what Dagster calls preview or deprecated: a user cannot change that.
    warnings.filterwarnings("ignore", module=r"dagster\.")
    for run_id in close_dead_runs(instance):
        console.print(f"closed run {run_id[:8]}, whose process is gone; its training resumes")
    for line in runs_elsewhere(instance):
        console.print(line, markup=False)
    if hint := small_document(config):
        console.print(hint, markup=False)
    tags = {TERMINAL_TAG: str(os.getpid())}
    with dg.execute_job(dg.reconstructable(curriculum_job), instance, run_config=config, tags=tags) as result:
        events, success = result.all_events, result.success
    print_summary(instance, events, time.monotonic() - started)
    return 0 if success else 1


def run_configuration(path: Path | None) -> Mapping[str, Any]:
    """Return the run configuration in a YAML file; end the program with one line if Dagster would refuse it."""
    try:
        config = (_read_yaml(path) if path else None) or {}
        if not isinstance(config, dict):
            raise ValueError("it must be a mapping, such as ops: {phase1_checkpoint: {config: {epochs: 40}}}")
        # Short lines instead of Dagster's own.
        merged = {**config, "loggers": config.get("loggers") or {"console": {}}}
        dg.validate_run_config(curriculum_job(), merged)
    except dg.DagsterInvalidConfigError as error:
        # What else is allowed there, which Dagster lists, is hundreds of words.
        sys.exit(f"error: --config {path}: {one_line(error.errors[0].message.split(' Expected: ')[0])}")
    except OSError as error:
        sys.exit(f"error: --config {path}: it cannot be read ({error.strerror})")
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        sys.exit(f"error: --config {path}: {one_line(error)}")
    return merged


def _read_yaml(path: Path) -> Any:
    with open_input(path) as file:
        return yaml.load(file.read().decode("utf-8-sig"), _Loader)


class _Loader(yaml.SafeLoader):
    """Reads `1e-4` as a number, as YAML 1.2 does; in YAML 1.1 it is text."""


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))


def small_document(config: Mapping[str, Any]) -> str | None:
    """Return one line if the corpus is documents alone, and so small that it can only be learned by heart; else None.

    Args:
        config: the run configuration.
    """
    given = config.get("ops", {}).get(DOCUMENT, {}).get("config") or {}
    try:
        paths, composed = chosen_documents(CorpusDocumentConfig(**given))
        if not paths or composed or sum(path.stat().st_size for path in paths) > SMALL_BYTES:
            return None
        values = held_out_values(read_corpus(paths).entries)
    except (OSError, ValueError):
        return None  # The step that reads the documents says what is wrong.
    if values >= MIN_HELD_OUT_VALUES:
        return None
    return (
        f"{', '.join(path.name for path in paths)}: so small a document can only be learned by heart (held-out values: "
        f"{values}, required ≥ {MIN_HELD_OUT_VALUES} to show more); ENTRIES=20000 composes a corpus beside it"
    )


def curriculum_job() -> dg.JobDefinition:
    """Return the job; Dagster finds it again by this function's name."""
    return defs.resolve_job_def("curriculum")


def print_summary(instance: dg.DagsterInstance, events: Sequence[dg.DagsterEvent], seconds: float) -> None:
    """Print the quarantined entries, a table of the phases, and what failed in a run that took so many seconds."""
    materialized = {event.asset_key for event in events if event.is_step_materialization}
    if dg.AssetKey(EXAMPLES) in materialized:
        _print_quarantine(instance)
    columns = ("phase", "epochs", "held-out loss", "gates", "English→HLX", "HLX→English", "trained in")
    table, notes = Table(*columns, title="curriculum", show_lines=True), []
    for phase in PHASES.values():
        if (key := dg.AssetKey(phase.report_asset)) in materialized:
            report = Report.read(latest_path(instance, key) / REPORT)
            table.add_row(*_row(instance, phase, report))
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
        console.print(table)
    for line in (*notes, *_failures(events)):
        console.print(line)
    console.print(f"{seconds / 60:.1f} minutes in all; `make ui` shows the graph, the reports and the curves")


def _failures(events: Sequence[dg.DagsterEvent]) -> list[str]:
    """Return one line for each failed gate, each failed step, and each step that did not run; in markup of rich."""
    lines: dict[object, str] = {}
    for event in events:
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            # A milestone is evaluated in training and after it: the last evaluation counts.
            check = event.asset_check_evaluation_data
            lines.pop(check.asset_check_key, None)
            if not check.passed:
                failed = check.severity == dg.AssetCheckSeverity.ERROR
                label = "[red]gate failed[/]" if failed else "[yellow]warning[/]"
                name = f"{check.asset_key.to_user_string()} {check.check_name}"
                lines[check.asset_check_key] = f"{label} {name}: {escape(check.description or '')}"
        elif event.is_step_failure and (reason := failure_reason(event)):
            lines[event.step_key] = f"[red]failed[/] {event.step_key}: {escape(reason)}"
        elif event.event_type == dg.DagsterEventType.STEP_SKIPPED:
            lines[event.step_key] = f"[yellow]not run[/] {event.step_key}: an asset that it needs did not pass"
    return list(lines.values())


def _row(instance: dg.DagsterInstance, phase: Phase, report: Report) -> list[str]:
    """Return the row of a phase whose report this run made."""
    checkpoint = latest_path(instance, dg.AssetKey(phase.checkpoint_asset))
    gates, figures = report.gates, report.translation
    count = {outcome: sum(gate.outcome == outcome for gate in gates) for outcome in ("pass", "warn", "fail")}
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in count.items() if n)
    outcomes += "".join(f"\n{gate.outcome}: {gate.name}" for gate in gates if gate.outcome != "pass")
    beat = Heartbeat.read(checkpoint.parents[1])
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
    """Return the row of a user's document: how much of its held-out rows is right, and of those that were trained."""
    into_hlx = f"held-out {_of(source.to_hlx)}\ntrained {_of(source.trained_to_hlx)}"
    return [escape(source.name), "", "", "", into_hlx, f"held-out {_of(source.to_english)}", ""]


def _of(rates: Rates | None) -> str:
    return f"{rates.exact_match:.1%} of {rates.samples}" if rates and rates.samples else "–"


def _rates(by_format: Mapping[Format, Rates], total: Rates) -> str:
    lines = [f"{name} {rates.exact_match:.1%}" for name, rates in by_format.items()]
    return "\n".join([*lines, f"all {total.exact_match:.1%} of {total.samples}"])


def _print_quarantine(instance: dg.DagsterInstance) -> None:
    examples = latest_path(instance, dg.AssetKey(EXAMPLES))
    rows = quarantined(examples).to_pylist()
    kept = pq.read_metadata(examples / ROWS).num_rows
    console.print(f"{kept + len(rows)} entries read, {len(rows)} quarantined")
    for row in rows[:MAX_QUARANTINED_ROWS]:
        place = f"{row['document']} line {row['line']} ({row['english'] or 'no sentence'})"
        console.print(f"quarantined: {place}: {row['reason']}", markup=False)
    if len(rows) > MAX_QUARANTINED_ROWS:
        console.print(f"and {len(rows) - MAX_QUARANTINED_ROWS} more: `hlx corpus check` lists them")
