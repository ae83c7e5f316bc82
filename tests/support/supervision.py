"""What tests of the supervisor share: a curve, a briefing, and answers."""

from typing import Any

from hlx_model.supervision.briefing import Briefing, Sample
from hlx_model.supervision.opinions import Opinion, Trigger
from hlx_model.verdicts import GateResult, Milestone


def curve(steps: int = 60, epoch_steps: int = 10) -> list[dict[str, Any]]:
    """Return the rows of a healthy training: one every second step, and one at the end of each epoch."""
    return [
        {
            "step": step, "epoch": (step - 1) // epoch_steps + 1, "train_loss": 4.8 / step**0.5,
            "held_out_loss": 5 / step**0.5 if step % epoch_steps == 0 else None, "learning_rate": 3e-4,
        }
        for step in range(2, steps + 1, 2)
    ]  # fmt: skip


def a_briefing(**changes: Any) -> Briefing:
    """Return what is known of a small healthy training."""
    gates = (Milestone(epoch=5, outcome="warn", gates=(GateResult("copy_rate", "warn", "40% (good ≤ 30%)"),)),)
    known: dict[str, Any] = {
        "phase": 1, "size": "tiny", "step": 60, "steps": 100, "epoch": 6, "epochs": 10, "curve": curve(),
        "settings": {"learning_rate": 0.003, "batch_size": 16}, "gates": gates, "found": (),
        "samples": (Sample("Search for ", "documents"),),
    }  # fmt: skip
    return Briefing(**{**known, **changes})


def an_answer(**changes: Any) -> dict[str, Any]:
    """Return an answer that has the schema, and cites the last step of the briefing."""
    return {
        "verdict": "watch", "confidence": "medium", "signs": ["flat validation loss"],
        "evidence": [{"step": 60, "figure": "validation loss 0.65"}], "advice": "Look again.", "note": "It slows.",
        **changes,
    }  # fmt: skip


def an_opinion(time: float, trigger: Trigger = "time", **changes: Any) -> Opinion:
    """Return an opinion for the record."""
    known = {"step": 60, "epoch": 6, "provider": "qwen", "model": "qwen3:8b", "outcome": "answered"}
    return Opinion.from_json({"time": time, "trigger": trigger, **known, **changes})
