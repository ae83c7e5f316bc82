"""When would the watchdog have spoken? Its judgement over a recorded curve, row by row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.layout import METRICS
from hlx_model.monitoring.rules import Problem, check_curve
from hlx_model.runs.metrics import METRICS_SCHEMA

_ALWAYS = ("step", "epoch", "train_loss")


@dataclass(frozen=True)
class Alarm:
    """Where in a curve the watchdog speaks."""

    step: int
    epoch: int
    trouble: Problem


def read_curve(path: Path) -> list[dict[str, Any]]:
    """The rows of a `metrics.parquet`, or of a training's directory; `ValueError` where there are none to read."""
    file = path / METRICS if path.is_dir() else path
    try:
        table = pq.read_table(file)
    except FileNotFoundError:
        raise ValueError(f"{file}: no such file: name a metrics.parquet, or the directory of a training") from None
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file}: not a Parquet file ({str(error).splitlines()[0]})") from None
    if missing := [name for name in METRICS_SCHEMA.names if name not in table.schema.names]:
        raise ValueError(
            f"{file}: lacks {', '.join(missing)}; a curve has the columns {', '.join(METRICS_SCHEMA.names)}"
        )
    try:
        table = table.select(METRICS_SCHEMA.names).cast(METRICS_SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{file}: a figure is no number ({str(error).splitlines()[0]})") from None
    if not len(table):
        raise ValueError(f"{file}: no curve: it has no row")
    if gaps := [name for name in _ALWAYS if table[name].null_count]:
        raise ValueError(f"{file}: no curve: {', '.join(gaps)} must have a figure in every row")
    return list(table.sort_by("step").to_pylist())


def simulate(rows: Sequence[Mapping[str, Any]]) -> Alarm | None:
    """The first row at which the watchdog speaks, as one who looks after every row; None where it never does."""
    for seen, row in enumerate(rows, 1):
        if trouble := check_curve(rows[:seen]):
            return Alarm(row["step"], row["epoch"], trouble)
    return None
