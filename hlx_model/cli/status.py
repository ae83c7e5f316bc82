"""`hlx status`: show what every training is doing, which reports are stale, and whether the watchdog runs."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from hlx_model.cli.options import AsJson, Directory, training_folder
from hlx_model.cli.show import echo, echo_json, format_loss, print_table, stdout_console
from hlx_model.monitoring.losses import Problem
from hlx_model.monitoring.rules import check
from hlx_model.monitoring.snapshots import WatchedTraining, limits, scan
from hlx_model.provenance.evaluations import stale_reports
from hlx_model.runs.liveness import INTERVAL, asleep, last_tick
from hlx_model.runs.stopwatch import Counts, Stopwatch

WIDE = 100
"""Columns of a terminal that the complete table needs."""


class Checked(NamedTuple):
    """What a check of a folder of trainings found."""

    trainings: Sequence[tuple[WatchedTraining, Problem | None]]
    """The newest first, each with what is wrong with it."""
    unreadable: Sequence[str]
    """A line on each file that cannot be read."""
    counts: Counts
    """For the next check."""


def status_command(checkpoint_dir: Directory = None, as_json: AsJson = False) -> None:
    """Show what every training is doing, the newest first.

    Also which reports are stale, and when the watchdog last checked.
    """
    root, now = training_folder(checkpoint_dir), time.time()
    found = check_all(root, now)
    if as_json:
        echo_json(_content(root, found))
        return
    if found.trainings:
        print_table(rows(found, now))
    for report in stale_reports(root):
        echo(f"{report.checkpoint}: the report is stale: {report.reason}")
    for line in notes(root, found, now):
        echo(line)


def check_all(root: Path, now: float, before: Counts | None = None, interval: float = INTERVAL) -> Checked:
    """Return the trainings in a folder with what is wrong.

    Args:
        root: the folder.
        now: Unix seconds: a first check has only the wall clock to tell how old a heartbeat is.
        before: the counts of the check before this one.
        interval: seconds between two checks.
    """
    limit, found, stopwatch = limits(), scan(root), Stopwatch(before, interval)
    trainings = []
    for training in found.watched:
        beat = training.snapshot.beat
        begin = abs(now - beat.time) if before is None else 0.0
        silent = stopwatch.unchanged(beat.training_id, beat.state, begin)
        trainings.append((training, check(training.snapshot, silent, limit)))
    return Checked(trainings, found.unreadable, stopwatch.counts)


def _content(root: Path, found: Checked) -> dict[str, object]:
    tick = last_tick(root)
    return {
        "watchdog": {"last_tick": tick.time if tick else None, "awake": asleep(root) is None},
        "trainings": [
            {
                **asdict(training.snapshot.beat),
                "directory": training.directory,
                "trouble": problem.reason if problem else None,
                "lost": problem is not None and problem.lost,
            }
            for training, problem in found.trainings
        ],
        "unreadable": list(found.unreadable),
        "stale_reports": [report._asdict() for report in stale_reports(root)],
    }


def rows(found: Checked, now: float) -> list[dict[str, object]]:
    """Return the cells of a table of trainings by their headings; without speed if the terminal is not `WIDE`."""
    wide = stdout_console().width >= WIDE
    cells: list[dict[str, object]] = []
    for training, problem in found.trainings:
        beat = training.snapshot.beat
        share = f" ({beat.step / beat.steps:.1%})".replace("100.0%", "100%") if beat.steps else ""
        speed = "" if beat.tokens_per_second is None else f"{beat.tokens_per_second:.0f}"
        cells.append({
            "training": beat.training_id if wide else beat.training_id[:8],
            "phase": f"{beat.phase} {beat.size}",
            "status": _title(problem) if problem else beat.status,
            "epochs": f"{beat.epoch}/{beat.epochs}{share}",
            "loss": format_loss(beat.train_loss),
            "validation": format_loss(beat.held_out_loss),
            **({"tokens/s": speed} if wide else {}),
            "ETA": span(beat.eta_seconds) if beat.running and beat.eta_seconds is not None else "",
            "updated": f"{span(now - beat.time)} ago",
        })  # fmt: skip
    return cells


def notes(root: Path, found: Checked, now: float) -> list[str]:
    """Return one line for each training that has a problem or ended badly, each unreadable file, and the watchdog."""
    lines = [*found.unreadable] if found.trainings or found.unreadable else [f"{root} contains no training"]
    for training, problem in found.trainings:
        beat = training.snapshot.beat
        if problem:
            lines.append(f"{beat.training_id}: {_title(problem)}: {problem.reason}")
        elif beat.reason and not beat.running:
            lines.append(f"{beat.training_id}: {beat.status}: {beat.reason}")
    tick, reason = last_tick(root), asleep(root)
    if tick and not reason:
        lines.append(f"the watchdog checked {span(now - tick.time)} ago")
    elif found.trainings:
        lines.append(f"not watched: {reason}")
    return lines


def _title(problem: Problem) -> str:
    return "in trouble" if problem.lost else "warning"


def span(seconds: float) -> str:
    """Return a duration as text: `15s`, `7 min`, `12.3h`."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f}s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f}h"
