"""Training on kept corpora of any size: time to the first step, peak memory, and the same bytes after a stop.

`benchmarks/corpus.py` calls it. Phases 1 and 2 make a few steps on corpora of the same size: phase 3 starts from their
weights and replays their texts.
"""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import psutil
from rich.table import Table

from benchmarks.sampling import sampling

PARENT_STEPS = 5
ONE_GO = "one_go"
"""The folder of the training that is not stopped; the others are in `training`."""
_SAMPLED_EVERY = 0.02
"""Seconds between two looks at the memory."""


class Run(NamedTuple):
    """One process that trains a phase up to a step."""

    phase: int
    step: int
    folder: str = "training"


RUNS = {
    "phase 1": Run(1, PARENT_STEPS),
    "phase 2": Run(2, PARENT_STEPS),
    "phase 3, 200 steps": Run(3, 200),
    "phase 3, resumed to 250": Run(3, 250),
    "phase 3, 250 in one go": Run(3, 250, ONE_GO),
}
"""By name, in their order."""


def table(entries: int, folder: Path, in_a_process: Callable[[str], dict[str, float]]) -> Table:
    """Run every training, and return the table; its caption says whether the bytes after the stop are the same."""
    columns = ("first step after s", "steps", "tokens/s", "peak RssAnon GiB", "peak RSS GiB", "token file GiB")
    shown = Table("training", *columns)
    for name in RUNS:
        found = in_a_process(name)
        memory = [f"{found[kind] / 2**30:.2f}" for kind in ("anonymous", "resident", "token_file")]
        steps, speed = f"{found['steps']:.0f}", f"{found['tokens_per_second']:,.0f}"
        shown.add_row(name, f"{found['first_step']:.1f}", steps, speed, *memory)
    shown.title = f"{entries:,} entries, tiny, on a kept corpus; from the start of the process"
    same = _bytes(folder, "training") == _bytes(folder, ONE_GO)
    shown.caption = f"weights and moments after a stop at step 200 and in one go: {'the same' if same else 'DIFFERENT'}"
    return shown


def run(name: str, folder: Path) -> dict[str, float]:
    """Train up to the step of a run, and return what it took.

    Returns:
        `first_step`: seconds from the start of the process to the end of its first step; `steps` made here;
        `tokens_per_second`; `anonymous` and `resident`: peak bytes of `RssAnon` and `VmRSS`; `token_file`: bytes.
    """
    with _peaks() as peaks:
        from hlx_model.checkpoints.seal import verify_checkpoint
        from hlx_model.corpus.tokens import token_files
        from hlx_model.phases import PHASES
        from hlx_model.profiles import profile
        from hlx_model.training.execution import ExecutionConfig
        from hlx_model.training.loop import Interrupted, train
        from hlx_model.training.plan import Overrides, plan_training

        wanted, execution = RUNS[name], ExecutionConfig("cpu")
        (corpus,) = (folder / "corpora" / PHASES[wanted.phase].corpus).iterdir()
        parent = verify_checkpoint(_last(folder / "training", wanted.phase - 1)) if wanted.phase > 1 else None
        plan = plan_training(
            wanted.phase, profile("quick"), Overrides(size="tiny"),
            corpus=[corpus], training=folder / wanted.folder, parent=parent, execution=execution,
        )  # fmt: skip
        with _stopped_after(wanted.step) as steps, suppress(Interrupted):
            train(plan, execution=execution)
    started = psutil.Process().create_time()
    tokens, seconds = sum(step.tokens for step in steps[1:]), steps[-1].time - steps[0].time
    return {
        "first_step": steps[0].time - started, "steps": len(steps), "tokens_per_second": tokens / max(seconds, 1e-9),
        **peaks, "token_file": sum(path.stat().st_size for path in token_files(corpus)),
    }  # fmt: skip


class _Step(NamedTuple):
    time: float
    """When it had been made: Unix seconds."""
    tokens: int


@contextmanager
def _stopped_after(step: int) -> Iterator[list[_Step]]:
    """Send this process SIGINT, as a terminal does, when a training has made so many steps; yield its steps."""
    from hlx_model.training import engine
    from hlx_model.training.batches import Batch

    done: list[_Step] = []
    original = engine.Engine.steps

    def steps(self: engine.Engine, batches: Sequence[Batch], first: int) -> list[engine.Step]:
        found = original(self, batches, first)
        done.extend(_Step(time.time(), batch.tokens) for batch in batches)
        if first + len(batches) >= step:
            os.kill(os.getpid(), signal.SIGINT)
        return found

    with patch.object(engine.Engine, "steps", steps):
        yield done


@contextmanager
def _peaks() -> Iterator[dict[str, float]]:
    """Yield the peak bytes of this process's memory, which are filled in while the block runs."""
    peaks = {"anonymous": 0.0, "resident": 0.0}
    fields = {"anonymous": "RssAnon", "resident": "VmRSS"}

    def look() -> None:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        for name, field in fields.items():
            if found := re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE):
                peaks[name] = max(peaks[name], int(found[1]) * 1024.0)

    with sampling(look, _SAMPLED_EVERY):
        yield peaks


def _last(training: Path, phase: int) -> Path:
    """Return the newest checkpoint of a phase in a folder of trainings."""
    found = training.glob(f"*/checkpoints/phase{phase}_LAST_step*")
    return max(found, key=lambda path: int(path.name.rpartition("step")[2]))


def _bytes(folder: Path, training: str) -> list[str]:
    """Return the SHA-256 of weights and moments of phase 3's newest checkpoint."""
    from hlx_model.files import sha256_of
    from hlx_model.layout import OPTIMIZER, WEIGHTS

    return [sha256_of(_last(folder / training, 3) / name) for name in (WEIGHTS, OPTIMIZER)]
