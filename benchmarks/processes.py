"""The memory of `make ui`, and of two runs that each train the tiny model beside it.

    make bench ARGS=processes

The memory of a process is its proportional set size: what it shares with others counts for each of them in part.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from hlx_assets.watchdog.runs import worker_of
from hlx_model.training.memory import GIB
from tests.support.dagster_home import Home, make_home, opened
from tests.support.live_dagster import Ui, corpora, make_ui, processes_of, running_training, start_phase1

RUNS = 2


def memory(processes: Sequence[psutil.Process]) -> float:
    """The memory of some processes in GiB."""
    return float(sum(process.memory_full_info().pss for process in processes) / GIB)


def measured(home: Home, ui: Ui) -> Table:
    """Start the runs, and return the memory of everything."""
    table = Table("processes", "number", "GiB", "GiB each")

    def row(name: str, processes: Sequence[psutil.Process]) -> None:
        total = memory(processes)
        table.add_row(name, str(len(processes)), f"{total:.2f}", f"{total / len(processes):.2f}")

    row("make ui without a run", processes_of(home))
    ids = [start_phase1(ui, seed=seed) for seed in range(RUNS)]
    trainers = [psutil.Process(running_training(home, run_id).pid) for run_id in ids]
    with home.instance() as instance:
        workers = [worker for run in instance.get_runs() if run.run_id in ids and (worker := worker_of(run))]
    row("runs that train", [psutil.Process(worker.pid) for worker in workers])
    row("their trainers (tiny, batches of 2)", trainers)
    for run_id in ids:
        ui.terminate(run_id)
        ui.ended(run_id)
    return table


def main() -> None:
    """Print the table."""
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory(prefix="processes-") as folder:
        make_home(Path(folder) / "home")
        with opened(Path(folder) / "home") as home:
            corpora(home)
            with make_ui(home, {"HLX_TRAINER": f"local gpus={RUNS}"}) as ui:
                Console().print(measured(home, ui))


if __name__ == "__main__":
    main()
