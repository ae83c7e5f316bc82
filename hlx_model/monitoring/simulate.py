"""Replay a recorded curve: at which row would the watchdog have raised an alarm?"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.layout import METRICS
from hlx_model.monitoring.losses import Losses, LossLimits, Problem, check_losses
from hlx_model.runs.metrics import METRICS_SCHEMA

_ALWAYS = ("step", "epoch", "train_loss")


class Alarm(NamedTuple):
    """The place in a curve at which the watchdog raises an alarm."""

    step: int
    epoch: int
    problem: Problem


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a `metrics.parquet`, or of a training's directory, in order of their steps.

    Raises:
        ValueError: the file is missing, or is not a curve; names the file and the column.
    """
    file = path / METRICS if path.is_dir() else path
    try:
        table = pq.read_table(file)
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file: name a metrics.parquet, or a training's directory") from None
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file}: not a Parquet file ({str(error).splitlines()[0]})") from None
    if missing := [name for name in METRICS_SCHEMA.names if name not in table.schema.names]:
        raise ValueError(f"{file}: {', '.join(missing)} missing; a curve has {', '.join(METRICS_SCHEMA.names)}")
    try:
        table = table.select(METRICS_SCHEMA.names).cast(METRICS_SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{file}: a value is not a number ({str(error).splitlines()[0]})") from None
    if not len(table):
        raise ValueError(f"{file}: not a curve: it has no rows")
    if gaps := [name for name in _ALWAYS if table[name].null_count]:
        raise ValueError(f"{file}: not a curve: {', '.join(gaps)} must have a value in every row")
    return list(table.sort_by("step").to_pylist())


def simulate(rows: Iterable[Mapping[str, Any]], limits: LossLimits | None = None) -> Alarm | None:
    """Return the alarm at the first row that breaks a loss rule, as if checked after every row; None if none does."""
    initial: float | None = None
    epochs: list[float] = []
    for row in rows:
        train, held_out, epoch = float(row["train_loss"]), row["held_out_loss"], row["epoch"]
        initial = train if initial is None else initial
        ended = held_out is not None
        if ended:
            epochs.append(train)
        losses = Losses(
            f"epoch {epoch}", train, held_out, initial=initial, mean=train, epoch=epoch, epochs=epochs if ended else ()
        )
        if problem := check_losses(losses, limits):
            return Alarm(row["step"], epoch, problem)
    return None
