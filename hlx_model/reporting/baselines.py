"""The models of `baselines.json`: how well other models translate the rows that a checkpoint is evaluated on.

    Baselines.read(artifacts.baselines(checkpoint) / BASELINES)

English→HLX alone. No gate reads it: the report shows it, and that is all.
"""

import logging
from pathlib import Path
from typing import Literal

from hlx_model.files import UNREADABLE
from hlx_model.json_model import Float, JsonModel
from hlx_model.language import Format
from hlx_model.layout import BASELINES
from hlx_model.money import dollars
from hlx_model.reporting.models import Rates

log = logging.getLogger(__name__)

RowSource = Literal["held-out", "evaluation"]
"""Test rows of the paired corpus, or sentences of evaluation documents that are not in training."""


class BaselineModel(JsonModel):
    """One model: ours, or one of a provider."""

    name: str
    """`claude/claude-haiku-4-5`, or the checkpoint."""
    own: bool = False
    all_to_hlx: dict[RowSource, Rates]
    """Exact match is strict, value match is lenient (`baselines/score.py`). A source without rows is missing."""
    to_hlx: dict[RowSource, dict[Format, Rates]]
    outcomes: dict[str, int]
    """How many calls ended how: answered, malformed, truncated, refused, unavailable."""
    median_seconds: Float | None = None
    """Of one translation, asked alone. None if nothing was measured."""
    p90_seconds: Float | None = None
    cost_per_1000_nanodollars: int | None = None
    """Of 1,000 translations; None if it is not known."""
    spent_nanodollars: int = 0
    """What was booked this time; kept answers cost nothing."""
    note: str | None = None
    """Why rows are missing, as one line."""

    @property
    def samples(self) -> int:
        """The rows that were scored."""
        return sum(rates.samples for rates in self.all_to_hlx.values())

    @property
    def cost_per_1000(self) -> str | None:
        """What 1,000 translations cost, in dollars."""
        return None if self.cost_per_1000_nanodollars is None else dollars(self.cost_per_1000_nanodollars)

    @property
    def spent(self) -> str:
        """What was booked this time, in dollars."""
        return dollars(self.spent_nanodollars)


class Baselines(JsonModel):
    """The models on the same rows, ours first."""

    version: Literal["hlx-baselines/1"] = "hlx-baselines/1"
    """Raise it by hand when a program that reads the file must change."""
    time: str
    """UTC, ISO 8601."""
    checkpoint: str
    """`<training id>/<checkpoint>`."""
    weights_sha256: str
    corpora: dict[str, str]
    """Data versions of the rows, by asset."""
    rows: dict[RowSource, int]
    """The rows of the sample."""
    examples: int
    """Training examples that the other models are given."""
    evaluation_note: str | None = None
    """Why the evaluation is missing, or is not the newest."""
    own_cost: str
    """How the cost of ours is counted."""
    models: list[BaselineModel]

    def rates(self, source: RowSource, format: Format | None = None) -> dict[str, Rates]:
        """Return the rates by model on the rows of a source, into all formats or one; without models that have none."""
        found = {
            model.name: model.all_to_hlx.get(source) if format is None else model.to_hlx.get(source, {}).get(format)
            for model in self.models
        }
        return {name: rates for name, rates in found.items() if rates}


def read_baselines(directory: Path) -> Baselines | None:
    """Return the baselines in a directory; None, with a warning in the log, if they cannot be read."""
    try:
        return Baselines.read(directory / BASELINES)
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        log.warning("the comparison with other models is left out: %s", error)
        return None
