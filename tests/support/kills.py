"""Kill a trainer, let the same command finish its training, and compare with a training that was never killed."""

import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import NamedTuple

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import list_checkpoints, verify_checkpoint
from hlx_model.files import digest_of, sha256_of
from hlx_model.layout import HEARTBEAT, MANIFEST, METRICS, STATE
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import read_metrics
from tests.support.faults import Ended, Event, Fault, Task, Trainer, trained


@dataclass
class Trial:
    """A training that was killed once or more, and its result."""

    kind: str
    """The event at which it was killed."""
    where: str
    kills: int = 0
    resumed: bool = False
    """Whether it resumed from a checkpoint; otherwise it started anew, since there was none, or had ended."""
    equal: bool = False
    """Whether weights, moments and state of its FINAL checkpoint are those of the undisturbed training."""
    left_over: list[str] = field(default_factory=list)
    """Files in its directory at the end that should not be there."""
    wrong: list[str] = field(default_factory=list)
    """Everything else that is wrong."""

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return self.equal and not self.left_over and not self.wrong


def contents(directory: Path) -> dict[str, str]:
    """Return what must be the same in every training of one id: a digest by relative path.

    Of the heartbeat it is the status, of the curve all but the speed; what holds times is only named.
    """
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.suffix == ".safetensors" or path.name in (STATE, "milestones.json"):
            found[name] = sha256_of(path)
        elif name == METRICS:
            found[name] = digest_of([{**row, "tokens_per_second": None} for row in read_metrics(directory)])
        elif name == HEARTBEAT:
            beat = Heartbeat.read(directory)
            found[name] = beat.status if beat else "unreadable"
        else:
            found[name] = ""
    return found


def is_final(name: str) -> bool:
    """Whether a killed training must reach the same bytes of this file."""
    return "_FINAL_" in name and not name.endswith(MANIFEST) and "." in name


def lost(directory: Path, saved: Sequence[str]) -> list[str]:
    """Return what is wrong with a training's checkpoints; those named in `saved` had been written, in this order."""
    parent, wrong, steps = directory / "checkpoints", [], dict[str, int]()
    for path in list_checkpoints(parent):
        try:
            steps[path.name] = verify_checkpoint(path, training_id=directory.name).manifest.step
        except CheckpointError as error:
            wrong.append(f"does not verify: {error}")
    ended = any("_FINAL_" in name for name in steps)
    # The last of each kind, where one replaces another, and each of those that are kept.
    due = {re.sub(r"(LAST_step|BEST_epoch)\d+", r"\1", name): name for name in saved}
    for kind, name in due.items():
        newer = [other for other in steps if other.startswith(kind) and _number(other) >= _number(name)]
        if not newer and not (ended and "_LAST_" in name):
            wrong.append(f"{name} had been saved and is lost")
    return wrong


def _number(name: str) -> int:
    return int(re.findall(r"\d+", name)[-1])


def places(events: Sequence[Event], kills: int | None, seed: int = 0) -> list[int]:
    """Return the numbers of the events to kill at.

    They are one of each kind and place (`kills` is None). Fewer are evenly spread over the operations; for more, each
    kind and place gets another of its moments in turn, while there are any.
    """
    where: dict[Event, list[int]] = {}
    for number, event in enumerate(events):
        where.setdefault(event, []).append(number)
    chance = random.Random(seed)
    # By operation, so that an even spread covers each of them.
    chosen = [chance.choice(numbers) for _, numbers in sorted(where.items())]
    if kills is None:
        return chosen
    if kills < len(chosen):
        return [chosen[i * len(chosen) // kills] for i in range(kills)]
    left = [[number for number in numbers if number not in chosen] for _, numbers in sorted(where.items())]
    for numbers in left:
        chance.shuffle(numbers)
    more = (number for turn in zip_longest(*left) for number in turn if number is not None)
    return [*chosen, *islice(more, kills - len(chosen))]


def killed_at(task: Task, event: Event, at: int, expected: dict[str, str]) -> Trial:
    """Kill a training before one of its events, then let the same command finish it."""
    trial = Trial("the middle of a write" if event.operation == "half" else f"before {event.operation}", event.place)
    _after_kill(trial, task, trained(task, Fault(at)))
    return _to_the_end(trial, task, expected)


def killed_at_random(task: Task, delays: Sequence[float], expected: dict[str, str]) -> Trial:
    """Kill a training after so many seconds, again and again, then let the same command finish it."""
    trial = Trial("a random moment", f"after {', '.join(f'{delay:.2f}' for delay in delays)} s")
    for delay in delays:
        trainer = Trainer(task)
        time.sleep(delay)
        trainer.kill()
        ended = trainer.end()
        trial.resumed |= ended.resumed_from is not None
        if ended.code == 0:  # it was faster
            break
        _after_kill(trial, task, ended)
    return _to_the_end(trial, task, expected)


def _after_kill(trial: Trial, task: Task, ended: Ended) -> None:
    if ended.code != -9:
        trial.wrong.append(f"was not killed, but ended with {ended.code}: {ended.error}")
        return
    trial.kills += 1
    if task.directory is not None:
        trial.wrong += lost(task.directory, ended.saved)


def _to_the_end(trial: Trial, task: Task, expected: dict[str, str]) -> Trial:
    newest = _newest(task)
    ended = trained(task)
    if ended.code != 0:
        trial.wrong.append(f"the same command ended with {ended.code}: {ended.error}")
        return trial
    trial.resumed |= ended.resumed_from is not None
    if ended.resumed_from != newest:
        trial.wrong.append(f"it resumed from {ended.resumed_from}, not from {newest}")
    assert task.directory is not None
    found = contents(task.directory)
    trial.equal = all(found.get(name) == digest for name, digest in expected.items() if is_final(name))
    trial.left_over = [name for name in found if name not in expected]
    trial.wrong += [
        f"{name} is {'another' if name in found else 'missing'}"
        for name, digest in expected.items()
        if found.get(name) != digest and not is_final(name)
    ]
    return trial


def _newest(task: Task) -> str | None:
    """Return the checkpoint to resume from: the newest LAST, unless the training has ended."""
    if task.directory is None:
        return None
    names = [path.name for path in list_checkpoints(task.directory / "checkpoints")]
    if any("_FINAL_" in name for name in names):
        return None
    return max((name for name in names if "_LAST_" in name), key=_number, default=None)


class Undisturbed(NamedTuple):
    """An undisturbed training."""

    events: list[Event]
    contents: dict[str, str]
    """The files that it leaves."""
    seconds: float

    def at(self, operation: str, place: str, occurrence: int = -1) -> int:
        """Return the number of an event; of several, the last one or another."""
        found = [n for n, event in enumerate(self.events) if event == Event(operation, f"training/{place}")]
        return found[occurrence]


def undisturbed(task: Task) -> Undisturbed:
    """Train to the end."""
    began = time.perf_counter()
    ended = trained(task)
    if ended.code != 0 or task.directory is None:
        raise RuntimeError(f"the undisturbed training ended with {ended.code}: {ended.error}")
    return Undisturbed(ended.events, contents(task.directory), time.perf_counter() - began)
