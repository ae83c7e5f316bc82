"""What a quality gate is. Each is declared in one file of `gates/`, and nowhere else.

    DIVERSITY = GateSpec(
        "diversity",
        description="Sampled texts differ from each other.",
        requirement="distinct texts ≥ {t.min_distinct_share:.0%} of those that the corpus would give",
        needs=("sampled_texts",), check=lambda m: diversity(m.sampled_texts, m.corpus_texts),
        writes=("continuations", "completions"), position=120,
    )  # fmt: skip

The specs give the gates of a report, Dagster's checks with their descriptions, what the guard requires of a verdict,
and the tables in `docs/gates.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from hlx_model.evaluation.epoch import EpochMeasurements
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.phases import Writes, phases_that_write
from hlx_model.verdicts import GateResult

if TYPE_CHECKING:
    # PyTorch takes longer to load than a verdict to read.
    from hlx_model.evaluation.measurements import Measurements, Need

Excuse = Literal["few_held_out", "short_training", "few_pairs", "unlearned"]
"""Why a gate warns instead of failing (`downgrades.py`): too few held-out values to show generalization; too short a
training to have learned the corpus; too few tokens of pairs to translate, which is learned last; a model that has not
learned its training text yet, and therefore cannot write."""


@dataclass(frozen=True)
class GateSpec:
    """A gate of the report on a finished training."""

    name: str
    description: str = field(kw_only=True)
    """What is true of a model that passes: one sentence."""
    requirement: str = field(kw_only=True)
    """What is required, with thresholds in braces: `{t.…}` for a field of `Thresholds`, `{…}` for its own."""
    needs: tuple["Need", ...] = field(kw_only=True)
    """The measurements that `check` reads. Each is made once, whoever needs it."""
    check: Callable[["Measurements"], GateResult] = field(kw_only=True)
    writes: tuple[Writes, ...] = get_args(Writes)
    """It applies to the phases whose models write one of these."""
    position: int = 1000
    """Its place in reports, verdicts and among Dagster's checks: lower ones come first."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Thresholds of its own, by name, if `Thresholds` does not have them. They are part of `GATES_VERSION`."""
    warns_if: tuple[Excuse, ...] = ()
    inconclusive_if_few: bool = False
    """With few held-out values it warns even if it passes: so small a sample proves nothing."""

    @property
    def phases(self) -> tuple[int, ...]:
        """Return the numbers of the phases that it applies to."""
        return phases_that_write(*self.writes)

    def requirement_text(self) -> str:
        """Return what is required, with the thresholds' values."""
        return self.requirement.format(t=Thresholds(), **self.thresholds)

    @property
    def documentation(self) -> str:
        """Return description and requirement, as Dagster shows them."""
        return f"{self.description} Required: {self.requirement_text()}."


@dataclass(frozen=True)
class MilestoneSpec:
    """A gate during training: evaluated at the epochs of the milestones from `first_epoch` on, and at the last."""

    name: str
    description: str = field(kw_only=True)
    requirement: str = field(kw_only=True)
    """What is required, with thresholds in braces."""
    check: Callable[[EpochMeasurements], GateResult] = field(kw_only=True)
    first_epoch: int = 1
    position: int = 1000
    needs_checkpoint: bool = False
    """It examines the checkpoint that the epoch left; it is not evaluated if none was saved."""

    def requirement_text(self) -> str:
        """Return what is required, with the thresholds' values."""
        return self.requirement.format(t=Thresholds())
