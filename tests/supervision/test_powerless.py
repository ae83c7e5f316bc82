"""An opinion changes nothing: not a byte of a training, not its verdict; and no gate can read one."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hlx_model.checkpoints.seal import list_checkpoints
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import read_json
from hlx_model.layout import CHECKPOINTS, MANIFEST, METRICS, MILESTONE_RESULTS, OPINIONS, PAGE, REPORT, VERDICT
from hlx_model.monitoring.rules import check
from hlx_model.monitoring.snapshots import read_milestones, take_snapshot
from hlx_model.providers.question import Choice
from hlx_model.runs.metrics import read_metrics
from hlx_model.supervision.opinions import read_opinions, record_opinion
from hlx_model.supervision.supervisor import ask_opinion
from hlx_model.training.events import Event, MilestoneJudged
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, plan_training
from tests.support.curriculum import CPU, QUICK
from tests.support.fake_client import FakeClient, answered
from tests.support.supervision import a_briefing, an_answer

REPOSITORY = Path(__file__).parents[2]
CLOCKED = ("tokens_per_second",)
MOMENTS = ("created", "started", "digest")


def trained(document: Path, root: Path, *, supervised: bool) -> Path:
    """Return the FINAL checkpoint of a training; a supervisor advises at each of its gates to stop it."""
    plan = plan_training(
        1, QUICK, Overrides(epochs=6, batch_size=4, learning_rate=3e-3), corpus=[document], training=root / "training"
    )

    def supervise(event: Event) -> None:
        if supervised and isinstance(event, MilestoneJudged):
            curve, gates = read_metrics(plan.directory), read_milestones(plan.directory)
            briefing = a_briefing(
                curve=curve,
                gates=gates,
                step=curve[-1]["step"],
                found=[str(check(take_snapshot(plan.directory, print), 0))],
            )
            stop = an_answer(
                verdict="stop", confidence="high", evidence=[{"step": curve[-1]["step"], "figure": "all of it"}]
            )
            client = FakeClient(lambda question: answered(question, stop))
            record_opinion(plan.directory, ask_opinion(client, Choice("qwen", "q"), briefing, trigger="gates"))

    return train(plan, execution=CPU, emit=supervise).checkpoint


def test_bytes_and_verdict_are_equal_with_and_without_a_supervisor(small_document: Path, tmp_path: Path) -> None:
    without = trained(small_document, tmp_path / "without", supervised=False)
    advised = trained(small_document, tmp_path / "with", supervised=True)
    opinions = read_opinions(advised.parents[1])
    assert [one.epoch for one in opinions] == [1, 5, 6]
    assert {(one.outcome, one.verdict, one.confidence) for one in opinions} == {("answered", "stop", "high")}

    def training(checkpoint: Path) -> dict[str, Any]:
        """Everything that a training leaves, but for clocks and processes."""
        directory, found = checkpoint.parents[1], dict[str, Any]()
        for one in list_checkpoints(directory / CHECKPOINTS):
            for path in one.iterdir():
                found[f"{one.name}/{path.name}"] = path.read_bytes()
            manifest = read_json(one / MANIFEST)
            found[f"{one.name}/{MANIFEST}"] = {k: v for k, v in manifest.items() if k not in MOMENTS}
        found[MILESTONE_RESULTS] = (directory / MILESTONE_RESULTS).read_bytes()
        found[METRICS] = [{k: v for k, v in row.items() if k not in CLOCKED} for row in read_metrics(directory)]
        return found

    assert training(without) == training(advised)
    assert {path.name for path in advised.parents[1].iterdir()} == {
        *(path.name for path in without.parents[1].iterdir()), OPINIONS,
    }  # fmt: skip

    first, second = evaluate(without), evaluate(advised)
    assert Verdict.read(first.directory) == Verdict.read(second.directory)
    assert read_json(first.directory / REPORT)["gates"] == read_json(second.directory / REPORT)["gates"]
    pages = [(one.directory / PAGE).read_text() for one in (first, second)]
    assert ['id="opinions"' in page for page in pages] == [False, True]
    others = {path.name for path in first.directory.iterdir()} - {PAGE, VERDICT, REPORT}
    assert others and all(
        (first.directory / name).read_bytes() == (second.directory / name).read_bytes() for name in others
    )


READS = [
    ("hlx_model/evaluation/gates/words.py", "from hlx_model.supervision.opinions import read_opinions"),
    ("hlx_model/training/loop.py", "from hlx_model.providers.client import ProviderClient"),
    ("hlx_assets/watchdog/runs.py", "from hlx_assets.supervision.look import look_at"),
]
"""A module of each kind, and an import that lets it read an opinion or ask somebody."""


@pytest.mark.slow
@pytest.mark.parametrize(("module", "line"), READS, ids=[module for module, _ in READS])
def test_the_import_contract_fails_if_a_gate_a_trainer_or_the_watchdog_reads_one(
    tmp_path: Path, module: str, line: str
) -> None:
    for name in ("hlx_model", "hlx_assets", "tests", "benchmarks"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.parquet"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)

    def kept() -> "subprocess.CompletedProcess[str]":
        program = "from importlinter.cli import lint_imports_command as lint; lint()"
        return subprocess.run(
            [sys.executable, "-c", program, "--no-cache"], cwd=tmp_path, capture_output=True, text=True, check=False,
            env={"PYTHONPATH": str(tmp_path)},
        )  # fmt: skip

    before = kept()
    assert before.returncode == 0, before.stdout + before.stderr
    path = tmp_path / module
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    after = kept()
    assert after.returncode == 1 and re.search("never reads an opinion, and asks nobody *BROKEN", after.stdout)
