"""`hlx watchdog`: watch the trainings at hand from a terminal; `hlx watchdog replay`: when would it have spoken?"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from hlx_model.cli.options import AsJson, Directory, training_folder
from hlx_model.cli.status import said, table
from hlx_model.monitoring.rules import Limits, check
from hlx_model.monitoring.simulate import read_curve, simulate
from hlx_model.monitoring.snapshots import WatchedTraining, limits, trainings
from hlx_model.runs.liveness import INTERVAL

BADLY = ("quality_failed", "aborted", "failed")

watchdog_app = typer.Typer(invoke_without_command=True)


@watchdog_app.callback()
def watchdog_command(
    context: typer.Context,
    checkpoint_dir: Directory = None,
    check_interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.1)] = INTERVAL,
    once: Annotated[bool, typer.Option(help="Look once.")] = False,
) -> None:
    """Show every training at hand, again and again. Exit code 1: one is in trouble, or ended badly while watched.

    It stops nothing: trainings that Dagster started are stopped by its sensor, training_watchdog.
    """
    if context.invoked_subcommand is not None:
        return
    root, limit = training_folder(checkpoint_dir), limits()
    at_work: set[str] = set()
    with _screen() as (show, width):
        while True:
            now, found = time.time(), list(trainings(root))
            lines = [*([] if found else [f"{root} holds no training"]), *said(root, found, now, limit)]
            clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            shown = [table(found, now, limit, width=width)] if found else []
            show(Group(f"training watchdog, {clock}", *shown, *map(Text, lines)))
            if _in_trouble(found, at_work, now, limit):
                raise typer.Exit(1)
            if once:
                return
            at_work = {training.snapshot.beat.training_id for training in found if training.snapshot.beat.running}
            time.sleep(check_interval)


@contextmanager
def _screen() -> Iterator[tuple[Callable[[RenderableType], None], int]]:
    """Shows one look in the place of the last, one after the other where there is no terminal; and its columns."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield console.print, console.width
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda look: live.update(look, refresh=True), console.width


def _in_trouble(found: Iterable[WatchedTraining], at_work: set[str], now: float, limit: Limits) -> bool:
    """Whether a training is in trouble, or one that was at work at the last look has ended badly."""
    return any(
        check(training.snapshot, now, limit) is not None
        or (training.snapshot.beat.status in BADLY and training.snapshot.beat.training_id in at_work)
        for training in found
    )


@watchdog_app.command("replay")
def replay_command(
    metrics: Annotated[Path, typer.Argument(help="A metrics.parquet, or a training's directory.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Say at which step of a recorded curve the watchdog would have spoken. Exit code 1: it would have.

    A curve has losses: what it does not record (a stall, a process that is gone, memory, disk) is not replayed.
    """
    rows = read_curve(metrics)
    spoken = simulate(rows)
    if as_json:
        content = {"step": spoken.step, "epoch": spoken.epoch, "trouble": spoken.trouble.reason} if spoken else None
        typer.echo(json.dumps({"records": len(rows), "spoken": content}))
    elif spoken is None:
        typer.echo(f"{metrics}: {len(rows)} records, no alarm")
    else:
        typer.echo(f"{metrics}: at step {spoken.step}: {spoken.trouble.reason}")
    raise typer.Exit(1 if spoken else 0)
