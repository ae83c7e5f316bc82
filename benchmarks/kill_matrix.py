"""Kill a trainer at every kind of moment: does it resume to the bytes of a training that was never killed?

    make bench ARGS=kill_matrix
    python -m benchmarks.kill_matrix 1000       # so many kills: at each moment, and the rest at random ones

`hlx train` runs in its own processes on a small composed corpus. SIGKILL ends it before each kind of open, write,
fsync, rename, removal and new directory of an undisturbed training, in the middle of each kind of write, and at random
moments, several times in one training. After each kill, every checkpoint with a manifest must verify, and no saved one
may be lost. The same command must then start at once and end with the same files: weights, moments and state of all
checkpoints, curve and gates, and no others.
"""

import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from hlx_model.composer.sampling import compose
from tests.support.faults import Task
from tests.support.kills import Trial, killed_at, killed_at_random, places, undisturbed

KILLS = 60
"""Number of places in an undisturbed training at which it is killed."""
RANDOM_KILLS = 12
ENTRIES, OPTIONS = 150, ("--epochs", "2", "--batch-size", "16")


def trials(root: Path, kills: int | None, random_kills: int) -> Iterator[Trial]:
    """Kill each training in a directory of its own, and finish it."""
    document = root / "corpus.md"
    document.write_text(compose(ENTRIES, seed=0), encoding="utf-8")
    undisturbed(Task(document, root / "first" / "training", OPTIONS))  # the next ones start faster
    events, expected, seconds = undisturbed(Task(document, root / "whole" / "training", OPTIONS))
    chosen = places(events, kills)
    for number, at in enumerate(chosen):
        yield killed_at(Task(document, root / f"at{number}" / "training", OPTIONS), events[at], at, expected)
    random_kills += max(0, (kills or 0) - len(chosen))
    chance = random.Random(random_kills)
    done = number = 0
    while done < random_kills:
        # A resumed training has less to do than a new one.
        delays = [chance.uniform(0.3, 1) * seconds / (1 + n) for n in range(3)]
        task = Task(document, root / f"random{number}" / "training", OPTIONS)
        trial = killed_at_random(task, delays, expected)
        done, number = done + trial.kills, number + 1
        if trial.kills < len(delays):  # the machine has become faster
            seconds *= 0.7
        yield trial


def main(kills: int | None = KILLS, random_kills: int = RANDOM_KILLS) -> None:
    """Print the result of each kind of kill; exit with 1 if anything is wrong. `kills=None` takes every place."""
    console = Console(soft_wrap=True)
    began = time.perf_counter()
    done: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="kill-matrix-") as root:
        for trial in trials(Path(root), kills, random_kills):
            done.append(trial)
            for wrong in [*trial.wrong, *(f"left over: {name}" for name in trial.left_over)]:
                console.print(f"killed at {trial.kind} ({trial.where}): {wrong}", highlight=False)
    table = Table(
        Column("killed at", no_wrap=True), "trainings", "kills", "resumed", "equal bytes", "leftovers", "wrong"
    )
    for kind in dict.fromkeys(trial.kind for trial in done):
        of_kind = [trial for trial in done if trial.kind == kind]
        table.add_row(
            kind, str(len(of_kind)), str(sum(t.kills for t in of_kind)),
            str(sum(t.resumed for t in of_kind)), str(sum(t.equal for t in of_kind)),
            str(sum(len(t.left_over) for t in of_kind)), str(sum(len(t.wrong) for t in of_kind)),
        )  # fmt: skip
    console.print(table)
    well = sum(trial.well for trial in done)
    console.print(
        f"{sum(t.kills for t in done)} kills of {len(done)} trainings: {well} of them ended as the undisturbed one, "
        f"{len(done) - well} did not; {time.perf_counter() - began:.0f} seconds"
    )
    if well < len(done):
        sys.exit(1)


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else None
    main() if wanted is None else main(wanted - wanted // 10, wanted // 10)
