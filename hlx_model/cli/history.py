"""`hlx history`: all trainings, what they were made from and what came of them; `hlx history compare`: two of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.cli.options import AsJson, Directory, training_folder
from hlx_model.cli.show import echo_json, minutes, plain_table
from hlx_model.history import TrainingRow, history_with_copy
from hlx_model.outputs import require_output, write_output
from hlx_model.provenance.comparison import Differences, Side, cautions, comparison_svg, differences, outcomes
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.reporting.numbers import NOTHING, format_interval, format_percent
from hlx_model.runs.heartbeat import RUNNING, Heartbeat

ROWS = 20
"""Trainings that the table shows by default."""
WIDE = 118
"""Columns of a terminal that the whole table needs."""

history_app = typer.Typer(invoke_without_command=True)


@history_app.callback()
def history_command(
    context: typer.Context,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
    limit: Annotated[
        int | None, typer.Option(help="How many, the newest first.", min=1, show_default=f"{ROWS}; with --json all")
    ] = None,
) -> None:
    """Show all trainings, the newest first: how they ended, their losses, how well they translate, their verdict.

    `--json` shows all columns: settings, corpora, parent, code, device. So does history.parquet beside the trainings.
    """
    if context.invoked_subcommand is not None:
        return
    training = training_folder(checkpoint_dir)
    trainings = history_with_copy(training)[::-1]
    rows = trainings[: limit or (None if as_json else ROWS)]
    if as_json:
        echo_json({"total": len(trainings), "trainings": [row.to_json() for row in rows]})
    elif not rows:
        typer.echo(f"{training} contains no training")
    else:
        console = Console(highlight=False)
        console.print(_table(rows, training, width=console.width), markup=False)
        if len(rows) < len(trainings):
            total = len(trainings)
            typer.echo(f"the newest {len(rows)} of {total} trainings: --limit {total} shows all")


def _table(rows: Sequence[TrainingRow], training: Path, *, width: int) -> Table:
    """Return a table with a row a training; on less than `WIDE` columns it has fewer and shorter cells."""
    wide = width >= WIDE
    table = plain_table(*(Column(heading, no_wrap=True) for heading in (_HEADINGS if wide else _NARROW_HEADINGS)))
    for row in rows:
        training_id, parent, started = row.training_id, row.parent_training_id or "", minutes(row.started)
        table.add_row(
            *([training_id, started] if wide else [training_id[:8], started[:10]]),
            *(f"{row.phase} {row.size}", _status(row, training)),
            *([f"{row.epoch}/{row.epochs}", _loss(row.train_loss)] if wide else []),
            *(_loss(row.held_out_loss), _rate(row.exact_match_to_hlx), _rate(row.exact_match_to_english)),
            f"{row.verdict or ''} {row.grade or ''}".strip(),
            *([parent[:8]] if wide else []),
        )
    return table


_HEADINGS = (
    "training", "started (UTC)", "phase", "status", "epochs", "loss", "held-out", "→HLX", "→English", "verdict",
    "parent",
)  # fmt: skip
_NARROW_HEADINGS = ("training", "started", "phase", "status", "held-out", "→HLX", "→English", "verdict")


def _status(row: TrainingRow, training: Path) -> str:
    """Return the status, or that the process of a running training is gone."""
    if row.status in RUNNING:
        beat = Heartbeat.read(training / row.training_id)
        if beat is not None and beat.running and not beat.alive:
            return "process gone"
    return row.status or ""


def _loss(loss: float | None) -> str:
    return "" if loss is None else f"{loss:.3f}" if abs(loss) < 1e3 else f"{loss:.1e}"


def _rate(rate: float | None) -> str:
    return "" if rate is None else format_percent(rate)


@history_app.command("compare")
def compare_command(
    context: typer.Context,
    a: Annotated[str, typer.Argument(help="A checkpoint's path, <training id>/<checkpoint>, training id, or asset.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    output: Annotated[
        Path | None, typer.Option(help="The figure.", show_default="compare-<A>-<B>.svg in the current folder")
    ] = None,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two trainings and what came of it, and draw their losses and rates in one figure."""
    outer: Path | None = context.parent.params.get("checkpoint_dir") if context.parent else None
    training = training_folder(checkpoint_dir or outer)
    if output is not None and output.suffix.lower() != ".svg":
        raise ValueError(f"{output}: the figure is written as SVG: name a file that ends in .svg")
    paths = [checkpoint_of(name, training).absolute() for name in (a, b)]
    if paths[0] == paths[1]:
        raise CheckpointError(f"{a} and {b} are the same checkpoint, {paths[0].name}: name two")
    first, second = (Side.of(path) for path in paths)
    ids = "-".join(side.manifest.training_id[:8] for side in (first, second))
    figure = output or Path(f"compare-{ids}.svg")
    write_output(require_output(figure), [comparison_svg(first, second)])
    found, better = differences(first, second), outcomes(first, second)
    if as_json:
        figures = {"a": first.figures, "b": second.figures}
        echo_json({
            "a": first.name, "b": second.name, "differences": found, "cautions": cautions(first, second),
            "figures": figures, "b_is": better, "figure": str(figure),
        })  # fmt: skip
        return
    typer.echo(f"A  {first.name}\nB  {second.name}")
    console = Console(highlight=False)
    if found:
        console.print(_differences(found), markup=False)
    else:
        typer.echo("nothing that they were made from differs")
    console.print(_figures(first.figures, second.figures, better), markup=False)
    for caution in cautions(first, second):
        typer.echo(caution)
    typer.echo(f"the figure is in {figure}")


def _differences(found: Differences) -> Table:
    table = plain_table("differs", "A", "B")
    for group, names in found.items():
        for name, pair in names.items():
            heading = f"{group}: {name}" if group in ("code", "packages") else name
            table.add_row(heading, *map(_short, pair))
    return table


def _short(value: object) -> str:
    """Return a value as text; of a hash the first characters."""
    if value is None:
        return NOTHING
    text = str(value)
    return text[:12] if len(text) >= 40 and text.isalnum() else text


_FIGURES = {
    "train_loss": "training loss, last",
    "held_out_loss": "held-out loss, last",
    "best_held_out_loss": "held-out loss, best",
    "judged_held_out_loss": "held-out loss, report",
    "exact_match_to_hlx": "exact match →HLX",
    "exact_match_to_english": "exact match →English",
    "verdict": "verdict",
    "grade": "grade",
    "points": "points of 100",
}


def _figures(a: Mapping[str, object], b: Mapping[str, object], better: Mapping[str, str]) -> Table:
    table = plain_table("figure", "A", "B", *(["B is"] if better else []))
    for name, heading in _FIGURES.items():
        cells = [_figure(side[name]) for side in (a, b)]
        if any(cell != NOTHING for cell in cells):
            table.add_row(heading, *cells, *([better.get(name, "")] if better else []))
    return table


def _figure(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{format_percent(value['rate'])} ({format_interval(value['interval'])}) of {value['samples']}"
    if isinstance(value, float):
        return f"{value:.1f}" if value >= 10 else f"{value:.4f}"
    return NOTHING if value is None else str(value)
