"""Four processes share a ledger and are killed again and again: no cap is passed, and nothing confirmed is lost."""

import multiprocessing
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from hlx_model.money import NANO
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from tests.support.ledger_worker import reserve_first

PROCESSES, OPERATIONS, KILLS = 4, 10_000, 200
CAPS = {"session": 2 * NANO, "day": 4 * NANO, "all": 5 * NANO}


class Worker:
    """A process of `tests.support.ledger_worker`, whose lines go to a file."""

    def __init__(self, files: ProviderFiles, said: Path, seed: int, operations: int) -> None:
        self.said, self._file = said, said.open("wb")
        words = [sys.executable, "-m", "tests.support.ledger_worker", files.root, seed, operations]
        self.process = subprocess.Popen(list(map(str, words)), stdout=self._file, stderr=subprocess.PIPE)

    def lines(self) -> list[list[str]]:
        """Return what it confirmed, without a line that a kill has cut."""
        return [line.split() for line in self.said.read_text().split("\n")[:-1]]

    def kill(self) -> None:
        """Kill it."""
        self.process.kill()
        self.end()

    def end(self) -> str:
        """Wait for it, and return what it wrote of an error."""
        error = self.process.communicate(timeout=120)[1].decode()
        self._file.close()
        return error


def require_caps(ledger: Ledger) -> None:
    """Require that nothing spent or reserved passes a cap."""
    spending = ledger.spending()
    assert spending.all <= CAPS["all"] and spending.today <= CAPS["day"] <= spending.caps["day"]
    assert all(spent <= CAPS["session"] for spent in spending.by_session.values())
    assert spending.all == spending.booked + spending.reserved == sum(spending.by_provider.values())


@pytest.mark.slow
def test_no_cap_is_passed_while_processes_are_killed(tmp_path: Path) -> None:
    files, chance = ProviderFiles(tmp_path / "home" / "providers"), random.Random(7)
    ledger = Ledger(files)
    for name, cap in CAPS.items():
        ledger.set_cap(name, cap)
    done: list[Worker] = []
    seeds = iter(range(10_000))

    def start() -> Worker:
        seed = next(seeds)
        left = OPERATIONS - sum(len(worker.lines()) for worker in done)
        return Worker(files, tmp_path / f"worker-{seed}", seed, max(left, 100))

    workers, kills = [start() for _ in range(PROCESSES)], 0
    while kills < KILLS or sum(len(worker.lines()) for worker in (*done, *workers)) < OPERATIONS:
        time.sleep(chance.uniform(0.0, 0.2))
        require_caps(ledger)
        at = chance.randrange(PROCESSES)
        worker = workers[at]
        if len(worker.lines()) < chance.randint(1, 60) and worker.process.poll() is None:
            continue  # it has just started
        if worker.process.poll() is None and kills < KILLS:
            worker.kill()
            kills += 1
        elif worker.process.poll() is not None:
            assert worker.end() == ""
        else:
            continue
        done.append(worker)
        # What a person does after a look at the bill: reservations of the dead are spent until then.
        for reservation in ledger.spending().open:
            if not reservation.alive and chance.random() < 0.9:
                ledger.release(reservation.id, dead_only=True)
        workers[at] = start()
    for worker in workers:
        worker.kill()
    require_caps(ledger)

    lines = [line for worker in (*done, *workers) for line in worker.lines()]
    counts = Counter(line[0] for line in lines)
    print(f"{len(lines)} operations, {kills} kills and {PROCESSES} at the end: {dict(counts)}")
    assert len(lines) >= OPERATIONS and kills == KILLS and len(counts) == 4 and min(counts.values()) > 800

    with sqlite3.connect(files.ledger) as db:
        states = {id: (state, spent) for id, state, spent in db.execute("SELECT id, state, spent FROM calls")}
    db.close()
    for kind, id, *amount in (line for line in lines if line[0] in ("settled", "released")):
        assert states[id] == (kind, int(amount[0]) if amount else 0)
    assert {line[1] for line in lines if line[0] == "reserved"} <= set(states)


@pytest.mark.slow
def test_processes_may_open_a_new_ledger_at_the_same_moment(tmp_path: Path) -> None:
    spawn, homes = multiprocessing.get_context("spawn"), [tmp_path / f"{number}" for number in range(60)]
    together, said = spawn.Barrier(6), spawn.Queue()
    processes = [spawn.Process(target=reserve_first, args=(homes, together, said)) for _ in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [said.get() for _ in processes] == [""] * 6
    assert {Ledger(ProviderFiles(home)).spending().reserved for home in homes} == {6}
