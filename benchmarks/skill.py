"""What a model learns from a composed corpus against training time: the curriculum of `quick`, and other settings.

    python -m benchmarks skill                            # quick as it is
    python -m benchmarks.skill adamw 'half time'          # some of the settings below
    python -m benchmarks.skill quick --seeds 5 real.md    # five seeds, and documents that are not trained on

Each setting trains the three phases on a composed corpus, and is evaluated as `hlx validate` does. The seconds include
training, milestones and checkpoints, but not corpus and reports. The report measures 512 test rows in each direction:
its figures are within 4 points of chance. Here 3,000 rows of validation and test together are measured too. Of
evaluation documents the sentences that are not in training count, in four formats; of the project's own, "first things"
are shown apart.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import pyarrow.compute as pc
from rich.console import Console
from rich.table import Table

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.composer.sampling import compose
from hlx_model.corpus import ENGLISH, PAIRED_CORPUS, Split, examples_table, read_corpus
from hlx_model.corpus.statistics import statistics
from hlx_model.evaluation.documents import DEFAULT
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.measurements import SEED, pick, table_rows
from hlx_model.evaluation.translation import PairRow, rates, sentences_by_value, translate
from hlx_model.model.device import device_of
from hlx_model.profiles import PROFILES, Profile, Schedule
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training

QUICK = PROFILES["quick"]
ROWS = 3_000
"""Rows of validation and test that are translated in each direction, beside those of the report."""


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
    "English weighs all": replace(QUICK, english_weight=1.0),
    "adamw": replace(QUICK, optimizer="adamw", schedules=budget(1.0, 4e-3)),
    "fp32": replace(QUICK, mixed_precision=False),
    "no replay": replace(QUICK, replay=0.0),
    "replay of 4%": replace(QUICK, replay=0.04),
}


@dataclass(frozen=True)
class Skill:
    """The result of a curriculum."""

    seconds: list[float]
    tokens: int
    """Tokens of pairs, replayed ones not counted."""
    shares: dict[str, float]
    """What is right, by what was asked."""
    failed: list[str]


def curriculum(profile: Profile, document: Path, training: Path, asked: Sequence[Path]) -> Skill:
    """Train and evaluate the three phases; ask the last model for the sentences of evaluation documents."""
    parent: Path | None = None
    seconds, tokens = [], 0
    failed: list[str] = []
    for phase in (1, 2, 3):
        verified = verify_checkpoint(parent) if parent else None
        plan = plan_training(phase, profile, Overrides(), corpus=[document], training=training, parent=verified)
        tokens = plan.settings.epochs * sum(len(text) + 1 for text in plan.train)
        began = time.monotonic()
        parent = train(plan, execution=ExecutionConfig(device_of())).checkpoint
        seconds.append(time.monotonic() - began)
        judgement = evaluate(parent, documents=[DEFAULT, *asked])
        failed += [gate.name for gate in judgement.verdict.gates if gate.outcome == "fail"]
    figures, evaluation = judgement.report.translation, judgement.report.evaluation
    assert parent is not None and figures is not None and evaluation is not None
    by_document = {name: rates.exact_match for name, rates in evaluation.by_document.items()}
    shares = {
        "test, to HLX": figures.all_to_hlx.exact_match,
        "test, to English": figures.all_to_english.exact_match,
        "first things": evaluation.by_section["First things"].exact_match,
    }
    return Skill(seconds, tokens, shares | by_document | held_out_rates(parent, document), failed)


def held_out_rates(checkpoint: Path, document: Path) -> dict[str, float]:
    """Return the exact match, 0 to 1, of `ROWS` rows of validation and test in each direction.

    Args:
        checkpoint: of phase 3.
        document: the composed document that it was trained on.
    """
    model = load_model(verify_checkpoint(checkpoint))
    every = table_rows(PAIRED_CORPUS.table(examples_table(read_corpus([document]))), PairRow)
    held_out, sentences = [row for row in every if row.split != Split.TRAIN], sentences_by_value(every)
    directions = {
        "to HLX": [row for row in held_out if row.source == ENGLISH],
        "to English": [row for row in held_out if row.target == ENGLISH],
    }
    return {
        f"{ROWS:,} of validation and test, {name}": rates(
            translate(model, pick(rows, ROWS, SEED), sentences)
        ).exact_match
        for name, rows in directions.items()
    }


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


def main(arguments: Sequence[str] = ()) -> None:
    """Print what is held out, a row for each seed of each setting, and the medians of a setting."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.skill")
    parser.add_argument("names", nargs="*", metavar="SETTING|DOCUMENT")
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args(arguments)
    asked = [Path(name) for name in chosen.names if name not in SETTINGS]
    console = Console(width=160)
    for name in [name for name in chosen.names if name in SETTINGS] or ["quick"]:
        rows: list[Skill] = []
        for seed in range(chosen.seeds):
            profile = replace(SETTINGS[name], seed=seed)
            with tempfile.TemporaryDirectory() as root:
                document, training = Path(root) / "composed.md", Path(root) / "training"
                document.write_text(compose(profile.entries, seed), encoding="utf-8")
                if not seed:
                    console.print(make_up(document))
                rows.append(curriculum(profile, document, training, asked))
            console.print(f"{name}, seed {seed}: {_line(rows[-1])}")
        medians = {what: f"{median([row.shares[what] for row in rows]):.1%}" for what in rows[0].shares}
        table = Table(
            "asked", "median", "worst", title=f"{name}, {profile.entries:,} entries, {rows[0].tokens:,} tokens"
        )
        for what, share in medians.items():
            table.add_row(what, share, f"{min(row.shares[what] for row in rows):.1%}")
        console.print(table)


def _line(row: Skill) -> str:
    shares = ", ".join(f"{what} {share:.1%}" for what, share in row.shares.items())
    seconds = " + ".join(f"{s:.0f}" for s in row.seconds)
    return f"{shares}; {seconds} s; failed gates: {', '.join(row.failed) or 'none'}"


if __name__ == "__main__":
    main(sys.argv[1:])
