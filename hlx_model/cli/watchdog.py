"""`hlx watchdog`: watch trainings in a terminal; `hlx watchdog replay`: check a recorded curve."""

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
from hlx_model.cli.status import notes, table
from hlx_model.monitoring.losses import simulate
from hlx_model.monitoring.rules import Limits, check
from hlx_model.monitoring.snapshots import WatchedTraining, limits, trainings
from hlx_model.runs.heartbeat import ENDED_BADLY
from hlx_model.runs.liveness import INTERVAL
from hlx_model.runs.metrics import read_curve

watchdog_app = typer.Typer(invoke_without_command=True)


@watchdog_app.callback()
def watchdog_command(
    context: typer.Context,
    checkpoint_dir: Directory = None,
    check_interval: Annotated[float, typer.Option(help="Seconds between two checks.", min=0.1)] = INTERVAL,
    once: Annotated[bool, typer.Option(help="Check once.")] = False,
) -> None:
    """Show every training, again and again. Exit code 1: one is in trouble, or ended badly while it was watched.

    This command stops no training. The sensor training_watchdog stops those that Dagster started.
    """
    if context.invoked_subcommand is not None:
        return
    root, limit = training_folder(checkpoint_dir), limits()
    running: set[str] = set()
    with _screen() as (show, width):
        while True:
            now, found = time.time(), list(trainings(root))
            lines = [*([] if found else [f"{root} contains no training"]), *notes(root, found, now, limit)]
            clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            shown = [table(found, now, limit, width=width)] if found else []
            show(Group(f"training watchdog, {clock}", *shown, *map(Text, lines)))
            if _in_trouble(found, running, now, limit):
                raise typer.Exit(1)
            if once:
                return
            running = {training.snapshot.beat.training_id for training in found if training.snapshot.beat.running}
            time.sleep(check_interval)


@contextmanager
def _screen() -> Iterator[tuple[Callable[[RenderableType], None], int]]:
    """Yield a function that shows a check in place of the last one (below it if not on a terminal), and the width."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield console.print, console.width
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda shown: live.update(shown, refresh=True), console.width


def _in_trouble(found: Iterable[WatchedTraining], running: set[str], now: float, limit: Limits) -> bool:
    """Whether a training has a problem, or one that was running at the last check has ended badly."""
    return any(
        check(training.snapshot, now, limit) is not None
        or (training.snapshot.beat.status in ENDED_BADLY and training.snapshot.beat.training_id in running)
        for training in found
    )


@watchdog_app.command("replay")
def replay_command(
    metrics: Annotated[Path, typer.Argument(help="A metrics.parquet, or a training's directory.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Report at which step of a recorded curve the watchdog would raise an alarm. Exit code 1: it would.

    A curve contains losses only: a stall, a process that is gone, memory and disk are not checked.
    """
    rows = read_curve(metrics)
    alarm = simulate(rows)
    if as_json:
        content = {"step": alarm.step, "epoch": alarm.epoch, "trouble": alarm.problem.reason} if alarm else None
        typer.echo(json.dumps({"records": len(rows), "spoken": content}))
    elif alarm is None:
        typer.echo(f"{metrics}: {len(rows)} records, no alarm")
    else:
        typer.echo(f"{metrics}: at step {alarm.step}: {alarm.problem.reason}")
    raise typer.Exit(1 if alarm else 0)
