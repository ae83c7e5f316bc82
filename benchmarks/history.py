"""The history of 100 and of 1,000 trainings, computed from all their files.

    python -m benchmarks.history

The trainings are made up, each with the files that an evaluated training of phase 3 leaves. Whole processes are
measured too: `hlx history`, `hlx lineage show` of the newest training, and one that only imports what they need.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hlx_model.checkpoints.manifest import CorpusVersion, Manifest, Parent
from hlx_model.history import history
from hlx_model.layout import Artifacts
from hlx_model.runs.heartbeat import Heartbeat

NUMBERS = (100, 1_000)
ROUNDS = 5
EPOCHS, RECORDS, EXAMPLES = 20, 80, 40
"""Of a training: its report has 40 kB."""
_START = "import typer, rich.console, rich.table, pyarrow.parquet, hlx_model.checkpoints.manifest"
_HLX = "import sys; sys.argv[0] = 'hlx'; from hlx_model.cli import app; app()"


def main() -> None:
    """Print the table; takes about a minute."""
    table = Table(
        "trainings", "history ms", "hlx history ms", "hlx lineage show ms", "start ms",
        title=f"the history of all trainings, median of {ROUNDS} rounds",
    )  # fmt: skip
    for number in NUMBERS:
        with tempfile.TemporaryDirectory() as folder:
            table.add_row(f"{number:,}", *measured(Artifacts.at(Path(folder)), number))
    Console().print(table)


def measured(artifacts: Artifacts, number: int) -> list[str]:
    """The cells of one row, of so many trainings made up for it."""
    for i in range(number):
        make_up(artifacts, i)
    newest = max(path.name for path in artifacts.training.iterdir())
    work: dict[str, Callable[[], object]] = {
        "history": lambda: history(artifacts.training),
        "hlx history": lambda: process(_HLX, artifacts),
        "hlx lineage show": lambda: process(_HLX, artifacts, "lineage", "show", newest),
        "start": lambda: process(_START, artifacts),
    }
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, run in work.items():
            began = time.perf_counter()
            run()
            found.setdefault(name, []).append((time.perf_counter() - began) * 1000)
    return [f"{statistics.median(times):,.0f}" for times in found.values()]


def process(program: str, artifacts: Artifacts, *arguments: str) -> None:
    """Run `hlx history`, another command, or a program of nothing but its imports, as a process of its own."""
    command = [sys.executable, "-c", program, *(arguments or ("history",))]
    command += ["--checkpoint-dir", str(artifacts.training)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "COLUMNS": "120"})


def make_up(artifacts: Artifacts, number: int) -> None:
    """Write a training of phase 3 that ended and was evaluated, with the files that the history reads."""
    name = f"{number:016x}"
    directory = artifacts.training / name
    checkpoint = directory / "checkpoints" / f"phase3_FINAL_epoch{EPOCHS}"
    weights = f"{number:064x}"
    corpora = {
        asset: CorpusVersion(data_version=f"{number % 7:064x}", path=f"corpora/{asset}/{number % 7:064x}")
        for asset in ("paired_corpus", "hlx_corpus", "english_corpus")
    }
    settings = {"batch_size": 4, "seq_length": 256, "learning_rate": 1e-3 * (1 + number % 5), "seed": number}
    manifest = Manifest(
        kind="FINAL", phase=3, epoch=EPOCHS, epochs=EPOCHS, step=1000, size="tiny", parameters=1, training_id=name,
        settings=settings, vocabulary_sha256="0" * 64, corpora=corpora,
        parent=Parent(
            training_id="f" * 16, name="phase2_FINAL_epoch9", phase=2, epoch=9, weights_sha256="0" * 64
        ),
        stopped=None, versions={}, run_id="a run",
        created="2026-01-01T00:00:00+00:00", device="cpu", code={"version": "2", "commit": "0" * 40, "dirty": False},
        weights_sha256=weights, files={},
    )  # fmt: skip
    write(checkpoint / "manifest.json", manifest.to_json())
    for kept in (f"phase3_BEST_epoch{EPOCHS - 1}", "phase3_epoch1", "phase3_epoch5", "phase3_epoch10"):
        write(directory / "checkpoints" / kept / "manifest.json", manifest.to_json())
    milestones = [{"epoch": epoch, "gates": gates(5)} for epoch in (1, 5, 10)]
    write(checkpoint / "state.json", {"best_loss": 0.2, "epoch_losses": [0.3] * EPOCHS, "milestones": milestones})
    beat = Heartbeat(name, 3, "tiny", EPOCHS, status="completed", epoch=EPOCHS, step=1000, steps=1000)
    beat.train_loss, beat.held_out_loss, beat.started = 0.1, 0.2, 1.7e9 + number
    beat.write(directory)
    report = artifacts.report(checkpoint)
    verdict = {"outcome": "pass", "weights_sha256": weights, "gates_version": "3", "gates": gates(11)}
    write(report / "verdict.json", verdict)
    rates = {"samples": 100, "exact_match": 0.9, "exact_match_interval": [0.8, 0.95], "parse_rate": 1.0}
    many = {f"{i}": rates for i in range(60)}
    point = {"step": 1, "epoch": 1, "train_loss": 0.1234567, "held_out_loss": None, "learning_rate": 0.00123}
    answer = {"target": "LC-R", "prompt": "x" * 60, "expected": "y" * 60, "written": "z" * 60, "exact": True}
    figures = {"all_to_hlx": rates, "all_to_english": rates, "by_operation": many}
    content = {
        **verdict, "grade": {"letter": "A", "points": 95.0}, "figures": figures, "examples": [answer] * EXAMPLES,
        "milestones": milestones, "curve": [point] * RECORDS,
    }  # fmt: skip
    write(report / "report.json", content)


def gates(number: int) -> list[dict[str, Any]]:
    """So many answers of gates."""
    return [{"name": f"gate {i}", "outcome": "pass", "reason": "r" * 90, "value": 0.123456789} for i in range(number)]


def write(path: Path, content: object) -> None:
    """JSON as the artifacts have it, without waiting for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
