"""`hlx status`: show what every training is doing, and whether the watchdog runs."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from hlx_model.cli.options import AsJson, Directory, training_folder
from hlx_model.files import named_specials
from hlx_model.monitoring.rules import Limits, check
from hlx_model.monitoring.snapshots import WatchedTraining, limits, trainings
from hlx_model.runs.liveness import asleep, last_tick

WIDE = 100
"""Columns of a terminal that the complete table needs."""


def status_command(
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show each training's state, the newest first, and when the watchdog last checked."""
    root, now, limit = training_folder(checkpoint_dir), time.time(), limits()
    found = list(trainings(root))
    if as_json:
        typer.echo(json.dumps(named_specials(_content(root, found, now, limit)), indent=2))
        return
    if not found:
        typer.echo(f"{root} contains no training")
    else:
        console = Console(highlight=False)
        console.print(table(found, now, limit, width=console.width), markup=False)
    for line in notes(root, found, now, limit):
        typer.echo(line)


def _content(root: Path, found: Sequence[WatchedTraining], now: float, limit: Limits) -> dict[str, object]:
    tick = last_tick(root)
    problems = [check(training.snapshot, now, limit) for training in found]
    return {
        "watchdog": {"last_tick": tick.time if tick else None, "awake": asleep(root, now) is None},
        "trainings": [
            {
                **asdict(training.snapshot.beat),
                "directory": str(training.directory),
                "trouble": problem.reason if problem else None,
                "lost": problem is not None and problem.lost,
            }
            for training, problem in zip(found, problems, strict=True)
        ],
    }


def table(found: Sequence[WatchedTraining], now: float, limit: Limits, *, width: int) -> Table:
    """Return a table with one row per training: status, epochs, losses, speed, remaining time, age of the heartbeat.

    If `width` is below 100 columns, leave out the speed and shorten the trainings' ids.
    """
    headings = ("training", "phase", "status", "epochs", "loss", "held-out", "tokens/s", "ETA", "updated")
    columns = {heading: Column(heading, no_wrap=True) for heading in headings}
    if width < WIDE:
        del columns["tokens/s"]
    shown = Table(*columns.values(), box=SIMPLE, padding=0)
    for training in found:
        beat = training.snapshot.beat
        status = "in trouble" if check(training.snapshot, now, limit) else beat.status
        eta = "" if beat.eta_seconds is None or not beat.running else span(beat.eta_seconds)
        share = f" ({beat.step / beat.steps:.1%})".replace("100.0%", "100%") if beat.steps else ""
        row = (
            beat.training_id[: None if "tokens/s" in columns else 8], f"{beat.phase} {beat.size}", status,
            f"{beat.epoch}/{beat.epochs}{share}",
            _format(beat.train_loss, 3), _format(beat.held_out_loss, 3), _format(beat.tokens_per_second, 0), eta,
            f"{span(now - beat.time)} ago",
        )  # fmt: skip
        shown.add_row(*(text for heading, text in zip(headings, row, strict=True) if heading in columns))
    return shown


def notes(root: Path, found: Sequence[WatchedTraining], now: float, limit: Limits) -> list[str]:
    """Return one line for each training that has a problem or ended badly, and one on the watchdog."""
    lines = []
    for training in found:
        beat, problem = training.snapshot.beat, check(training.snapshot, now, limit)
        reason = problem.reason if problem else None if beat.running else beat.reason
        if reason:
            lines.append(f"{beat.training_id}: {'in trouble' if problem else beat.status}: {reason}")
    tick, reason = last_tick(root), asleep(root, now)
    if tick and not reason:
        lines.append(f"the watchdog checked {span(now - tick.time)} ago")
    elif found:
        lines.append(f"not watched: {reason}")
    return lines


def span(seconds: float) -> str:
    """Return a duration as text: `15s`, `7 min`, `12.3h`."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f}s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f}h"


def _format(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}" if abs(value) < 1e5 else f"{value:.2g}"
