"""Exact match on held-out pairs against training time: the curriculum of `quick`, and other settings.

    python -m benchmarks skill                     # quick as it is
    python -m benchmarks.skill adamw 'half time'   # some of the settings below

Each setting trains the three phases on a composed corpus, and is evaluated as `hlx validate` does. The seconds include
training, milestones and checkpoints, but not corpus and reports.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.composer.sampling import compose
from hlx_model.corpus import Split, examples_table, read_corpus
from hlx_model.corpus.statistics import statistics
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.model.device import device_of
from hlx_model.profiles import PROFILES, Profile, Schedule
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training

QUICK = PROFILES["quick"]


def budget(share: float, learning_rate: float = 6e-3) -> dict[int, Schedule]:
    """Return the schedules of `quick` with a share of its tokens."""
    return {
        phase: Schedule(s.epochs, int((s.tokens or 0) * share), learning_rate) for phase, s in QUICK.schedules.items()
    }


SETTINGS: dict[str, Profile] = {
    "quick": QUICK,
    "half time": replace(QUICK, entries=QUICK.entries // 2, schedules=budget(0.5)),
    "quarter time": replace(QUICK, entries=QUICK.entries // 4, schedules=budget(0.25)),
    "prompts weigh all": replace(QUICK, prompt_weight=1.0),
    "adamw": replace(QUICK, optimizer="adamw", schedules=budget(1.0, 4e-3)),
    "fp32": replace(QUICK, mixed_precision=False),
    "no replay": replace(QUICK, replay=0.0),
}


@dataclass(frozen=True)
class Skill:
    """The result of a curriculum."""

    seconds: list[float]
    tokens: int
    figures: dict[str, Any]
    failed: list[str]


def curriculum(profile: Profile, document: Path, training: Path) -> Skill:
    """Train and evaluate the three phases."""
    parent: Path | None = None
    seconds, tokens = [], 0
    failed: list[str] = []
    for phase in (1, 2, 3):
        verified = verify_checkpoint(parent) if parent else None
        plan = plan_training(phase, profile, Overrides(), corpus=[document], training=training, parent=verified)
        texts = [*plan.train, *(text for texts in plan.replay for text in texts[: int(len(texts) * profile.replay)])]
        tokens += plan.settings.epochs * sum(len(text) + 1 for text in texts)
        began = time.monotonic()
        parent = train(plan, execution=ExecutionConfig(device_of())).checkpoint
        seconds.append(time.monotonic() - began)
        judgement = evaluate(parent)
        failed += [gate.name for gate in judgement.verdict.gates if gate.outcome == "fail"]
    return Skill(seconds, tokens, judgement.report.to_json()["figures"], failed)


def make_up(document: Path) -> Table:
    """Return a table of what the held-out entries contain."""
    rows = examples_table(read_corpus([document]))
    everything, held_out = statistics(rows), statistics(rows.filter(pc.field("split") != Split.TRAIN))
    table = Table("held out", "", title="what is held out")
    table.add_row("entries", f"{held_out.entries:,} of {rows.num_rows:,}, {held_out.values:,} values")
    table.add_row("with numbers", f"{held_out.number / held_out.sentences:.0%}")
    table.add_row(
        "below zero, floats, awkward strings", f"{held_out.negative}, {held_out.floating}, {held_out.awkward}"
    )
    table.add_row("sections", ", ".join(f"{name} {sum(by.values())}" for name, by in held_out.sections.items()))
    counts = [sum(by.values()) for by in held_out.operations.values()]
    few = ", ".join(everything.operations.keys() - held_out.operations.keys())
    table.add_row("operations", f"{len(counts)}, each {min(counts)} times or more; with too few values for it: {few}")
    table.add_row("depths", ", ".join(f"{depth}: {sum(by.values())}" for depth, by in held_out.depths.items()))
    return table


def main(names: Sequence[str] = ("quick",)) -> None:
    """Print a row for each setting, and what was held out."""
    table = Table(
        "setting",
        "entries",
        "tokens",
        "s a phase",
        "s",
        "to HLX",
        "to English",
        "HLX, English now/then",
        "failed gates",
    )
    console = Console(width=160)
    for name in names:
        profile = SETTINGS[name]
        with tempfile.TemporaryDirectory() as root:
            document, training = Path(root) / "composed.md", Path(root) / "training"
            document.write_text(compose(profile.entries, profile.seed), encoding="utf-8")
            console.print(make_up(document))
            found = curriculum(profile, document, training)
        figures = found.figures
        earlier = ", ".join(f"{e['now']:.3f}/{e['then']:.3f}" for e in figures["earlier_phases"].values())
        table.add_row(
            name, f"{profile.entries:,}", f"{found.tokens / 1e6:.1f}M", " ".join(f"{s:.0f}" for s in found.seconds),
            f"{sum(found.seconds):.0f}", f"{figures['all_to_hlx']['exact_match']:.1%}",
            f"{figures['all_to_english']['exact_match']:.1%}", earlier, ", ".join(found.failed) or "none",
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main(sys.argv[1:] or ["quick"])
