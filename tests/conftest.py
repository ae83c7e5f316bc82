"""Small real things that many claims are about: a document, a curriculum trained on it, and the command."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cli import app
from hlx_model.evaluation.evaluate import EvaluationResult, evaluate
from hlx_model.language import Contract, Format, Handle, render
from hlx_model.profiles import PROFILES
from hlx_model.runs.directory import TrainingResult
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training

# What a developer's environment sets is not for the tests, nor for what they import.
for _name in [name for name in os.environ if name.startswith("HLX_")]:
    if _name not in ("HLX_SHARED", "HLX_UPDATE_DOCS", "HLX_UPDATE_GOLDEN"):
        del os.environ[_name]
os.environ.pop("DAGSTER_PIPES_CONTEXT", None)

# `make nightly`. The default profile is hypothesis's own.
settings.register_profile("nightly", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])

VERBS = {
    "search": "Search for", "filter": "Filter active", "count": "Count the", "sort": "Sort all", "delete": "Delete old",
    "map": "Map each",
}  # fmt: skip
NOUNS = ("documents", "users", "items", "files", "images", "orders", "logs", "songs")


def small_text() -> str:
    """A document of 48 entries whose words each occur in several values, so that some can be held out.

    A composed one has as many words as entries below about 200, and then nothing is held out.
    """
    entries = []
    for verb, words in VERBS.items():
        for noun in NOUNS:
            value = Contract(1000, ((0, verb), (1, Handle(noun))))
            lines = "\n".join(f"{format}: {render(value, format)}" for format in Format)
            entries.append(f"English: {words} {noun}\n{lines}\n")
    return "\n".join(entries)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """A tiny model is slower on several threads, and sums in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def small_document(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus document of 48 entries."""
    path = tmp_path_factory.mktemp("document") / "small.md"
    path.write_text(small_text(), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Trained:
    """One phase that was trained and judged."""

    plan: TrainingPlan
    outcome: TrainingResult
    judgement: EvaluationResult

    @property
    def checkpoint(self) -> Path:
        """Its FINAL checkpoint."""
        return self.outcome.checkpoint


@dataclass(frozen=True)
class Curriculum:
    """Three phases under one root of artifacts. To be read: who changes it takes a copy."""

    document: Path
    root: Path
    phases: dict[int, Trained]

    @property
    def training(self) -> Path:
        """The folder of the trainings."""
        return self.root / "training"


CPU = ExecutionConfig("cpu")
QUICK = replace(PROFILES["quick"], optimizer="adamw", batch_size=4, mixed_precision=False)
"""The settings of the tests where they say nothing else."""
SCHEDULES = {
    1: Overrides(epochs=30, batch_size=1, learning_rate=3e-3, replay=0.1),
    2: Overrides(epochs=2, batch_size=2, learning_rate=1e-3, replay=0.1),
    3: Overrides(epochs=1, batch_size=4, learning_rate=1e-3, replay=0.1),
}


@pytest.fixture(scope="session")
def curriculum(small_document: Path, tmp_path_factory: pytest.TempPathFactory) -> Curriculum:
    """The three phases of the tiny model on the small document, each judged."""
    root = tmp_path_factory.mktemp("artifacts")
    phases: dict[int, Trained] = {}
    parent, parent_verdict = None, None
    for phase, overrides in SCHEDULES.items():
        plan = plan_training(
            phase, QUICK, overrides,
            corpus=[small_document], training=root / "training", parent=parent, parent_verdict=parent_verdict,
            run_id="the run",
        )  # fmt: skip
        outcome = train(plan, execution=CPU)
        parent = verify_checkpoint(outcome.checkpoint)
        phases[phase] = Trained(plan, outcome, evaluate(parent.path))
        parent_verdict = phases[phase].judgement.verdict.parent_verdict
    return Curriculum(small_document, root, phases)


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that says what is wrong."""
        (line,) = [line for line in self.err.splitlines() if line.startswith("error:")]
        return line


Hlx = Callable[..., Ran]


@pytest.fixture
def hlx(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hlx:
    """The command `hlx`, run in this process: `hlx("convert", "5", "--from", "HLXL", …)`."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["hlx", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            app()
        out, err = capsys.readouterr()
        if isinstance(ended.value.code, str):  # what the interpreter prints when it ends
            return Ran(1, out, f"{err}{ended.value.code}\n")
        return Ran(ended.value.code or 0, out, err)

    return run
