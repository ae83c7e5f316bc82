"""The phases of the curriculum: one table that everything else reads.

To add a phase: a row here and its schedule in each profile (`profiles.py`); a corpus of its own goes into
`corpus/tables.py`. Its gates, metrics, examples and card follow from what its model writes.
"""

from dataclasses import dataclass
from typing import Literal

Writes = Literal["continuations", "completions", "translations"]
"""What a model is made to write: the rest of a sentence, the rest of a line of HLX, or the answer to a prompt."""


@dataclass(frozen=True)
class Phase:
    """One phase."""

    number: int
    title: str
    corpus: str
    """The asset that it learns from."""
    learns: str
    """What its training teaches, and from which weights: "The model that …"."""
    ability: str
    """What a model can do after it."""
    writes: Writes
    """What its model is made to write when it is evaluated."""

    @property
    def checkpoint_asset(self) -> str:
        """The asset that its training makes."""
        return f"phase{self.number}_checkpoint"

    @property
    def report_asset(self) -> str:
        """The asset that judges its checkpoint."""
        return f"phase{self.number}_validation_report"

    @property
    def card_asset(self) -> str:
        """The asset that describes its final model."""
        return f"phase{self.number}_model_card"


PHASES = {
    phase.number: phase
    for phase in (
        Phase(
            1, "English", "english_corpus", writes="continuations",
            learns="learns English, from fresh weights",
            ability="English: it continues sentences",
        ),
        Phase(
            2, "HLX", "hlx_corpus", writes="completions",
            learns="learns the formats of HLX, from phase 1's weights",
            ability="HLX: it continues lines in every format of HLX",
        ),
        Phase(
            3, "Translation", "paired_corpus", writes="translations",
            learns="learns to translate between English and HLX, from phase 2's weights",
            ability="translation: between English and the formats of HLX, and between the formats",
        ),
    )
}  # fmt: skip
"""By number, in their order."""
CORPUS_OF_PHASE = {number: phase.corpus for number, phase in PHASES.items()}
*_OTHERS, _LAST = map(str, PHASES)
ANY_PHASE = f"{', '.join(_OTHERS)} or {_LAST}"
"""The numbers of the phases, for messages: "1, 2 or 3"."""


def require_phase(number: int) -> Phase:
    """Return the phase of a number; `ValueError` names those that exist."""
    if number not in PHASES:
        raise ValueError(f"phase is {number}: it must be {ANY_PHASE}")
    return PHASES[number]


def phases_that_write(*writes: Writes) -> tuple[int, ...]:
    """Return the numbers of the phases whose models write one of these, in their order."""
    return tuple(phase.number for phase in PHASES.values() if phase.writes in writes)
