"""`hlx history`: all trainings, what they were made from and what came of them; `hlx history compare`: two of them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Option, Typer

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.cli.options import AsJson, Directory, option, training_folder
from hlx_model.cli.show import echo, echo_json, format_loss, minutes, print_table, stdout_console
from hlx_model.history import TrainingRow, history_with_copy
from hlx_model.outputs import STDOUT, require_output, write_output
from hlx_model.provenance.comparison import Differences, Side, cautions, comparison_svg, differences, outcomes
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.reporting.numbers import NOTHING, format_interval, format_percent
from hlx_model.runs.heartbeat import RUNNING, Heartbeat

ROWS = 20
"""Trainings that the table shows by default."""
WIDE = 118
"""Columns of a terminal that the whole table needs."""

history_app = Typer(invoke_without_command=True)


@history_app.callback()
def history_command(
    context: Context,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
    limit: Annotated[
        int | None, Option(help="How many, the newest first.", min=1, show_default=f"{ROWS}; with --json all")
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
        echo(f"{training} contains no training")
    else:
        wide = stdout_console().width >= WIDE
        print_table([_cells(row, training, wide=wide) for row in rows])
        if len(rows) < len(trainings):
            total = len(trainings)
            echo(f"the newest {len(rows)} of {total} trainings: --limit {total} shows all")


def _cells(row: TrainingRow, training: Path, *, wide: bool) -> dict[str, object]:
    """Return the cells of a row by their headings; fewer and shorter ones if the terminal is not `WIDE`."""
    name, started = row.training_id, minutes(row.started)
    return {
        **({"training": name, "started (UTC)": started} if wide else {"training": name[:8], "started": started[:10]}),
        "phase": f"{row.phase} {row.size}",
        "status": _status(row, training),
        **({"epochs": f"{row.epoch}/{row.epochs}", "loss": format_loss(row.train_loss)} if wide else {}),
        "held-out": format_loss(row.held_out_loss),
        "→HLX": format_percent(row.exact_match_to_hlx),
        "→English": format_percent(row.exact_match_to_english),
        "verdict": f"{row.verdict or ''} {row.grade or ''}".strip(),
        **({"parent": (row.parent_training_id or "")[:8]} if wide else {}),
    }


def _status(row: TrainingRow, training: Path) -> str | None:
    """Return the status, or that the process of a running training is gone."""
    beat = Heartbeat.read(training / row.training_id) if row.status in RUNNING else None
    return "process gone" if beat is not None and beat.running and not beat.alive else row.status


@history_app.command("compare")
def compare_command(
    context: Context,
    a: Annotated[str, Argument(help="A checkpoint's path, <training id>/<checkpoint>, training id, or asset.")],
    b: Annotated[str, Argument(help="Another one.")],
    output: Annotated[Path | None, option("The figure; - is standard output.", "compare-<A>-<B>.svg")] = None,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two trainings and what came of it, and draw their losses and rates in one figure."""
    outer: Path | None = context.parent.params.get("checkpoint_dir") if context.parent else None
    training = training_folder(checkpoint_dir or outer, required=False)
    if output not in (None, STDOUT) and output.suffix.lower() != ".svg":
        raise ValueError(f"{output}: the figure is written as SVG: name a file that ends in .svg")
    paths = [checkpoint_of(name, training).absolute() for name in (a, b)]
    if paths[0] == paths[1]:
        raise CheckpointError(f"{a} and {b} are the same checkpoint, {paths[0].name}: name two")
    first, second = (Side.of(path) for path in paths)
    figure = output or Path(f"compare-{first.name[:8]}-{second.name[:8]}.svg")
    write_output(require_output(figure), [comparison_svg(first, second)])
    if figure == STDOUT:
        return
    found, better = differences(first, second), outcomes(first, second)
    if as_json:
        figures = {"a": first.figures, "b": second.figures}
        echo_json({
            "a": first.name, "b": second.name, "differences": found, "cautions": cautions(first, second),
            "figures": figures, "b_is": better, "figure": figure,
        })  # fmt: skip
        return
    echo(f"A  {first.name}\nB  {second.name}")
    if found:
        print_table(list(_differences(found)))
    else:
        echo("nothing that they were made from differs")
    print_table(list(_figures(first.figures, second.figures, better)))
    for line in (*cautions(first, second), f"the figure is in {figure}"):
        echo(line)


def _differences(found: Differences) -> Iterator[dict[str, object]]:
    for group, names in found.items():
        for name, (a, b) in names.items():
            heading = f"{group}: {name}" if group in ("code", "packages") else name
            yield {"differs": heading, "A": _short(a), "B": _short(b)}


def _short(value: object) -> str:
    """Return a value as text; of a hash the first characters."""
    text = NOTHING if value is None else str(value)
    return text[:12] if len(text) >= 40 and text.isalnum() else text


_FIGURES = {
    "train_loss": "training loss, last", "held_out_loss": "held-out loss, last",
    "best_held_out_loss": "held-out loss, best", "judged_held_out_loss": "held-out loss, report",
    "exact_match_to_hlx": "exact match →HLX", "exact_match_to_english": "exact match →English",
    "verdict": "verdict", "grade": "grade", "points": "points of 100",
}  # fmt: skip
"""Each figure with its heading."""


def _figures(
    a: Mapping[str, object], b: Mapping[str, object], better: Mapping[str, str]
) -> Iterator[dict[str, object]]:
    for name, heading in _FIGURES.items():
        cells = [_figure(side[name]) for side in (a, b)]
        if cells != [NOTHING, NOTHING]:
            outcome = {"B is": better.get(name)} if better else {}
            yield {"figure": heading, "A": cells[0], "B": cells[1], **outcome}


def _figure(value: object) -> str:
    if isinstance(value, Mapping):
        return f"{format_percent(value['rate'])} ({format_interval(value['interval'])}) of {value['samples']}"
    if isinstance(value, float):
        return f"{value:.1f}" if value >= 10 else f"{value:.4f}"
    return NOTHING if value is None else str(value)
