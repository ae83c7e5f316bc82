"""The three phases of the curriculum: one table that everything else reads.

To add a phase: a row here, its corpus (`corpus/tables.py`), its schedule (`profiles.py`) and its gates.
"""

from dataclasses import dataclass


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
            1, "English", "english_corpus",
            learns="learns English, from fresh weights",
            ability="English: it continues sentences",
        ),
        Phase(
            2, "HLX", "hlx_corpus",
            learns="learns the formats of HLX, from phase 1's weights",
            ability="HLX: it continues lines in every format of HLX",
        ),
        Phase(
            3, "Translation", "paired_corpus",
            learns="learns to translate between English and HLX, from phase 2's weights",
            ability="translation: between English and the formats of HLX, and between the formats",
        ),
    )
}  # fmt: skip
"""By number, in their order."""
CORPUS_OF_PHASE = {number: phase.corpus for number, phase in PHASES.items()}


def require_phase(number: int) -> Phase:
    """Return the phase of a number; `ValueError` names those that exist."""
    if number not in PHASES:
        *others, last = map(str, PHASES)
        raise ValueError(f"phase is {number}: it must be {', '.join(others)} or {last}")
    return PHASES[number]
