"""Trainings in which nothing is broken, and whose models cannot do what their phase is for: each must fail."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hlx_model.evaluation.portable import evaluate_portable
from hlx_model.language import Format
from hlx_model.training.plan import TrainingPlan
from tests.support.broken_trainings import PAIRS, into_english, texts, without, without_english
from tests.support.pt_model import STEPS, trained_pt
from tests.support.trials import USERS, Document, Found, Training, Trial, judged

FEW = Document("composed", 600)


@dataclass(frozen=True)
class Unfit:
    """One kind of unfit model."""

    about: str
    """What it lacks, for the table."""
    trial: Trial


def _lacking(plan: Callable[[TrainingPlan], TrainingPlan]) -> Trial:
    return Trial(PAIRS, plan=plan, evaluated=False)


UNFIT: Mapping[str, Unfit] = {
    "phase 1 too short": Unfit(
        "60,000 tokens at AdamW 1e-4",
        Trial(Training(1, Document("composed", 2000), tokens=60_000, optimizer="adamw", learning_rate=1e-4)),
    ),
    "phase 3 too short": Unfit("one epoch of 600 entries", Trial(Training(3, FEW, tokens=1))),
    "no English→HLX": Unfit("only pairs into English were learned", _lacking(texts(into_english))),
    "no HLX→English": Unfit("only pairs into HLX were learned", _lacking(texts(without_english))),
    **{f"no {format}": Unfit(f"phase 3 has no pairs with {format}", _lacking(without(format))) for format in Format},
    "names remembered": Unfit(
        "six names a slot, in training and in test: they were remembered, not copied",
        Trial(Training(3, Document("few names", 8000), tokens=4_000_000, tokens_before=600_000)),
    ),
    "three phrasings": Unfit(
        "25,000 entries with at most three phrasings for each value, and listed names: good on its own test rows",
        Trial(Training(3, Document("three phrasings", 25_000), tokens=15_500_000, tokens_before=600_000)),
    ),
}
"""By name."""
PT_FILE = "a .pt file"
PT_ABOUT = f"nn.TransformerEncoder, {STEPS} steps on a real document"


def pt_found(folder: Path) -> Found:
    """Train a `.pt` file on the real document, and evaluate it there."""
    path = trained_pt(folder / "model.pt", USERS.path)
    failed, warned = judged(evaluate_portable(path, [USERS.path], 3).verdict)
    return Found(failed, "verdict", 0, STEPS, warned, 0.0)
