"""`hlx history`: all trainings, what they were made from and what came of them; `hlx history compare`: two of them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.cli.options import AsJson, Directory, training_folder
from hlx_model.files import named_specials
from hlx_model.history import kept_history, newest_first
from hlx_model.outputs import require_output, write_output
from hlx_model.provenance.comparison import (
    Differences,
    Side,
    cautions,
    differences,
    outcomes,
)
from hlx_model.provenance.comparison_plot import comparison_figure
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.reporting.numbers import NOTHING, format_interval, format_percent
from hlx_model.runs.heartbeat import RUNNING, Heartbeat

SHOWN = 20
"""Trainings that the table shows where nothing else is asked."""
WIDE = 118
"""Columns of a terminal that the whole table needs."""

history_app = typer.Typer(invoke_without_command=True)


@history_app.callback()
def history_command(
    context: typer.Context,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
    limit: Annotated[
        int | None, typer.Option(help="The newest so many.", min=1, show_default=f"{SHOWN}; with --json all")
    ] = None,
) -> None:
    """Show all trainings, the newest first: how they ended, their losses, what they translate, their verdict.

    `--json` has all figures: settings, corpora, parent, code, device. So has history.parquet beside the trainings.
    """
    if context.invoked_subcommand is not None:
        return
    training = training_folder(checkpoint_dir)
    table = kept_history(training)
    rows = newest_first(table, limit or (None if as_json else SHOWN))
    if as_json:
        content = {"total": table.num_rows, "trainings": rows}
        typer.echo(json.dumps(named_specials(content), indent=2, ensure_ascii=False))
        return
    if not rows:
        typer.echo(f"{training} holds no training")
        return
    console = Console(highlight=False)
    console.print(_table(rows, training, width=console.width), markup=False)
    if len(rows) < table.num_rows:
        typer.echo(f"the newest {len(rows)} of {table.num_rows} trainings: --limit {table.num_rows} shows all")


def _table(rows: Sequence[Mapping[str, Any]], training: Path, *, width: int) -> Table:
    """A row a training; on a terminal of fewer than `WIDE` columns the beginnings of names, and not all columns."""
    wide = width >= WIDE
    exact = ("→HLX", "→English")
    headings = ["training", "started (UTC)" if wide else "started", "phase", "status", "held-out", *exact, "verdict"]
    if wide:
        headings[4:5] = ["epochs", "loss", "held-out"]
        headings.append("parent")
    shown = Table(*(Column(heading, no_wrap=True) for heading in headings), box=SIMPLE, padding=0)
    for row in rows:
        cells = {
            "training": row["training_id"][: None if wide else 8],
            "started": (row["started"] or "")[:10],
            "started (UTC)": (row["started"] or "")[:16].replace("T", " "),
            "phase": f"{row['phase']} {row['size']}",
            "status": _status(row, training),
            "epochs": f"{row['epoch']}/{row['epochs']}",
            "loss": _loss(row["train_loss"]),
            "held-out": _loss(row["held_out_loss"]),
            "→HLX": _rate(row["exact_match_to_hlx"]),
            "→English": _rate(row["exact_match_to_english"]),
            "verdict": f"{row['verdict'] or ''} {row['grade'] or ''}".strip(),
            "parent": (row["parent_training_id"] or "")[:8],
        }
        shown.add_row(*(cells[heading] for heading in headings))
    return shown


def _status(row: Mapping[str, Any], training: Path) -> str:
    """The status; of a trainer that says it is at work, and is gone, that."""
    if row["status"] in RUNNING:
        beat = Heartbeat.read(training / row["training_id"])
        if beat is not None and beat.running and not beat.alive:
            return "process gone"
    return row["status"] or ""


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
    """Say what differs between two trainings and what came of it, and draw their losses and rates in one figure."""
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
    write_output(require_output(figure), [comparison_figure(first, second)])
    found, better = differences(first, second), outcomes(first, second)
    if as_json:
        content = {
            "a": first.name, "b": second.name, "differences": found, "cautions": cautions(first, second),
            "figures": {"a": first.figures, "b": second.figures}, "b_is": better, "figure": str(figure),
        }  # fmt: skip
        typer.echo(json.dumps(named_specials(content), indent=2, ensure_ascii=False))
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
    table = Table("differs", "A", "B", box=SIMPLE, padding=0)
    for group, names in found.items():
        for name, pair in names.items():
            said = name if group in ("settings", "corpora", "device", "parent") else f"{group}: {name}"
            table.add_row(said, *(_short(value) for value in pair))
    return table


def _short(value: object) -> str:
    """A value; of a hash its beginning."""
    if value is None:
        return NOTHING
    text = str(value)
    return text[:12] if len(text) >= 40 and text.isalnum() else text


def _figures(a: Mapping[str, Any], b: Mapping[str, Any], better: Mapping[str, str]) -> Table:
    table = Table("figure", "A", "B", *(["B is"] if better else []), box=SIMPLE, padding=0)
    for name, heading in _HEADINGS.items():
        cells = [_figure(side[name]) for side in (a, b)]
        if any(cell != NOTHING for cell in cells):
            table.add_row(heading, *cells, *([better.get(name, "")] if better else []))
    return table


_HEADINGS = {
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


def _figure(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{format_percent(value['rate'])} ({format_interval(value['interval'])}) of {value['samples']}"
    if isinstance(value, float):
        return f"{value:.1f}" if value >= 10 else f"{value:.4f}"
    return NOTHING if value is None else str(value)
