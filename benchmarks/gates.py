"""How good the gates are: broken trainings that they catch, healthy ones that they stop, and when.

    python -m benchmarks gates                                # all: about half an hour on two cores
    python -m benchmarks.gates mutants                        # or: healthy
    python -m benchmarks.gates 'plain SGD' 'off by one'       # some of them
    python -m benchmarks.gates --markdown docs/gates-table.md

Each mutant of `tests.support.broken_trainings` is trained with two seeds. It is caught if an abort rule or a gate
stops its training, or its checkpoint fails a check or a gate of the verdict. Healthy trainings, short and long, over
sizes, settings, seeds and corpora, must reach their end with no failed gate in the verdict. The exit code is 1 if a
mutant escapes or a healthy training is stopped.
"""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from hlx_model.evaluation.intervals import wilson
from tests.support.broken_trainings import LINES, MUTANTS, PAIRS, SENTENCES
from tests.support.trials import Document, Found, Training, Trial, Workshop, processes, workshop

SEEDS = (0, 1)
"""The seeds of each mutant."""

SMALL, FEW, MIDDLE, LARGE = (Document("composed", entries) for entries in (300, 600, 2000, 8000))
USERS = Document("users")
HEALTHY = {
    str(training): training
    for training in (
        # As the mutants, with nothing broken.
        *(replace(base, seed=seed) for base in (SENTENCES, LINES, PAIRS) for seed in (0, 1)),
        replace(SENTENCES, optimizer="adamw", learning_rate=3e-3),
        replace(PAIRS, document=Document("composed", 8000), tokens=4_000_000),
        # Phase 1: small and large corpora, fast and slow.
        Training(1, SMALL, seed=2),
        Training(1, SMALL, optimizer="adamw", learning_rate=1e-4, batch_size=4),
        Training(1, SMALL, batch_size=32),
        Training(1, MIDDLE, tokens=300_000, seed=3),
        Training(1, MIDDLE, tokens=60_000, optimizer="adamw", learning_rate=1e-4, batch_size=32),
        Training(1, MIDDLE, optimizer="adamw", learning_rate=1e-3, batch_size=4),
        Training(1, LARGE, tokens=600_000, seed=4),
        Training(1, LARGE, tokens=270_000, optimizer="adamw", learning_rate=1e-4),
        Training(1, USERS, tokens=100_000),
        Training(1, USERS, tokens=100_000, seed=1, optimizer="adamw", learning_rate=1e-4, batch_size=4),
        *(Training(1, FEW, tokens=tokens, seed=seed) for seed, tokens in enumerate((60_000, 120_000, 250_000))),
        Training(1, FEW, tokens=120_000, optimizer="adamw", learning_rate=3e-3, batch_size=32),
        Training(1, MIDDLE, tokens=600_000, optimizer="adamw", learning_rate=1e-4),
        *(Training(1, FEW, tokens=75_000, learning_rate=rate) for rate in (5e-5, 3e-5)),
        # Phase 2.
        Training(2, LARGE, tokens=600_000, optimizer="adamw", learning_rate=1e-4),
        Training(2, FEW, tokens=120_000, seed=1),
        Training(2, FEW, tokens=400_000, seed=2),
        Training(2, SMALL, seed=2, replay=0.0),
        Training(2, SMALL, optimizer="adamw", learning_rate=1e-4, batch_size=32),
        Training(2, MIDDLE, tokens=300_000, seed=3, batch_size=4),
        Training(2, MIDDLE, optimizer="adamw", learning_rate=1e-3, replay=0.0),
        Training(2, LARGE, tokens=300_000, seed=4),
        Training(2, USERS, tokens=100_000, replay=0.0),
        Training(2, USERS, tokens=100_000, seed=1),
        # Phase 3.
        Training(3, SMALL, tokens=400_000, seed=2),
        Training(3, SMALL, tokens=400_000, optimizer="adamw", learning_rate=1e-4, replay=0.0),
        Training(3, MIDDLE, tokens=700_000, seed=3, batch_size=32),
        Training(3, MIDDLE, tokens=700_000, optimizer="adamw", learning_rate=1e-4, batch_size=4),
        Training(3, FEW, tokens=1_200_000, seed=2),
        Training(3, Document("composed", 2500), tokens=1_250_000, seed=6),
        Training(3, MIDDLE, tokens=3_600_000, seed=3),
        Training(3, USERS, tokens=800_000),
        Training(3, USERS, tokens=400_000, seed=1, replay=0.0),
        # 10m: as far as its first gates.
        Training(1, SMALL, tokens=50_000, size="10m", learning_rate=2e-3),
        Training(1, SMALL, tokens=50_000, seed=1, size="10m", optimizer="adamw", learning_rate=1e-4, batch_size=4),
        Training(1, MIDDLE, tokens=70_000, seed=2, size="10m", learning_rate=2e-3),
        Training(1, USERS, tokens=35_000, size="10m", optimizer="adamw", learning_rate=1e-4, batch_size=4),
    )
}
"""Healthy trainings, by their description."""


def carried_out(
    trials: Mapping[str, Trial], root: Path, console: Console, number: int
) -> dict[str, Found | BaseException]:
    """Run trials in parallel, the most expensive first, and print a line for each at its end."""
    results: dict[str, Found | BaseException] = {}
    with processes(number) as pool:
        shop = workshop(root, trials.values(), pool.map)
        waiting = {pool.submit(_carry_out, shop, name): name for name in trials}
        try:
            for done in as_completed(waiting):
                name, error = waiting[done], done.exception()
                results[name] = found = error or done.result()
                told = f"[red]{type(found).__name__}: {found}"
                if isinstance(found, Found):
                    told = f"{named(found.failed)} ({found.when}; {found.seconds:.0f} s)"
                console.print(f"{len(results)}/{len(trials)} {name}: {told}", highlight=False)
        finally:
            pool.shutdown(cancel_futures=True)
    return {name: results[name] for name in trials}


def trial_of(name: str) -> Trial:
    """Return the trial of a name: a healthy training, or a mutant with ` #<seed>` after it."""
    if name in HEALTHY:
        return Trial(HEALTHY[name])
    kind, _, seed = name.rpartition(" #")
    return MUTANTS[kind](int(seed))


def _carry_out(shop: Workshop, name: str) -> Found:
    return shop.carry_out(trial_of(name), name)


def mutants_table(results: Mapping[str, Found]) -> Table:
    """Return a table with a row for each kind of mutant."""
    table = Table("mutant", "what is broken", "phase", "caught", "by", "when", title="mutants")
    for kind, mutant in MUTANTS.items():
        found = [result for name, result in results.items() if name.rpartition(" #")[0] == kind]
        if found:
            table.add_row(
                kind, mutant.about, str(mutant.training.phase), f"{sum(bool(f.failed) for f in found)} of {len(found)}",
                " / ".join(dict.fromkeys(named(f.failed) for f in found)),
                " / ".join(dict.fromkeys(f.when for f in found)),
            )  # fmt: skip
    return table


def healthy_table(results: Mapping[str, Found]) -> Table:
    """Return a table with a row for each healthy training."""
    table = Table("healthy training", "stopped or failed", "came to", "warned", title="healthy trainings")
    for name, found in results.items():
        if name in HEALTHY:
            wrong = ", ".join(found.failed) or "no"
            table.add_row(name, wrong, f"epoch {found.epoch}, step {found.step}", ", ".join(found.warned) or "-")
    return table


def named(failed: Mapping[str, str]) -> str:
    """Return the first of what failed: if a checkpoint does not verify, all its checks fail."""
    names = list(failed)
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "") if names else "nothing"


def rate(what: str, hits: int, number: int) -> str:
    """Return a rate with its interval."""
    low, high = wilson(hits, number)
    return f"{hits} of {number} {what} ({hits / max(1, number):.0%}; 95% interval {low:.0%} to {high:.0%})"


def conclusion(results: Mapping[str, Found]) -> tuple[str, list[str]]:
    """Return both rates, and what is wrong: mutants that escaped, healthy trainings that were stopped."""
    escaped = [f"escaped: {name}" for name, found in results.items() if name not in HEALTHY and not found.failed]
    mutants = sum(name not in HEALTHY for name in results)
    falsely = [
        f"stopped: {name}: " + "; ".join(f"{gate}: {reason}" for gate, reason in found.failed.items())
        for name, found in results.items()
        if name in HEALTHY and found.failed
    ]
    rates = [rate("mutants caught", mutants - len(escaped), mutants)] if mutants else []
    if healthy := len(results) - mutants:
        rates.append(rate("healthy trainings stopped or failed", len(falsely), healthy))
    return "; ".join(rates), [*escaped, *falsely]


def markdown(tables: Sequence[Table], closing: str) -> str:
    """Return the tables in Markdown, and the closing line."""
    parts = []
    for table in tables:
        rows = zip(*(column.cells for column in table.columns), strict=True)
        head = [str(column.header) for column in table.columns]
        lines = [head, ["---"] * len(head), *(list(map(str, row)) for row in rows)]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join([*parts, f"{closing}."]) + "\n"


def names_of(asked: Sequence[str]) -> list[str]:
    """Return the names of trials for groups and names, or all; exit at any other name."""
    groups = {"mutants": list(MUTANTS), "healthy": list(HEALTHY)}
    wanted = [name for one in asked or groups for name in groups.get(one, [one])]
    for name in wanted:
        if name not in MUTANTS and name not in HEALTHY:
            sys.exit(f"error: no mutant or healthy training {name!r}: choose mutants, healthy, or {', '.join(MUTANTS)}")
    return [trial for name in wanted for trial in ([name] if name in HEALTHY else [f"{name} #{s}" for s in SEEDS])]


def measure(
    asked: Annotated[list[str] | None, typer.Argument(metavar="[mutants|healthy|NAME]...", show_default="all")] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write the tables there.")] = None,
    root: Annotated[Path | None, typer.Option(help="Keep corpora and earlier phases here.")] = None,
    number: Annotated[int, typer.Option("--processes", help="Trials in parallel.")] = 2,
) -> None:
    """Run the trials; print what was caught and what was stopped."""
    console = Console(width=200)
    names = names_of(asked or [])
    if not USERS.path.exists():
        console.print(f"{USERS.path} is missing: its trials are left out")
        names = [name for name in names if name not in HEALTHY or HEALTHY[name].document != USERS]
    with tempfile.TemporaryDirectory() as temporary:
        found = carried_out({name: trial_of(name) for name in names}, root or Path(temporary), console, number)
    results = {name: result for name, result in found.items() if isinstance(result, Found)}
    tables = [table for table in (mutants_table(results), healthy_table(results)) if table.row_count]
    closing, wrong = conclusion(results)
    wrong += [f"crashed: {name}: {error!r}" for name, error in found.items() if not isinstance(error, Found)]
    console.print(*tables, closing, *wrong, sep="\n", highlight=False)
    if markdown_file is not None:
        markdown_file.write_text(markdown(tables, closing), encoding="utf-8")
    if wrong:
        raise SystemExit(1)


def main() -> None:
    """Run the command with its defaults."""
    measure()


if __name__ == "__main__":
    typer.run(measure)
