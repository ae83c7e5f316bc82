"""The result of a gate, and the verdict file that every gated artifact has: `verdict.json` in its folder of reports.

The verdict file is the truth: Dagster's checks mirror it, and whatever builds on the artifact reads it. It contains the
SHA-256 of every other file in its folder, and its own digest.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hlx_model.files import digest_of, named_specials, read_json, sha256_of, write_json
from hlx_model.json_model import JsonModel, Number
from hlx_model.layout import VERDICT

Outcome = Literal["pass", "warn", "fail"]
"""From best to worst."""


class GateClosed(ValueError):
    """The next step must not start: names the gate, its metric and the report."""


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
    return max((gate.outcome for gate in gates), key=get_args(Outcome).index, default="pass")


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
