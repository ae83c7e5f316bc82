"""The figures of a training, in `metrics.parquet`: one row a record, the whole curve in one file."""

import io
from pathlib import Path
from typing import Any

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


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """The rows of a training's directory, in order of their steps; none where nothing was recorded."""
    path = directory / METRICS
    return pq.read_table(path).to_pylist() if path.exists() else []


class Metrics:
    """The rows so far; every row is on disk when `append` returns."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rows = read_metrics(directory)

    def append(self, row: dict[str, Any]) -> None:
        """Add a row: losses in nats, None where a figure was not taken."""
        self._rows.append(row)
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(self._rows, METRICS_SCHEMA), buffer)
        write_bytes(self._directory / METRICS, buffer.getvalue(), durable=False)

    def rewind(self, step: int) -> None:
        """Forget what a training resumed after `step` will record again: also that step's end of an epoch."""
        self._rows = [
            row for row in self._rows
            if row["step"] < step or (row["step"] == step and row["held_out_loss"] is None)
        ]  # fmt: skip
