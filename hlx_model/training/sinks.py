"""Other places to look at a training's figures: each is a listener. None of them is on unless asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hlx_model.training.recorder import EventSink


@contextmanager
def tensorboard_sink(directory: Path | None) -> Iterator[EventSink]:
    """A listener that writes TensorBoard's event files into `directory`; where that is None, one that does nothing.

    Raises `ValueError` where the package tensorboard is not installed.
    """
    if directory is None:
        yield lambda event, figures: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs the package tensorboard: pip install tensorboard") from None
    writer: Any = SummaryWriter(str(directory))

    def emit(event: str, figures: dict[str, Any]) -> None:
        if event == "progress":
            for name, value in figures.items():
                if value is not None and name != "step":
                    writer.add_scalar(name, value, figures["step"])

    try:
        yield emit
    finally:
        writer.close()
