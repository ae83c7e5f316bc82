"""`hlx history`: all trainings, what they were made from and what came of them; `hlx history compare`: two of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

from typer import Argument, Context, Option, Typer

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.cli.options import AsJson, Directory, Named, option, training_folder
from hlx_model.cli.show import echo, echo_json, format_loss, minutes, print_table, stdout_console
from hlx_model.history import TrainingRow, history_with_copy
from hlx_model.outputs import STDOUT, require_output, write_output
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.comparison import Differences, Side, cautions, comparison_svg, differences, outcomes
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.reporting.numbers import NOTHING, format_interval, format_percent
from hlx_model.runs.heartbeat import RUNNING, Heartbeat
from hlx_model.shown import show_unseen

ROWS = 20
"""Trainings that the table shows by default."""
WIDE, NARROW = 150, 80
"""Columns of a terminal that the table needs with a line a training, and with two lines and every column."""
_PAIRS = (
    ("training", "started (UTC)"), ("phase", "status"), ("epochs", "loss"), ("validation", "verdict"),
    ("→HLX", "→English"), ("corpus", "differs"),
)  # fmt: skip
"""The headings that are one column if the terminal is not `WIDE`, one above the other."""
_SETTINGS = {
    "epochs": "epochs",
    **{
        name: name.removeprefix("setting_").replace("_", " ") for name in TrainingRow.model_fields if "setting_" in name
    },
    "setting_learning_rate": "lr",
}
"""What `differs` calls each setting."""

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
    """Show all trainings, the newest first.

    For each: how it ended, its losses, how well it translates, its verdict, its corpus, and the settings that are not
    the same in all trainings of its phase and size that are shown.

    `best`: it passes on its best checkpoint (`--pass-on best`), and validation loss and verdict are of that.

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
        _print(list(_cells(rows, training)))
        if len(rows) < len(trainings):
            total = len(trainings)
            echo(f"the newest {len(rows)} of {total} trainings: --limit {total} shows all")


def _print(cells: Sequence[Mapping[str, str]]) -> None:
    """Print a line for each training, or two lines if the terminal is not `WIDE`: then ids are their beginnings."""
    width = stdout_console().width
    if width >= WIDE:
        print_table(cells, folded=("corpus", "differs"))
        return
    pairs = [pair for pair in _PAIRS if width >= NARROW or pair[0] != "epochs"]
    rows = [{**row, "training": row["training"][:8], "differs": row["differs"].replace(", ", "\n")} for row in cells]
    stacked = [{"\n".join(pair): "\n".join(row[name] for name in pair) for pair in pairs} for row in rows]
    print_table(stacked, leading=1, folded=["\n".join(pair) for pair in (_PAIRS[0], _PAIRS[-1])])


def _cells(rows: Sequence[TrainingRow], training: Path) -> Iterator[dict[str, str]]:
    """Yield the cells of each row by their headings."""
    for row, (corpus, differs) in zip(rows, contrasts(rows), strict=True):
        best = row.status == "completed" and row.checkpoint_kind == "BEST"
        yield {
            "training": row.training_id,
            "started (UTC)": minutes(row.started),
            "phase": f"{row.phase} {row.size}",
            "status": "completed, best" if best else _status(row, training) or "",
            "epochs": f"{row.epoch}/{row.epochs}",
            "loss": format_loss(row.train_loss),
            "validation": format_loss(row.best_held_out_loss if best else row.held_out_loss),
            "→HLX": format_percent(row.exact_match_to_hlx),
            "→English": format_percent(row.exact_match_to_english),
            "verdict": f"{row.verdict} {row.grade or NOTHING}" if row.verdict else "",
            "parent": (row.parent_training_id or "")[:8],
            "corpus": corpus,
            "differs": differs,
        }


def contrasts(rows: Sequence[TrainingRow]) -> list[tuple[str, str]]:
    """Return the documents of each row's corpus, and its settings that other rows of its phase and size do not have.

    The version of the corpus follows if another row of the phase has other documents of the same names.
    """
    versions, values = defaultdict[object, set[str]](set), defaultdict[object, set[object]](set)
    for row in rows:
        versions[row.phase, *(row.documents or ())].add(_version(row))
        for name in _SETTINGS if row.checkpoint else ():
            values[row.phase, row.size, name].add(getattr(row, name))
    cells = []
    for row in rows:
        documents, settings = row.documents or [], {name: getattr(row, name) for name in _SETTINGS}
        version = _version(row)[:8] if len(versions[row.phase, *documents]) > 1 or not documents else ""
        differing = [name for name in _SETTINGS if len(values[row.phase, row.size, name]) > 1]
        known = [f"{_SETTINGS[name]} {_setting(settings[name])}" for name in differing if settings[name] is not None]
        cells.append((show_unseen(f"{', '.join(documents)} {version}".strip()), ", ".join(known)))
    return cells


def _version(row: TrainingRow) -> str:
    """Return the version of the corpus of its phase; nothing if that is not recorded."""
    version: str | None = getattr(row, f"{CORPUS_OF_PHASE.get(row.phase or 0)}_version", None)
    return version or ""


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _status(row: TrainingRow, training: Path) -> str | None:
    """Return the status, or that the process of a running training is gone."""
    beat = Heartbeat.read(training / row.training_id) if row.status in RUNNING else None
    return "process gone" if beat is not None and beat.running and not beat.alive else row.status


@history_app.command("compare")
def compare_command(
    context: Context,
    a: Named,
    b: Annotated[str, Argument(help="Another one.")],
    output: Annotated[Path | None, option("The figure; - is standard output.", "compare-<A>-<B>.svg")] = None,
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show what differs between two trainings, and what came of it.

    Their losses and rates are drawn in one figure.
    """
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
    "train_loss": "training loss, last", "held_out_loss": "validation loss, last",
    "best_held_out_loss": "validation loss, best", "judged_held_out_loss": "test loss, report",
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
