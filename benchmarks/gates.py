"""How good the gates are: broken trainings that they catch, healthy ones that they stop, unfit models that they pass.

    python -m benchmarks gates                                # all: hours on two cores, phase 3 most of them
    python -m benchmarks.gates mutants                        # or: healthy, unfit
    python -m benchmarks.gates 'plain SGD' 'off by one'       # some of them
    python -m benchmarks.gates --markdown docs/gates-table.md

Each mutant of `tests.support.broken_trainings` is trained with two seeds. It is caught if an abort rule or a gate
stops its training, or its checkpoint fails a check or a gate of the verdict; the same training with nothing broken must
not fail. Healthy trainings, short and long, over sizes, settings, seeds and corpora, must not be stopped, and end with
the verdict that is expected of them: most are too short to be fit. The models of `tests.support.unfit_trainings` must
all fail. The exit code is 1 if anything else was found.
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
from hlx_model.verdicts import Outcome
from tests.support.broken_trainings import CONTROLS, LINES, MUTANTS, PAIRS, SENTENCES, Mutant
from tests.support.trials import USERS, Document, Found, Training, Trial, Workshop, processes, workshop
from tests.support.unfit_trainings import PT_ABOUT, PT_FILE, UNFIT, pt_found

SEEDS = (0, 1)
"""The seeds of each mutant."""

BROKEN: Mapping[str, Mutant] = {**MUTANTS, **CONTROLS}
SMALL, FEW, MIDDLE, LARGE = (Document("composed", entries) for entries in (300, 600, 2000, 8000))
HEALTHY_BY_VERDICT: Mapping[Outcome, Sequence[Training]] = {
    "pass": (  # Long enough for what their phase requires.
        replace(SENTENCES, seed=0),
        replace(SENTENCES, seed=1),
        Training(1, SMALL, seed=2),
        Training(1, LARGE, tokens=600_000, seed=4),
        Training(1, USERS, tokens=100_000),
        Training(1, FEW, tokens=250_000, seed=2),
        Training(2, FEW, tokens=400_000, seed=2),
    ),
    "warn": (  # Learned by heart, or with a flaw that is named.
        replace(LINES, seed=0),
        replace(LINES, seed=1),
        Training(1, MIDDLE, tokens=300_000, seed=3),
        Training(2, MIDDLE, tokens=300_000, seed=3, batch_size=4),
        Training(2, LARGE, tokens=300_000, seed=4),
        Training(3, USERS, tokens=800_000),
        replace(SENTENCES, optimizer="adamw", learning_rate=3e-3),
    ),
    "fail": (  # Too short, or too slow for their length: not broken, and not fit.
        replace(PAIRS, seed=0),
        replace(PAIRS, seed=1),
        Training(3, LARGE, tokens=4_000_000),
        Training(1, SMALL, optimizer="adamw", learning_rate=1e-4, batch_size=4),
        Training(1, SMALL, batch_size=32),
        Training(1, MIDDLE, tokens=60_000, optimizer="adamw", learning_rate=1e-4, batch_size=32),
        Training(1, MIDDLE, optimizer="adamw", learning_rate=1e-3, batch_size=4),
        Training(1, LARGE, tokens=270_000, optimizer="adamw", learning_rate=1e-4),
        Training(1, USERS, tokens=100_000, seed=1, optimizer="adamw", learning_rate=1e-4, batch_size=4),
        Training(1, FEW, tokens=60_000, seed=0),
        Training(1, FEW, tokens=120_000, seed=1),
        Training(1, FEW, tokens=120_000, optimizer="adamw", learning_rate=3e-3, batch_size=32),
        Training(1, MIDDLE, tokens=600_000, optimizer="adamw", learning_rate=1e-4),
        Training(1, FEW, tokens=75_000, learning_rate=5e-5),
        Training(1, FEW, tokens=75_000, learning_rate=3e-5),
        Training(2, LARGE, tokens=600_000, optimizer="adamw", learning_rate=1e-4),
        Training(2, FEW, tokens=120_000, seed=1),
        Training(2, SMALL, seed=2, replay=0.0),
        Training(2, SMALL, optimizer="adamw", learning_rate=1e-4, batch_size=32),
        Training(2, MIDDLE, optimizer="adamw", learning_rate=1e-3, replay=0.0),
        Training(2, USERS, tokens=100_000, replay=0.0),
        Training(2, USERS, tokens=100_000, seed=1),
        Training(3, SMALL, tokens=400_000, seed=2),
        Training(3, SMALL, tokens=400_000, optimizer="adamw", learning_rate=1e-4, replay=0.0),
        Training(3, MIDDLE, tokens=700_000, seed=3, batch_size=32),
        Training(3, MIDDLE, tokens=700_000, optimizer="adamw", learning_rate=1e-4, batch_size=4),
        Training(3, FEW, tokens=1_200_000, seed=2),
        Training(3, Document("composed", 2500), tokens=1_250_000, seed=6),
        Training(3, MIDDLE, tokens=3_600_000, seed=3),
        Training(3, USERS, tokens=400_000, seed=1, replay=0.0),
        Training(1, SMALL, tokens=50_000, size="10m", learning_rate=2e-3),
        Training(1, SMALL, tokens=50_000, seed=1, size="10m", optimizer="adamw", learning_rate=1e-4, batch_size=4),
        Training(1, MIDDLE, tokens=70_000, seed=2, size="10m", learning_rate=2e-3),
        Training(1, USERS, tokens=35_000, size="10m", optimizer="adamw", learning_rate=1e-4, batch_size=4),
    ),
}
"""Healthy trainings, by the verdict that is expected of them."""
HEALTHY = {str(training): training for trainings in HEALTHY_BY_VERDICT.values() for training in trainings}
"""The same by their description."""
EXPECTED = {str(training): verdict for verdict, trainings in HEALTHY_BY_VERDICT.items() for training in trainings}
GROUPS = {"mutants": list(BROKEN), "healthy": list(HEALTHY), "unfit": [*UNFIT, PT_FILE]}


def carried_out(
    trials: Mapping[str, Trial | None], root: Path, console: Console, number: int
) -> dict[str, Found | BaseException]:
    """Run trials in parallel, the most expensive first, and print a line for each at its end."""
    results: dict[str, Found | BaseException] = {}
    with processes(number) as pool:
        shop = workshop(root, filter(None, trials.values()), pool.map)
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


def trial_of(name: str) -> Trial | None:
    """Return the trial of a name: of a healthy training, an unfit model, or a mutant with ` #<seed>` after it.

    A `.pt` file has none: hlx does not train it.
    """
    if name in HEALTHY:
        return Trial(HEALTHY[name])
    if name in UNFIT:
        return UNFIT[name].trial
    kind, _, seed = name.rpartition(" #")
    return None if name == PT_FILE else BROKEN[kind](int(seed))


def _carry_out(shop: Workshop, name: str) -> Found:
    trial = trial_of(name)
    return pt_found(shop.root) if trial is None else shop.carry_out(trial, name)


def mutants_table(results: Mapping[str, Found]) -> Table:
    """Return a table with a row for each kind of mutant."""
    table = Table("mutant", "what is broken", "phase", "caught", "by", "when", title="mutants")
    for kind, mutant in BROKEN.items():
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
    table = Table("healthy training", "stopped", "came to", "expected", "verdict", "failed", title="healthy trainings")
    for name in HEALTHY:
        if found := results.get(name):
            stopped = "no" if found.where == "verdict" else named(found.failed)
            came_to = f"epoch {found.epoch}, step {found.step}"
            table.add_row(name, stopped, came_to, EXPECTED[name], found.outcome, ", ".join(found.failed) or "-")
    return table


def unfit_table(results: Mapping[str, Found]) -> Table:
    """Return a table with a row for each unfit model."""
    table = Table("unfit model", "what it lacks", "verdict", "failed", title="unfit models")
    for name, about in {**{name: unfit.about for name, unfit in UNFIT.items()}, PT_FILE: PT_ABOUT}.items():
        if found := results.get(name):
            table.add_row(name, about, found.outcome, named(found.failed))
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
    """Return the rates, and what is wrong: each trial whose result is not the expected one."""
    of_kind = {name: name.rpartition(" #")[0] for name in results}
    caught = {name: bool(found.failed) for name, found in results.items() if of_kind[name] in MUTANTS}
    stopped = {name: found.where != "verdict" for name, found in results.items() if name in HEALTHY}
    passed = {name: not found.failed for name, found in results.items() if name in GROUPS["unfit"]}
    wrong = [f"escaped: {name}" for name, hit in caught.items() if not hit]
    wrong += [f"stopped: {name}: {_reasons(results[name])}" for name, hit in stopped.items() if hit]
    wrong += [f"passed, not fit: {name}" for name, hit in passed.items() if hit]
    wrong += [
        f"failed with nothing broken: {n}: {_reasons(f)}"
        for n, f in results.items()
        if of_kind[n] in CONTROLS and f.failed
    ]
    wrong += [
        f"{found.outcome}, expected {EXPECTED[name]}: {name}: {_reasons(found)}"
        for name, found in results.items()
        if name in EXPECTED and found.outcome != EXPECTED[name]
    ]
    rates = {"mutants caught": caught, "healthy trainings stopped": stopped, "unfit models passed": passed}
    return "; ".join(rate(what, sum(hits.values()), len(hits)) for what, hits in rates.items() if hits), wrong


def _reasons(found: Found) -> str:
    return "; ".join(f"{gate}: {reason}" for gate, reason in (found.failed or found.warned).items())


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
    wanted = [name for one in asked or GROUPS for name in GROUPS.get(one, [one])]
    known = [name for names in GROUPS.values() for name in names]
    if unknown := [name for name in wanted if name not in known]:
        sys.exit(f"error: no trial {unknown[0]!r}: choose {', '.join(GROUPS)}, or {', '.join([*BROKEN, *UNFIT])}")
    return [trial for name in wanted for trial in ([f"{name} #{s}" for s in SEEDS] if name in BROKEN else [name])]


def _missing(name: str) -> str | None:
    trial = trial_of(name)
    return USERS.missing if trial is None else trial.training.document.missing


def measure(
    asked: Annotated[
        list[str] | None, typer.Argument(metavar="[mutants|healthy|unfit|NAME]...", show_default="all")
    ] = None,
    markdown_file: Annotated[Path | None, typer.Option("--markdown", help="Write the tables there.")] = None,
    root: Annotated[Path | None, typer.Option(help="Keep corpora and earlier phases here.")] = None,
    number: Annotated[int, typer.Option("--processes", help="Trials in parallel.")] = 2,
) -> None:
    """Run the trials; print what was caught and what was stopped."""
    console = Console(width=200)
    names = names_of(asked or [])
    missing = {name: what for name in names if (what := _missing(name))}
    for what in dict.fromkeys(missing.values()):
        console.print(f"{what}: its trials are left out")
    names = [name for name in names if name not in missing]
    with tempfile.TemporaryDirectory() as temporary:
        found = carried_out({name: trial_of(name) for name in names}, root or Path(temporary), console, number)
    results = {name: result for name, result in found.items() if isinstance(result, Found)}
    tables = [t for t in (mutants_table(results), healthy_table(results), unfit_table(results)) if t.row_count]
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
