"""What a quality gate is. Each is declared in one file of `gates/`, and nowhere else.

    GATES = (
        GateSpec(
            name="diversity",
            description="Sampled texts differ from each other.",
            requirement="distinct texts ≥ {t.min_distinct_share:.0%} of those that the corpus would give",
            needs=("sampled_texts",),
            check=lambda m: diversity(m.sampled_texts, m.corpus_texts),
            phases=(1, 2),
            position=140,
        ),
    )

The specs give the gates of a report, Dagster's checks with their descriptions, what the guard requires of a verdict,
and the table in `docs/gates.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from hlx_model.evaluation.epoch import EpochMeasurements
from hlx_model.evaluation.measurements import Measurements, Need, phases_of
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.phases import PHASES
from hlx_model.verdicts import GateResult


@dataclass(frozen=True, kw_only=True)
class GateSpec:
    """A gate of the report on a finished training."""

    name: str
    description: str
    """What a model that passes can do, or is: one sentence."""
    requirement: str
    """What is required, with thresholds in braces: `{t.…}` for a field of `Thresholds`, `{…}` for its own."""
    needs: tuple[Need, ...]
    """The measurements that `check` reads."""
    check: Callable[[Measurements], GateResult]
    phases: tuple[int, ...] = tuple(PHASES)
    position: int = 1000
    """Its place in reports, verdicts and among Dagster's checks: lower ones come first."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds of its own, by name, if `Thresholds` does not have them. They are part of `GATES_VERSION`."""

    # When it warns instead of failing: see `downgrades.py`.
    requires_learning: bool = False
    """It measures written text: it only warns if the model has not learned its training text yet."""
    downgraded_if_short: bool = False
    """It measures what takes some training: it only warns after a short training."""
    learned_late: bool = False
    """It measures what is learned last: it only warns if the training had too few tokens of pairs."""
    few_held_out: Literal["warns", "downgraded"] | None = None
    """It measures generalization, so with few held-out values it proves little: it warns in any case (`warns`), or
    instead of failing (`downgraded`)."""

    def __post_init__(self) -> None:
        """Require that every measurement it needs exists in each of its phases, and every threshold that it names."""
        for need in self.needs:
            assert set(self.phases) <= set(phases_of(need)), f"gate {self.name}: {need} exists in {phases_of(need)}"
        self.requirement_text()

    def requirement_text(self, thresholds: Thresholds | None = None) -> str:
        """Return what is required, with the thresholds' values."""
        return self.requirement.format(t=thresholds or Thresholds(), **self.thresholds)

    @property
    def documentation(self) -> str:
        """Return description and requirement, as Dagster shows them."""
        return f"{self.description} Required: {self.requirement_text()}."


@dataclass(frozen=True, kw_only=True)
class MilestoneSpec:
    """A gate during training: evaluated at the epochs of the milestones from `first_epoch` on, and at the last."""

    name: str
    description: str
    requirement: str
    """What is required, with thresholds in braces."""
    check: Callable[[EpochMeasurements], GateResult]
    first_epoch: int = 1
    position: int = 1000
    needs_checkpoint: bool = False
    """It examines the checkpoint that the epoch left; it is not evaluated if none was saved."""

    def requirement_text(self, thresholds: Thresholds | None = None) -> str:
        """Return what is required, with the thresholds' values."""
        return self.requirement.format(t=thresholds or Thresholds())
