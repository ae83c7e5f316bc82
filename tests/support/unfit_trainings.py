"""Trainings in which nothing is broken, and whose models cannot do what their phase is for: each must fail."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from hlx_model.corpus import ENGLISH
from hlx_model.evaluation.pt_file import evaluate_pt_file
from hlx_model.language import Format
from tests.support.broken_trainings import PAIRS, into
from tests.support.pt_model import STEPS, trained_pt
from tests.support.trials import USERS, Document, Found, Training, Trial, judged

FEW = Document("composed", 600)


@dataclass(frozen=True)
class Unfit:
    """One kind of unfit model."""

    about: str
    """What it lacks, for the table."""
    trial: Trial


def _lacking(*targets: str) -> Trial:
    return replace(Trial(PAIRS, evaluated=False), plan=into(*targets))


UNFIT: Mapping[str, Unfit] = {
    "phase 1 too short": Unfit(
        "60,000 tokens at AdamW 1e-4",
        Trial(Training(1, Document("composed", 2000), tokens=60_000, optimizer="adamw", learning_rate=1e-4)),
    ),
    "phase 3 too short": Unfit("one epoch of 600 entries", Trial(Training(3, FEW, tokens=1))),
    "no English→HLX": Unfit("only pairs into English were learned", _lacking(ENGLISH)),
    "no HLX→English": Unfit("only pairs into HLX were learned", _lacking(*Format)),
    **{
        f"no {left_out}": Unfit(
            f"{left_out} is no target in phase 3", _lacking(ENGLISH, *(f for f in Format if f is not left_out))
        )
        # Not HLXL: lines of it in prompts teach it, and a model that never wrote it is right in it.
        for left_out in (Format.LC_R, Format.LC_T, Format.LC_B)
    },
    "names remembered": Unfit(
        "six names a slot, in training and held out: they were remembered, not copied",
        Trial(Training(3, Document("few names", 8000), tokens=4_000_000, tokens_before=600_000)),
    ),
    "three phrasings": Unfit(
        "25,000 entries with at most three phrasings for each value, and listed names: good on its own held-out rows",
        Trial(Training(3, Document("three phrasings", 25_000), tokens=15_500_000, tokens_before=600_000)),
    ),
}
"""By name."""
PT_FILE = "a .pt file"
PT_ABOUT = f"nn.TransformerEncoder, {STEPS} steps on a real document"


def pt_found(folder: Path) -> Found:
    """Train a `.pt` file on the real document, and evaluate it there."""
    path = trained_pt(folder / "model.pt", USERS.path)
    failed, warned = judged(evaluate_pt_file(path, [USERS.path], 3).verdict)
    return Found(failed, "verdict", 0, STEPS, warned, 0.0)
