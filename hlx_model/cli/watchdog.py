"""`hlx watchdog`: watch trainings in a terminal; `hlx watchdog replay`: check a recorded curve."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text
from typer import Argument, Context, Exit, Option, Typer

from hlx_model.cli.options import AsJson, Directory, training_folder
from hlx_model.cli.show import echo, echo_json, rows_table, stdout_console
from hlx_model.cli.status import check_all, notes, rows
from hlx_model.monitoring.losses import Alarm, simulate
from hlx_model.runs.heartbeat import ENDED_BADLY
from hlx_model.runs.liveness import INTERVAL
from hlx_model.runs.metrics import read_curve
from hlx_model.runs.stopwatch import Counts

watchdog_app = Typer(invoke_without_command=True)


@watchdog_app.callback()
def watchdog_command(
    context: Context,
    checkpoint_dir: Directory = None,
    check_interval: Annotated[float, Option(help="Seconds between two checks.", min=0.1)] = INTERVAL,
    once: Annotated[bool, Option(help="Check once.")] = False,
) -> None:
    """Show every training, again and again. Exit code 1: one is in trouble, or ended badly while it was watched.

    This command stops no training. The sensor training_watchdog stops those that Dagster started.

    A warning, such as a validation loss that rises, is shown and is no trouble.
    """
    if context.invoked_subcommand is not None:
        return
    root = training_folder(checkpoint_dir)
    running: set[str] = set()
    counts: Counts | None = None
    with _screen() as show:
        while True:
            now = time.time()
            found = check_all(root, now, counts, check_interval)
            clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
            table = [rows_table(rows(found, now))] if found.trainings else []
            show(Group(f"training watchdog, {clock}", *table, *map(Text, notes(root, found, now))))
            beats = [training.snapshot.beat for training, _ in found.trainings]
            ended_badly = any(beat.status in ENDED_BADLY and beat.training_id in running for beat in beats)
            if ended_badly or any(problem and problem.lost for _, problem in found.trainings):
                raise Exit(1)
            if once:
                return
            counts, running = found.counts, {beat.training_id for beat in beats if beat.running}
            time.sleep(check_interval)


@contextmanager
def _screen() -> Iterator[Callable[[RenderableType], None]]:
    """Yield a function that shows a check in place of the last one, or below it if this is not a terminal."""
    console = stdout_console()
    if not console.is_terminal:
        yield console.print
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda shown: live.update(shown, refresh=True)


@watchdog_app.command("replay")
def replay_command(
    metrics: Annotated[Path, Argument(help="A metrics.parquet, or a training's directory.")],
    as_json: AsJson = False,
) -> None:
    """Report at which step of a curve the watchdog raises an alarm. Exit code 1: it does.

    It also reports at which step it would have warned before that; a warning alone is exit code 0.

    A recorded curve contains losses only: a stall, a process that is gone, memory and disk are not checked.
    """
    curve = read_curve(metrics)
    alarm = simulate(curve)
    warning = simulate((row for row in curve if alarm is None or row["step"] < alarm.step), lost=False)
    if as_json:
        echo_json({"records": len(curve), "spoken": _content(alarm), "warned": _content(warning)}, indent=None)
    else:
        if warning is not None:
            echo(f"{metrics}: at step {warning.step}: warning: {warning.problem.reason}")
        alarmed = f"at step {alarm.step}: {alarm.problem.reason}" if alarm else f"{len(curve)} records, no alarm"
        echo(f"{metrics}: {alarmed}")
    raise Exit(1 if alarm else 0)


def _content(alarm: Alarm | None) -> dict[str, object] | None:
    return {"step": alarm.step, "epoch": alarm.epoch, "trouble": alarm.problem.reason} if alarm else None
