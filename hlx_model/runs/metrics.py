"""The recorded metrics of a training, in `metrics.parquet`: the whole curve in one file."""

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, cast

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.files import skipping, write_bytes
from hlx_model.layout import METRICS

log = logging.getLogger(__name__)

METRICS_SCHEMA = pa.schema({
    "step": pa.int64(), "epoch": pa.int32(), "train_loss": pa.float64(), "held_out_loss": pa.float64(),
    "learning_rate": pa.float64(), "tokens_per_second": pa.float64(),
})  # fmt: skip


_ARROW_ERRORS = (pa.ArrowException, OSError)
"""What pyarrow raises of a damaged file."""


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


def read_metrics(directory: Path, note: Callable[[str], object] = log.warning) -> list[MetricsRow]:
    """Return the rows of a training's directory in order of their steps; none if nothing was recorded.

    Nothing depends on them: if they cannot be read, `note` gets one line, and there are none.
    """
    path, rows = directory / METRICS, []
    with skipping(path, note):
        rows = _rows(path) if path.exists() else []
    return cast("list[MetricsRow]", rows)


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a `metrics.parquet`, or of a training's directory, in order of their steps.

    Raises:
        ValueError: the file is missing, or is not a curve; names the file and the column.
    """
    file = path / METRICS if path.is_dir() else path
    if not file.is_file():
        found = "a pipe or a device" if file.exists() else "no such file"
        raise ValueError(f"{file}: {found}: name a metrics.parquet, or a training's directory")
    try:
        rows = _rows(file)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if not rows:
        raise ValueError(f"{file}: not a curve: it has no rows")
    return rows


def _rows(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a curve in order of their steps; `ValueError` says what is wrong with the file."""
    try:
        table = pq.read_table(file)
    except _ARROW_ERRORS as error:
        raise ValueError(f"not a Parquet file ({_first_line(error)})") from None
    if missing := [name for name in METRICS_SCHEMA.names if name not in table.schema.names]:
        raise ValueError(f"{', '.join(missing)} missing; a curve has {', '.join(METRICS_SCHEMA.names)}")
    try:
        table = table.select(METRICS_SCHEMA.names).cast(METRICS_SCHEMA)
    except _ARROW_ERRORS as error:
        raise ValueError(f"a value is not a number ({_first_line(error)})") from None
    if gaps := [name for name in ("step", "epoch", "train_loss") if table[name].null_count]:
        raise ValueError(f"not a curve: {', '.join(gaps)} must have a value in every row")
    return list(table.sort_by("step").to_pylist())


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


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
