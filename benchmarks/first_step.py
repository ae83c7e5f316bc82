"""Seconds from the start of `make curriculum` to the first step of phase 1, beside those of version 0.1.0.

    make bench ARGS=first_step

Each run is a process with a home of its own; it is stopped after its first step. Installation is not included. The two
versions alternate. Version 0.1.0 is left out if its commit is not in this clone.
"""

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.size import ROOT, VERSION_0_1_0
from hlx_model.layout import Artifacts
from hlx_model.runs.heartbeat import Heartbeat

ENTRIES = (25_000, 100_000)
ROUNDS = 2
LONGEST_SECONDS = 900


def main() -> None:
    """Print the table; takes about 15 minutes."""
    with tempfile.TemporaryDirectory() as folder:
        versions = {"now": ROOT, **older(Path(folder) / "0.1.0")}
        table = Table("entries", *versions, title=f"seconds to the first step, median of {ROUNDS}")
        for entries in ENTRIES:
            seconds: dict[str, list[float]] = {version: [] for version in versions}
            for _ in range(ROUNDS):
                for version, tree in versions.items():
                    seconds[version].append(first_step(tree, entries, Path(folder) / "home"))
            table.add_row(f"{entries:,}", *(f"{statistics.median(times):.1f}" for times in seconds.values()))
    Console().print(table)


def older(folder: Path) -> dict[str, Path]:
    """Return the files of version 0.1.0, written below a folder; empty if its commit is not in this clone."""
    archive = subprocess.run(["git", "archive", VERSION_0_1_0], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        return {}
    folder.mkdir()
    subprocess.run(["tar", "x", "-C", str(folder)], input=archive.stdout, check=True)
    return {"0.1.0": folder}


def first_step(tree: Path, entries: int, home: Path) -> float:
    """Return the seconds from the start of a curriculum to the first step that its heartbeat records.

    Raises:
        RuntimeError: it ended, or took longer than 15 minutes.
    """
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    shutil.copy(tree / "dagster_home" / "dagster.yaml", home)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HLX_", "DAGSTER_"))}
    environment = {"PYTHONPATH": str(tree), "DAGSTER_HOME": str(home), "HLX_ENTRIES": str(entries)}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "hlx_assets.curriculum"],
        cwd=tree,
        env={**clean, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        while process.poll() is None and time.perf_counter() - started < LONGEST_SECONDS:
            if steps(home):
                return time.perf_counter() - started
            time.sleep(0.05)
        raise RuntimeError(f"no training step in {tree} with {entries} entries (exit code {process.poll()})")
    finally:
        stop(process)


def steps(home: Path) -> int:
    """Return the steps that the trainings of a home have made."""
    trainings = Artifacts.at(home / "artifacts").training
    beats = [Heartbeat.read(path) for path in trainings.glob("*/")]
    return max((beat.step for beat in beats if beat), default=0)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a curriculum and its trainer."""
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(60)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main()
