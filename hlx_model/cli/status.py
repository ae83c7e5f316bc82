"""`hlx status`: what every training at hand is doing."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from hlx_model.artifacts import default_training, named_specials
from hlx_model.training.heartbeat import Heartbeat
from hlx_model.training.watchdog import diagnose


def status_command(
    checkpoint_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the trainings.", show_default="$DAGSTER_HOME/artifacts/training"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show each training's state, from its heartbeat, the newest first."""
    training = checkpoint_dir or default_training()
    directories = training.iterdir() if training.is_dir() else ()
    beats = [beat for directory in directories if (beat := Heartbeat.read(directory)) is not None]
    beats.sort(key=lambda beat: beat.time, reverse=True)
    if as_json:
        found = [named_specials({**asdict(beat), "trouble": diagnose(beat)}) for beat in beats]
        typer.echo(json.dumps(found, indent=2))
        return
    if not beats:
        typer.echo(f"{training} holds no training")
        return
    table = Table(
        Column("training", no_wrap=True), "phase", Column("status", no_wrap=True), "epoch", "loss", "held-out",
        "tokens/s", "ETA", "last update",
        box=SIMPLE, padding=(0, 1, 0, 0),
    )  # fmt: skip
    said = []
    for beat in beats:
        trouble = diagnose(beat)
        status = "in trouble" if trouble else beat.status
        if reason := trouble or (None if beat.running else beat.reason):
            said.append(f"{beat.training_id}: {status}: {reason}")
        eta = "" if beat.eta_seconds is None or not beat.running else f"{beat.eta_seconds / 60:.0f} min"
        table.add_row(
            beat.training_id, f"{beat.phase} {beat.size}", status, f"{beat.epoch}/{beat.epochs}",
            _figure(beat.train_loss, 3), _figure(beat.held_out_loss, 3), _figure(beat.tokens_per_second, 0), eta,
            f"{time.time() - beat.time:.0f}s ago",
        )  # fmt: skip
    Console(highlight=False).print(table, markup=False)
    for line in said:
        typer.echo(line)


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
