"""A process that reserves, settles, releases and is refused, until it is killed: `python -m … ROOT SEED OPERATIONS`.

It prints a line when an operation is done: what a ledger has confirmed must be there, whatever happens next.
"""

import random
import sys
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from hlx_model.money import NANO
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger, NotAllowed
from tests.support.providers import MODELS, a_question

MOST_OPEN = 8
"""Reservations that a process has at once."""


def work(root: Path, seed: int, operations: int) -> None:
    """Do so many operations of random kinds."""
    ledger, chance, held = Ledger(ProviderFiles(root)), random.Random(seed), dict[str, int]()
    for _ in range(operations):
        if len(held) < MOST_OPEN and (not held or chance.random() < 0.6):
            worst = chance.randint(NANO // 50, NANO // 3)  # some are above the cap of a call
            question = a_question(chance.choice(list(MODELS)), session=f"run-{chance.randint(1, 3)}")
            try:
                id = ledger.reserve(question, worst)
            except NotAllowed as error:
                print("refused", f"{error}".split(" is ")[0].replace(" ", "-"), flush=True)
                continue
            held[id] = worst
            print("reserved", id, worst, flush=True)
            continue
        id = chance.choice(list(held))
        if chance.random() < 0.5:
            ledger.release(id)
            print("released", id, flush=True)
        else:
            cost = held[id] // chance.choice([1_000, 10_000])  # much less than was reserved, as it is in life
            ledger.settle(id, cost)
            print("settled", id, cost, flush=True)
        del held[id]
    for id in held:
        ledger.release(id)
        print("released", id, flush=True)


def reserve_first(homes: list[Path], together: Barrier, said: "Queue[str]") -> None:
    """Reserve in each of new homes, at the same moment as other processes; say what went wrong, or nothing."""
    for home in homes:
        together.wait()
        try:
            Ledger(ProviderFiles(home)).reserve(a_question(), 1)
        except ValueError as error:
            said.put(f"{error}")
    said.put("")


if __name__ == "__main__":
    work(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
