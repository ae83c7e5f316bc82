"""The quality gates: each is declared in one file of `gates/`, and nowhere else.

    DIVERSITY = GateSpec(
        "diversity", description="Sampled texts differ from each other.",
        requirement=f"distinct texts ≥ {T.min_distinct_share:.0%} of those that the corpus would give",
        needs=("sampled",), check=lambda m: diversity(m.sampled.texts, m.sampled.expected), position=120,
    )  # fmt: skip

The specs give the gates of a report, Dagster's checks with their descriptions, what the guard requires of a verdict,
and the tables in `docs/gates.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from hlx_model.evaluation.target import EpochMeasurements
from hlx_model.phases import Writes, phases_that_write
from hlx_model.verdicts import GateResult

if TYPE_CHECKING:
    # PyTorch takes longer to load than a verdict to read.
    from hlx_model.evaluation.measurements import Measurements, Need


@dataclass(frozen=True, kw_only=True)
class _Spec:
    """What every gate declares."""

    name: str = field(kw_only=False)
    description: str
    """What is true of a model that passes: one sentence."""
    requirement: str
    """What is required, with the thresholds' values."""
    position: int = 1000
    """Its place in reports, verdicts and among Dagster's checks: lower ones come first."""


@dataclass(frozen=True, kw_only=True)
class GateSpec(_Spec):
    """A gate of the report on a finished training."""

    needs: tuple["Need", ...]
    """The measurements that `check` reads. Each is made once, whoever needs it."""
    check: Callable[["Measurements"], GateResult]
    writes: tuple[Writes, ...] = get_args(Writes)
    """It applies to the phases whose models write one of these."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds of its own, by name, if `Thresholds` does not have them. They are part of `GATES_VERSION`."""
    by_heart: str | None = None
    """What is required instead of a model that can only learn its corpus by heart; None: the same."""
    mended_by_training: bool = False
    """A longer training may mend a failure: its reason ends with the command."""

    @property
    def phases(self) -> tuple[int, ...]:
        """Return the numbers of the phases that it applies to."""
        return phases_that_write(*self.writes)

    @property
    def documentation(self) -> str:
        """Return description and requirement, as Dagster shows them."""
        by_heart = f" Of a corpus that can only be learned by heart: {self.by_heart}." if self.by_heart else ""
        return f"{self.description} Required: {self.requirement}.{by_heart}"


@dataclass(frozen=True, kw_only=True)
class MilestoneSpec(_Spec):
    """A gate during training: evaluated at the epochs of the milestones from `first_epoch` on, and at the last."""

    check: Callable[[EpochMeasurements], GateResult]
    first_epoch: int = 1
    needs_checkpoint: bool = False
    """It examines the checkpoint that the epoch left; it is not evaluated if none was saved."""


def at_milestones(gate: GateSpec, check: Callable[[EpochMeasurements], GateResult]) -> MilestoneSpec:
    """Return a gate of the report as one that is evaluated during training too."""
    return MilestoneSpec(
        gate.name, description=gate.description, requirement=gate.requirement, check=check, position=gate.position
    )
