"""Kill the Training Center, trainers, and everything at once: are the states right, and does what was cut resume?

    make bench ARGS=center_kills
    python -m benchmarks.center_kills 3         # so many trials

In each trial three trainings of phase 1 are queued over HTTP, the third is moved up and the second cancelled. At random
moments SIGKILL ends the Center (it is started again), then the trainer, then all processes of the home at once
(`make ui` is started again). After each kill every state must be right within a minute: nothing is shown as running
that does not run, and nothing waits or has failed without a reason. What was cut is resumed over HTTP and must end with
the bytes of a training that nothing killed.
"""

import logging
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from tests.support.center_kills import Trial, trial
from tests.support.dagster_home import Home, make_home, opened

TRIALS = 10


def main(trials: int = TRIALS) -> None:
    """Print what each kind of kill did; exit with 1 if anything is wrong."""
    logging.disable(logging.INFO)
    console, began, chance = Console(soft_wrap=True), time.perf_counter(), random.Random(trials)
    done: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="center-kills-") as folder:
        root = Path(folder)
        make_home(root / "first")
        with opened(root / "first") as home:
            assert home.materialize("corpus_document", "corpus_examples", "english_corpus").success
        for number in range(trials):
            path = root / f"home{number}"
            shutil.copytree(root / "first", path)
            with opened(path):
                seeds = [3 * number + 1, 3 * number + 2, 3 * number + 3]
                done.append(trial(Home(path), root / "whole", seeds, chance))
            for kill in done[-1].kills:
                console.print(
                    f"trial {number + 1}: {kill.kind} killed at {kill.after:.1f} s, right {kill.seconds:.1f} s later "
                    + "; ".join(kill.wrong), highlight=False,
                )  # fmt: skip
            for wrong in done[-1].wrong:
                console.print(f"trial {number + 1}: {wrong}", highlight=False)
            shutil.rmtree(path)
    table = Table(Column("killed", no_wrap=True), "kills", "right within (median)", "at most", "wrong")
    for kind in ("center", "trainer", "everything"):
        kills = [kill for one in done for kill in one.kills if kill.kind == kind]
        seconds = [kill.seconds for kill in kills]
        table.add_row(
            kind, str(len(kills)), f"{statistics.median(seconds):.1f} s", f"{max(seconds):.1f} s",
            str(sum(bool(kill.wrong) for kill in kills)),
        )  # fmt: skip
    console.print(table)
    equal, trained = sum(one.equal for one in done), 2 * len(done)
    console.print(
        f"{trained} trainings, {sum(one.resumed for one in done)} resumptions: {equal} ended with the bytes of an "
        f"undisturbed one; {time.perf_counter() - began:.0f} seconds"
    )
    if equal < trained or any(kill.wrong for one in done for kill in one.kills):
        sys.exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1])) if len(sys.argv) > 1 else main()
