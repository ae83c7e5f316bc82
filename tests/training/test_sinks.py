"""Sinks receive the metrics of a training."""

import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from hlx_model.runs.metrics import MetricsRow
from hlx_model.training.events import Event, Recorded, Warned, best_effort, tensorboard_sink
from hlx_model.training.loop import Interrupted

ROW: MetricsRow = {
    "step": 7, "epoch": 2, "train_loss": 1.5, "held_out_loss": None, "learning_rate": 1e-3, "tokens_per_second": None,
}  # fmt: skip


class Writer:
    """Replaces TensorBoard's, which is not installed here."""

    written: ClassVar[list[object]] = []

    def __init__(self, directory: str) -> None:
        self.written.append(directory)

    def add_scalar(self, *figure: object) -> None:
        self.written.append(figure)

    def close(self) -> None:
        self.written.append("closed")


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # it is not needed
    monkeypatch.chdir(tmp_path)
    with tensorboard_sink(None) as view:
        view(Recorded(ROW, 70, None))
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_receives_every_metric_at_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with tensorboard_sink(tmp_path) as view:
        view(Warned("not a metric"))
        view(Recorded(ROW, 70, None))
    assert Writer.written == [
        str(tmp_path), ("epoch", 2, 7), ("train_loss", 1.5, 7), ("learning_rate", 1e-3, 7), ("steps", 70, 7), "closed",
    ]  # fmt: skip


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match="pip install tensorboard"), tensorboard_sink(tmp_path):
        pass


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ValueError("closed"), RuntimeError("no\nthread")]
)
@pytest.mark.parametrize("method", ["add_scalar", "close"])
def test_an_extra_that_fails_is_off_after_one_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, method: str, error: Exception
) -> None:
    calls: list[object] = []

    def refuse(*arguments: object) -> None:
        calls.append(arguments)
        raise error

    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = type("Failing", (Writer,), {method: refuse})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    with tensorboard_sink(tmp_path) as view:
        for _ in range(3):
            view(Recorded(ROW, 70, None))
    assert len(calls) == 1
    (line,) = caplog.messages
    assert line.startswith("TensorBoard is off from now on") and "\n" not in line


def test_what_ends_a_training_is_not_swallowed_by_an_extra() -> None:
    def interrupted(event: Event) -> None:
        raise Interrupted("SIGTERM")

    with pytest.raises(Interrupted):
        best_effort("the report", interrupted)(Warned("x"))
