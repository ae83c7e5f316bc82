"""Record the curves on which the watchdog's rules are tested: trainings that nothing stops, healthy and broken.

    python -m benchmarks.curves hlx_model/supervision/curves

Each is a small training without abort rules and gates. `hlx watchdog replay` shows what the watchdog finds in its
`metrics.parquet`. It takes two minutes on two cores.
"""

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import typer

from hlx_model.layout import METRICS
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.optimizers import Optimizers
from tests.support.broken_trainings import Spoilt, one_sentence, texts, unshifted
from tests.support.trials import Document, Training, Trial, workshop

CORPUS = Document("composed", 300)
ENGLISH = Training(1, CORPUS, tokens=120_000)
_LOOP, _ENGINE = "hlx_model.training.loop", "hlx_model.training.engine"


def unheeding(*args: Any, **options: Any) -> None:
    """Return None: nothing stops the training."""


class Uphill(Optimizers):
    """Moves slowly uphill after its 60th step."""

    taken = 0

    def step(self, pool: Any = None) -> None:
        """Change the weights by their gradients."""
        self.taken += 1
        if self.taken > 60:
            for group in (group for optimizer in self.all for group in optimizer.param_groups):
                group["lr"] = -abs(group["lr"])
        super().step(pool)


UNSTOPPED: Mapping[str, Any] = {
    f"{_LOOP}.Aborts.after_step": unheeding,
    f"{_LOOP}.Aborts.after_epoch": unheeding,
    f"{_LOOP}._Training.check_gates": unheeding,
}
CURVES = {
    "healthy-english": Trial(ENGLISH, program=UNSTOPPED),
    "healthy-english-slow": Trial(replace(ENGLISH, optimizer="adamw", learning_rate=1e-4), program=UNSTOPPED),
    "healthy-hlx": Trial(Training(2, CORPUS, tokens=200_000), program=UNSTOPPED),
    "healthy-hlx-without-replay": Trial(Training(2, CORPUS, tokens=200_000, replay=0.0), program=UNSTOPPED),
    "healthy-pairs": Trial(Training(3, CORPUS, tokens=300_000), program=UNSTOPPED),
    "diverged": Trial(replace(ENGLISH, learning_rate=0.6), program=UNSTOPPED),
    "not_finite": Trial(ENGLISH, program={**UNSTOPPED, f"{_ENGINE}.Optimizers": Spoilt}),
    "collapsed": Trial(
        replace(ENGLISH, tokens=60_000), texts(one_sentence),
        {**UNSTOPPED, f"{_ENGINE}.next_token_losses": unshifted},
    ),
    "rising": Trial(ENGLISH, program={**UNSTOPPED, f"{_ENGINE}.Optimizers": Uphill}),
}  # fmt: skip
"""By the name of the problem that the watchdog finds, or `healthy`."""


def record(directory: Path) -> None:
    """Record every curve in a folder."""
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as root:
        shop = workshop(Path(root), CURVES.values())
        for name, trial in CURVES.items():
            plan = shop.plan(trial.training)
            plan = replace(plan, id=name, directory=plan.directory.parent / name)
            # A state that is not finite cannot be saved; the curve is recorded by then.
            with trial.broken(), suppress(ValueError):
                train(trial.plan(plan), execution=ExecutionConfig("cpu"))
            shutil.copy(plan.directory / METRICS, directory / f"{name}.parquet")
            typer.echo(name)


if __name__ == "__main__":
    torch.set_num_threads(1)
    typer.run(record)
