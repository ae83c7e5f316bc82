"""One gate's answer: its figure, its threshold, its outcome, and why."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Gate:
    """What one gate found. `fail` blocks what lies downstream; `warn` does not."""

    name: str
    outcome: Outcome
    reason: str
    """One line for a person: the figure, what was asked, and what it means."""
    value: float | None = None
    threshold: float | None = None
    samples: int = 0
    interval: tuple[float, float] | None = None
    """95% confidence interval of a rate (Wilson)."""

    def to_json(self) -> dict[str, Any]:
        """As JSON; a value that is not finite becomes its name."""
        content = asdict(self)
        if self.value is not None and not math.isfinite(self.value):
            content["value"] = repr(self.value)
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Gate":
        """The gate that `to_json` wrote."""
        content = dict(content)
        if isinstance(content.get("value"), str):
            content["value"] = float(content["value"])
        if content.get("interval") is not None:
            content["interval"] = tuple(content["interval"])
        return cls(**content)


def worst(gates: Iterable[Gate]) -> Outcome:
    """`fail` where one failed, else `warn` where one warned, else `pass`."""
    outcomes = {gate.outcome for gate in gates}
    return "fail" if "fail" in outcomes else "warn" if "warn" in outcomes else "pass"


def wilson(successes: int, samples: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a rate (Wilson 1927); (0, 1) where there are no samples."""
    if samples == 0:
        return 0.0, 1.0
    rate, z2 = successes / samples, z * z
    centre = (rate + z2 / (2 * samples)) / (1 + z2 / samples)
    half = z / (1 + z2 / samples) * math.sqrt(rate * (1 - rate) / samples + z2 / (4 * samples * samples))
    # Rounded: of no success the lower bound is 0, and not what the last bit of a root leaves.
    return max(0.0, round(centre - half, 12)), min(1.0, round(centre + half, 12))
