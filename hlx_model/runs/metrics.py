"""The recorded metrics of a training, in `metrics.parquet`: the whole curve in one file."""

import io
from pathlib import Path
from typing import Any, TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.files import write_bytes
from hlx_model.layout import METRICS

METRICS_SCHEMA = pa.schema({
    "step": pa.int64(), "epoch": pa.int32(), "train_loss": pa.float64(), "held_out_loss": pa.float64(),
    "learning_rate": pa.float64(), "tokens_per_second": pa.float64(),
})  # fmt: skip


class MetricsRow(TypedDict):
    """One record of a training; None if a value was not measured."""

    step: int
    epoch: int
    train_loss: float
    """Mean since the last record, or of the epoch at its end; in nats."""
    held_out_loss: float | None
    """In nats, at the end of an epoch."""
    learning_rate: float
    tokens_per_second: float | None


def read_metrics(directory: Path) -> list[MetricsRow]:
    """Return the rows of a training's directory in order of their steps; none if nothing was recorded."""
    path = directory / METRICS
    return cast("list[MetricsRow]", pq.read_table(path).to_pylist()) if path.exists() else []


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
    if gaps := [name for name in ("step", "epoch", "train_loss") if table[name].null_count]:
        raise ValueError(f"{file}: not a curve: {', '.join(gaps)} must have a value in every row")
    return list(table.sort_by("step").to_pylist())


class Metrics:
    """The metrics of a training so far; every row is on disk when `append` returns."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rows = read_metrics(directory)

    def append(self, row: MetricsRow) -> None:
        """Add a row."""
        self._rows.append(row)
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(self._rows, METRICS_SCHEMA), buffer)
        write_bytes(self._directory / METRICS, buffer.getvalue(), durable=False)

    def rewind(self, step: int) -> None:
        """Remove the rows that a training resumed after `step` records again, the end of that step's epoch included."""
        at_step = [row for row in self._rows if row["step"] == step and row["held_out_loss"] is None]
        self._rows = [row for row in self._rows if row["step"] < step] + at_step
