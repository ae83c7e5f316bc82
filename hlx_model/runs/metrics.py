"""The recorded metrics of a training, in `metrics.parquet`: the whole curve in one file."""

import io
from pathlib import Path
from typing import TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.files import write_bytes
from hlx_model.layout import METRICS

METRICS_SCHEMA = pa.schema([
    ("step", pa.int64()),
    ("epoch", pa.int32()),
    ("train_loss", pa.float64()),
    ("held_out_loss", pa.float64()),
    ("learning_rate", pa.float64()),
    ("tokens_per_second", pa.float64()),
])  # fmt: skip


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
        self._rows = [
            row for row in self._rows
            if row["step"] < step or (row["step"] == step and row["held_out_loss"] is None)
        ]  # fmt: skip
