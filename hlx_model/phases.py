"""The three phases of the curriculum: what each is called, and which corpus it learns from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """One phase."""

    number: int
    title: str
    corpus: str
    """The asset that it learns from."""


PHASES = {
    phase.number: phase
    for phase in (
        Phase(1, "English", "english_corpus"),
        Phase(2, "HLX", "hlx_corpus"),
        Phase(3, "Translation", "paired_corpus"),
    )
}
CORPUS_OF_PHASE = {number: phase.corpus for number, phase in PHASES.items()}
