"""The recorded curves of five healthy and four broken trainings, and when a supervisor is asked about each.

`python -m benchmarks.curves hlx_model/supervision/curves` recorded them. Nothing stopped these trainings, so the curves
continue after the rules would have ended them. A supervisor gets neither their names nor what the rules found.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import Any, NamedTuple

from hlx_model.runs.metrics import read_curve
from hlx_model.supervision.briefing import Briefing
from hlx_model.supervision.opinions import Opinion

HEALTHY = "healthy"
"""How the names of healthy curves begin; others are named after the problem that the watchdog finds."""
_SIZE = "tiny"
_PHASES = {"hlx": 2, "pairs": 3}


@cache
def recorded_curves() -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the rows of each recorded curve, by its name."""
    with as_file(files("hlx_model.supervision") / "curves") as folder:
        return {path.stem: read_curve(path) for path in sorted(folder.glob("*.parquet"))}


def moments(name: str, is_due: Callable[[int, int], bool]) -> list[Briefing]:
    """Return what is known of a recorded training after each epoch after which its gates are evaluated.

    Args:
        name: of the curve.
        is_due: whether they are, by the epoch and the last one (`milestones.due`).
    """
    rows = recorded_curves()[name]
    last, found = rows[-1], []
    phase = next((phase for word, phase in _PHASES.items() if word in name.split("-")), 1)
    for place, row in enumerate(rows):
        if row["held_out_loss"] is not None and is_due(row["epoch"], last["epoch"]):
            found.append(Briefing(
                phase=phase, size=_SIZE, step=row["step"], steps=last["step"], epoch=row["epoch"], settings={},
                epochs=last["epoch"], curve=rows[: place + 1], found=["not told"],
            ))  # fmt: skip
    return found


class Replayed(NamedTuple):
    """The answers of rules and supervisor to one curve."""

    name: str
    rules: int | None
    """The step at which the rules would have stopped the training."""
    opinions: Sequence[Opinion]

    @property
    def healthy(self) -> bool:
        """Whether the training was healthy."""
        return self.name.startswith(HEALTHY)

    @property
    def stop(self) -> int | None:
        """The step at which the supervisor first advised to stop."""
        return next((one.step for one in self.opinions if one.verdict == "stop"), None)

    @property
    def watch(self) -> int | None:
        """The step at which it first advised to watch, or to stop."""
        return next((one.step for one in self.opinions if one.verdict in ("watch", "stop")), None)

    @property
    def lead(self) -> int | None:
        """By how many steps its advice to stop was before the rules; below 0 after them."""
        return None if self.rules is None or self.stop is None else self.rules - self.stop
