"""Other places where a training's metrics can be seen. Each is off unless the user turns it on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hlx_model.training.events import Event, EventSink, Recorded, ignore


@contextmanager
def tensorboard_sink(directory: Path | None) -> Iterator[EventSink]:
    """Yield a sink that writes TensorBoard's event files into `directory`; one that does nothing if that is None.

    Raises:
        ValueError: the package tensorboard is not installed.
    """
    if directory is None:
        yield ignore
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ValueError("--tensorboard needs the package tensorboard: pip install tensorboard") from None
    writer: Any = SummaryWriter(str(directory))

    def emit(event: Event) -> None:
        if isinstance(event, Recorded):
            step = event.row["step"]
            values = {**event.row, "steps": event.steps, "eta_seconds": event.eta_seconds}
            for name, value in values.items():
                if value is not None and name != "step":
                    writer.add_scalar(name, value, step)

    try:
        yield emit
    finally:
        writer.close()
