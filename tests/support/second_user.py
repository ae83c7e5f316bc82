"""Two users of one group share a training: the first is interrupted, the second resumes, evaluates and cleans it.

    python -m tests.support.second_user FOLDER

Run by `test_second_user.py`, as root, in a process of its own: it takes the effective ids of both users in turn, which
decide what a process may read and write. Processes of theirs would not do: Python itself may lie where only root reads.
FOLDER belongs to the group `GROUP`, has its setgid bit and holds `document.md`. Prints what happened, as JSON.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from hlx_model.cleanup import carry_out, plan_cleanup
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.training.events import Event, Recorded
from hlx_model.training.loop import Interrupted, train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from tests.support.curriculum import CPU, QUICK
from tests.support.documents import small_text

FIRST, SECOND, GROUP = 1234, 1235, 4321


@contextmanager
def user(uid: int) -> Iterator[None]:
    """Have the rights of a user whose own group is not `GROUP`, but who is in it; 0 stays root."""
    before = os.getgroups()
    os.setgroups([GROUP])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)


def planned(folder: Path) -> TrainingPlan:
    overrides = Overrides(epochs=2, batch_size=1, learning_rate=1e-3)
    training = folder / "artifacts" / "training"
    return plan_training(1, QUICK, overrides, corpus=[folder / "document.md"], training=training)


def shared(folder: Path, first: int, second: int) -> dict[str, Any]:
    """Run one training as two users; return what each of them did."""
    steps: dict[int, list[int]] = {0: [], 1: []}

    def interrupt(event: Event) -> None:
        if isinstance(event, Recorded):
            steps[0].append(event.row["step"])
            if event.row["epoch"] == 2:
                signal.raise_signal(signal.SIGINT)

    def emit(event: Event) -> None:
        if isinstance(event, Recorded):
            steps[1].append(event.row["step"])

    with user(first):
        one = planned(folder)
        try:
            train(one, execution=CPU, emit=interrupt)
        except Interrupted:
            left = sorted(path.name for path in (one.directory / "checkpoints").iterdir())
        else:
            raise AssertionError("the first training was not interrupted")
    with user(second):
        outcome = train(planned(folder), execution=CPU, emit=emit)
        evaluate(outcome.checkpoint)
    with user(first):
        evaluate(outcome.checkpoint)
    with user(second):
        again = evaluate(outcome.checkpoint)
        done = carry_out(plan_cleanup(one.directory.parent))
    return {
        "left": left,
        "interrupted": steps[0][-1],
        "resumed": steps[1][0],
        "directory": str(one.directory),
        "checkpoint": str(outcome.checkpoint),
        "report": str(again.directory),
        "removed": [item.path.name for item in done.removed],
        "failed": [f"{item.path}: {item.reason}" for item in done.failed],
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    os.umask(0o002)
    # Python forgets what packages there are as soon as it cannot read their folder.
    metadata.version = cache(metadata.version)
    with tempfile.TemporaryDirectory() as warm:
        # Imports what is imported while it trains, before that cannot be read any more.
        (Path(warm) / "document.md").write_text(small_text(), encoding="utf-8")
        shared(Path(warm), 0, 0)
    sys.stdout.write(json.dumps(shared(folder, FIRST, SECOND)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
