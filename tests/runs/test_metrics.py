"""Recorded metrics are on disk at once, and a resumed training records no step twice."""

from pathlib import Path

from hlx_model.runs.metrics import Metrics, MetricsRow, read_metrics


def row(step: int, held_out: float | None = None) -> MetricsRow:
    return {
        "step": step, "epoch": 1 + step // 10, "train_loss": 4.0 - step / 10, "held_out_loss": held_out,
        "learning_rate": 1e-3, "tokens_per_second": None,
    }  # fmt: skip


def test_every_row_is_on_disk_when_it_was_appended(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []
    metrics = Metrics(tmp_path)
    metrics.append(row(5))
    assert read_metrics(tmp_path) == [row(5)]
    metrics.append(row(10, 3.5))
    assert read_metrics(tmp_path) == [row(5), row(10, 3.5)]


def test_a_resumed_training_records_nothing_twice(tmp_path: Path) -> None:
    before = Metrics(tmp_path)
    for each in (row(5), row(10), row(10, 3.5), row(15)):
        before.append(each)
    resumed = Metrics(tmp_path)
    resumed.rewind(10)  # saved after step 10, before its epoch was evaluated
    resumed.append(row(10, 3.5))
    resumed.append(row(15))
    assert read_metrics(tmp_path) == [row(5), row(10), row(10, 3.5), row(15)]
