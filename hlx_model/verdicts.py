"""The result of a gate, and the verdict file that every gated artifact has: `verdict.json` in its folder of reports.

The verdict file is the truth: Dagster's checks mirror it, and whatever builds on the artifact reads it. It contains the
SHA-256 of every other file in its folder, and its own digest.
"""

import operator
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hlx_model.files import digest_of, named_specials, read_json, sha256_of, write_json
from hlx_model.json_model import JsonModel, Number
from hlx_model.layout import VERDICT

Outcome = Literal["pass", "warn", "fail"]
"""From best to worst."""
_MAX_DIGITS = 6
"""Of a percentage, after the point."""


class GateClosed(ValueError):
    """The next step must not start: names the gate and its metric, and what to do in a terminal."""

    def __init__(self, reason: str, advice: str = "") -> None:
        """`reason` alone is for places where `advice`, which names commands and files, does not help."""
        super().__init__(f"{reason}: {advice}" if advice else reason)
        self.reason = reason


@dataclass(
    frozen=True,
    config=ConfigDict(extra="forbid", use_attribute_docstrings=True, json_schema_serialization_defaults_required=True),
)
class GateResult:
    """The result of one gate. `fail` blocks the next step; `warn` does not."""

    name: str
    outcome: Outcome
    reason: str
    """One line for a person: the metric, what is required, and what to check."""
    value: Number | None = None
    threshold: Number | None = None
    """The limit that the value missed; if the gate passed, the one that is required. None if no limit decided."""
    samples: int = 0
    interval: tuple[float, float] | None = None
    """95% confidence interval of a rate (Wilson)."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON; a value that is not finite becomes its name."""
        content: dict[str, Any] = named_specials(vars(self))
        return content


class Limit(JsonModel):
    """The limits of a gate on a rate."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    required: float
    """Below it the gate fails."""
    good: float
    """Below it the gate warns."""


class Against(NamedTuple):
    """A rate against its limits: what follows, and how a reason states both."""

    outcome: Outcome
    threshold: float
    """The limit that was missed; the required one if none was."""
    rate: str
    """The rate in percent, with as many digits as show on which side of each limit it is."""
    limits: str
    """`required ≥ 50%, good ≥ 80%`; in a warning `good ≥ 80% missed, required ≥ 50%`."""


def against(rate: float, required: float, good: float | None = None, *, at_most: bool = False) -> Against:
    """Compare a rate with the limit below which a gate fails, and with the one below which it warns.

    Args:
        rate: 0 to 1.
        required: the limit below which it fails.
        good: the limit below which it warns; None: no other.
        at_most: both are limits above which it does so.
    """
    limits = {"required": required, "good": required if good is None else good}
    sign, keeps = ("≤", operator.le) if at_most else ("≥", operator.ge)

    def kept(value: float) -> list[bool]:
        return [keeps(value, limit) for limit in limits.values()]

    digits = 1
    while digits < _MAX_DIGITS and kept(round(rate, digits + 2)) != kept(rate):
        digits += 1
    figure = f"{rate:.{digits}%}"
    first, second = (f"{name} {sign} {percent(limit)}" for name, limit in limits.items())
    if kept(rate) == [True, False]:
        return Against("warn", limits["good"], figure, f"{second} missed, {first}")
    outcome: Outcome = "pass" if keeps(rate, required) else "fail"
    return Against(outcome, required, figure, first if limits["good"] == required else f"{first}, {second}")


def percent(limit: float) -> str:
    """Write a limit in percent, as precisely as it is: `50%`, `36.4%`."""
    return f"{100 * limit:.6g}%"


class Fitness(JsonModel):
    """What the gates required of a finished checkpoint."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    profile: str
    """The profile whose limits apply, where none was changed."""
    by_heart: bool
    """Whether so few values are held out that the corpus can only be learned by heart."""
    limits: dict[str, Limit]
    """By gate."""


class Milestone(JsonModel):
    """The gates of one epoch, as they were evaluated during the training."""

    epoch: int
    outcome: Outcome
    gates: tuple[GateResult, ...]

    @property
    def failed(self) -> list[GateResult]:
        """Return the gates that failed."""
        return [gate for gate in self.gates if gate.outcome == "fail"]

    @property
    def summary(self) -> str:
        """Return its outcome with the gates that did not pass, as one line: `gates at epoch 1: warn (copy_rate)`."""
        others = ", ".join(gate.name for gate in self.gates if gate.outcome != "pass")
        return f"gates at epoch {self.epoch}: {self.outcome}{f' ({others})' if others else ''}"


def worst(gates: Iterable[GateResult]) -> Outcome:
    """Return `fail` if a gate failed, else `warn` if one warned, else `pass`."""
    return worst_outcome(gate.outcome for gate in gates)


def worst_outcome(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the worst of some outcomes; `pass` without any."""
    return max(outcomes, key=get_args(Outcome).index, default="pass")


def write_sealed(directory: Path, content: Mapping[str, Any]) -> None:
    """Write `verdict.json` into a folder of reports, last: with the hash of each other file there, and a digest.

    Hidden files are half written, by this process before it was killed, or by another one right now.
    """
    others = [path for path in directory.iterdir() if path.name != VERDICT and not path.name.startswith(".")]
    whole = {**content, "files": {path.name: sha256_of(path) for path in sorted(others)}}
    write_json(directory / VERDICT, {**whole, "digest": digest_of(whole)})


def read_sealed(directory: Path) -> dict[str, Any]:
    """Return the content of `verdict.json` without its digest.

    Raises:
        GateClosed: the file is missing, cannot be read, or was changed.
    """
    path = directory / VERDICT
    try:
        content: dict[str, Any] = read_json(path)
        if content.pop("digest", None) != digest_of(content):
            raise ValueError("its digest does not fit its content")
    except FileNotFoundError:
        raise GateClosed(f"no verdict: {path} is missing") from None
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise GateClosed(f"no verdict: {path} cannot be read ({error})") from None
    return content
