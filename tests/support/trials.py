"""Small trainings by the project's own trainer, healthy or with one thing broken, and the results of its gates.

A trial is a training on a composed document. Earlier phases are trained once for all trials that start from them.
Trials run in parallel, each process with one thread.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, Literal
from unittest.mock import patch

import torch

from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.composer.lexicon import AnyOf, Slot, Words
from hlx_model.composer.loader import Operation, Phrases, operations
from hlx_model.composer.sampling import compose
from hlx_model.corpus.build import build
from hlx_model.evaluation.documents import DEFAULT
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import digest_of
from hlx_model.layout import Artifacts
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.profiles import PROFILES, Schedule
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.loop import train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from hlx_model.verdicts import Outcome
from tests.support.documents import SHARED

SEQ_LENGTH = 256
LONGEST_SHORT = 130
"""Most characters of a short entry: its sentence and four lines together."""
FEW_NAMES = 6
"""Words and names that each slot has in a document of few names."""
ROOT = Path(__file__).parents[2]
NARROW_COMPOSER = "873f29d"
"""The last commit with the composer of three phrasings for each value. A model that learned from it is right on its own
test rows and wrong on other people's sentences."""


@dataclass(frozen=True)
class Document:
    """A corpus document, by how it is made."""

    source: Literal["composed", "short", "few names", "three phrasings", "users"]
    """`composed`; only its `short` entries, without numbers and quoted texts, which a minute teaches to translate;
    composed of `few names`, or by a composer that has `three phrasings` for each value; or a real one of 164 entries,
    if it is beside the project."""
    entries: int = 164
    """Number to compose; of `short`, a sixth remains."""
    mispaired: float = 0.0
    """Share of sentences that have the lines of the next entry of another value."""

    def __str__(self) -> str:
        return {"users": "a real document"}.get(self.source, f"{self.source} {self.entries}") + (
            f", {self.mispaired:.0%} mispaired" if self.mispaired else ""
        )

    @property
    def path(self) -> Path:
        """Return the path of the real document."""
        return SHARED / "corpus" / "corpus_all_variants.md"

    @property
    def missing(self) -> str | None:
        """Return what it cannot be made without; None if it can be made."""
        if self.source == "users" and not self.path.exists():
            return f"{self.path} is missing"
        if self.source == "three phrasings" and _git("cat-file", "-e", NARROW_COMPOSER).returncode:
            return f"the history of the project has no commit {NARROW_COMPOSER}"
        return None

    def text(self) -> str:
        """Return the Markdown."""
        if self.source == "users":
            return self.path.read_text(encoding="utf-8")
        if self.source == "few names":
            return of_few_names(self.entries)
        if self.source == "three phrasings":
            return of_three_phrasings(self.entries)
        text = compose(self.entries, 0)
        if self.source == "short":
            text = "\n\n".join(
                entry for entry in text.split("\n\n")
                if entry.startswith("English:") and len(entry) <= LONGEST_SHORT
                and not re.search(r'["\d]', entry.partition("\n")[0])
            )  # fmt: skip
        return mispair(text, self.mispaired)


USERS = Document("users")


def of_few_names(entries: int) -> str:
    """Compose a document whose slots have a few listed words each, and no others."""
    grammar = [_with_few_names(operation) for operation in operations()]
    with patch("hlx_model.composer.sampling.operations", lambda silent: grammar):
        return compose(entries, 0)


def _with_few_names(operation: Operation) -> Operation:
    return replace(operation, slots={name: _narrowed(slot) for name, slot in operation.slots.items()})


def _narrowed(slot: Slot) -> Slot:
    if isinstance(slot, Phrases):
        return replace(slot, operations=[_with_few_names(operation) for operation in slot.operations])
    if isinstance(slot, AnyOf):
        return replace(slot, slots=tuple(_of_few(words) for words in slot.slots))
    assert isinstance(slot, Words)
    return _of_few(slot)


def _of_few(words: Words) -> Words:
    rng = Random(0)
    listed = words.choices or tuple({(c := words.draw(rng)).words: c for _ in range(4 * FEW_NAMES)}.values())
    return words if words.spelled else replace(words, choices=listed[:FEW_NAMES], open=())


def of_three_phrasings(entries: int) -> str:
    """Compose a document with the program of an earlier commit."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "composer.tar"
        _git("archive", f"--output={archive}", NARROW_COMPOSER, "hlx_model").check_returncode()
        shutil.unpack_archive(archive, folder)
        program = f"from hlx_model.composer.sampling import compose; print(compose({entries}, 0), end='')"
        command = [sys.executable, "-c", program]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, encoding="utf-8").stdout


def _git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True)


def mispair(text: str, share: float) -> str:
    """Give a share of the sentences, evenly spread, the lines of the next entry of another value."""
    parts = [(*part.split("\n", 1), "")[:2] for part in text.split("\n\n")]
    entries = [i for i, (first, _) in enumerate(parts) if first.startswith("English:")]
    mended, due = dict(enumerate(parts)), 0.0
    for number, i in enumerate(entries):
        due += share
        following = (parts[j][1] for j in entries[number + 1 :] + entries if parts[j][1].strip() != parts[i][1].strip())
        if due >= 1:
            due -= 1
            mended[i] = (parts[i][0], next(following))
    return "\n\n".join("\n".join(lines).strip("\n") for lines in mended.values()) + "\n"


@dataclass(frozen=True)
class Training:
    """The settings of a healthy training."""

    phase: int
    document: Document
    tokens: int = 150_000
    """Tokens of its own corpus, in whole epochs."""
    tokens_before: int = 150_000
    """Tokens of the corpus of each earlier phase."""
    seed: int = 0
    size: str = "tiny"
    optimizer: str = "muon"
    learning_rate: float = 6e-3
    batch_size: int = 8
    replay: float = 0.04

    def __str__(self) -> str:
        replay = f", replay {self.replay:g}" if self.phase > 1 else ""
        return (
            f"phase {self.phase}, {self.size}, {self.document}, {self.tokens // 1000}k tokens, {self.optimizer} "
            f"{self.learning_rate:g}, {self.batch_size} × {SEQ_LENGTH}{replay}, seed {self.seed}"
        )

    @property
    def parent(self) -> "Training | None":
        """Return the training of the earlier phase from which it starts, always a fast one."""
        if self.phase == 1:
            return None
        document = replace(self.document, mispaired=0.0)
        before = self.tokens_before
        return Training(self.phase - 1, document, before, before, seed=self.seed, size=self.size)

    def prepare(
        self, corpora: Mapping[Document, Mapping[str, Path]], training: Path, parent: Path | None
    ) -> TrainingPlan:
        """Return its plan, on stored corpora."""
        schedule = Schedule(epochs=200, tokens=self.tokens, learning_rate=self.learning_rate)
        profile = replace(
            PROFILES["quick"], size=self.size, batch_size=self.batch_size, seq_length=SEQ_LENGTH, seed=self.seed,
            optimizer=self.optimizer, replay=self.replay, schedules=dict.fromkeys((1, 2, 3), schedule),
        )  # fmt: skip
        verified = verify_checkpoint(parent) if parent else None
        corpus = [corpora[self.document][CORPUS_OF_PHASE[self.phase]]]
        return plan_training(self.phase, profile, Overrides(), corpus=corpus, training=training, parent=verified)


def _as_it_is(plan: TrainingPlan) -> TrainingPlan:
    return plan


def _left_alone(checkpoint: Path) -> None:
    pass


@dataclass(frozen=True)
class Trial:
    """A training, and its change: none by default."""

    training: Training
    plan: Callable[[TrainingPlan], TrainingPlan] = _as_it_is
    """Changes the texts."""
    program: Mapping[str, Any] = field(default_factory=dict)
    """Names in the trainer's modules, and their replacements while it trains."""
    checkpoint: Callable[[Path], None] = _left_alone
    """Changes the checkpoint after its end."""
    evaluated: bool = True
    """Whether it answers the project's evaluation document too, if it learned composed entries."""

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Replace the names in the trainer's modules while it trains."""
        with ExitStack() as changes:
            for target, stand_in in self.program.items():
                changes.enter_context(patch(target, stand_in))
            yield

    @property
    def trains_healthily(self) -> bool:
        """Whether the training itself is healthy."""
        return self.plan is _as_it_is and not self.program


@dataclass(frozen=True)
class Found:
    """The result of a trial."""

    failed: Mapping[str, str]
    """What stopped it or failed (an abort rule, a gate, a check of the checkpoint), each with its reason."""
    where: str
    """`training`, `checks` or `verdict`: where it failed, or how far it got."""
    epoch: int
    step: int
    warned: Mapping[str, str]
    """Gates of the verdict that warned, each with its reason."""
    seconds: float

    @property
    def outcome(self) -> Outcome:
        """Return the verdict that this is."""
        return "fail" if self.failed else "warn" if self.warned else "pass"

    @property
    def when(self) -> str:
        """Return where and when it failed, or how far it got."""
        return f"{self.where}, epoch {self.epoch}, step {self.step}"


@dataclass(frozen=True)
class Workshop:
    """A folder for trials. Corpora, and trainings that several trials need, are made once."""

    root: Path
    corpora: Mapping[Document, Mapping[str, Path]]
    made: Mapping[Training, Path]
    """The checkpoints of healthy trainings, with their reports."""

    def make(self, training: Training) -> Path:
        """Run and evaluate a healthy training, or find it if it was run before."""
        path = train(self.plan(training), execution=ExecutionConfig("cpu")).checkpoint
        evaluate(path)
        return path

    def carry_out(self, trial: Trial, name: str) -> Found:
        """Train as the trial says, then check and evaluate the checkpoint; nothing of it is kept."""
        began = time.monotonic()
        plan = self.plan(trial.training)
        own = digest_of([plan.id, name])[:16]
        plan = replace(plan, id=own, directory=plan.directory.parent / own)
        shutil.rmtree(plan.directory, ignore_errors=True)
        path = self._trained(trial, plan)
        manifest = read_manifest(path)
        if manifest.stopped is None:
            trial.checkpoint(path)
            composed = trial.training.document != USERS
            where, failed, warned = examined(path, [DEFAULT] if trial.evaluated and composed else [])
        else:
            gates = [gate for milestone in read_state(path).milestones for gate in milestone.failed]
            # An abort rule has no name in what is recorded: its reason begins with what it found.
            by = gates[0].name if gates else manifest.stopped.partition(":")[0]
            where, failed, warned = "training", {by: manifest.stopped}, {}
        shutil.rmtree(plan.directory)
        return Found(failed, where, manifest.epoch, manifest.step, warned, time.monotonic() - began)

    def _trained(self, trial: Trial, plan: TrainingPlan) -> Path:
        if trial.trains_healthily and (made := self.made.get(trial.training)):
            shutil.copytree(made.parents[1], plan.directory)
            return plan.directory / made.relative_to(made.parents[1])
        with trial.broken():
            return train(trial.plan(plan), execution=ExecutionConfig("cpu")).checkpoint

    def plan(self, training: Training) -> TrainingPlan:
        """Return the plan of a training; its parent is trained first if necessary."""
        parent = self.made[training.parent] if training.parent is not None else None
        return training.prepare(self.corpora, self.root / "training", parent)


def examined(checkpoint: Path, documents: Sequence[Path]) -> tuple[str, dict[str, str], dict[str, str]]:
    """Return where a finished checkpoint failed, or how far it got, and what failed or warned, with reasons."""
    from hlx_assets.curriculum.checks import examine

    if failed := {gate.name: gate.reason for gate in examine(checkpoint) if gate.outcome == "fail"}:
        return "checks", failed, {}
    failed, warned = judged(evaluate(checkpoint, documents=documents).verdict)
    return "verdict", failed, warned


def judged(verdict: Verdict) -> tuple[dict[str, str], dict[str, str]]:
    """Return the gates that failed and those that warned, with their reasons."""
    failed, warned = ({g.name: g.reason for g in verdict.gates if g.outcome == o} for o in ("fail", "warn"))
    return failed, warned


def workshop(root: Path, trials: Iterable[Trial], mapped: Callable[..., Iterable[Path]] = map) -> Workshop:
    """Make what these trials start from under `root`, or find it there; `mapped` may be that of a pool of processes."""
    asked = list(trials)
    wanted = {trial.training for trial in asked}
    shared = {trial.training for trial in asked if trial.trains_healthily and trial.checkpoint is not _left_alone}
    shared |= {parent for training in wanted if (parent := training.parent)}
    shared |= {parent for training in shared if (parent := training.parent)}
    corpora: dict[Document, Mapping[str, Path]] = {}
    for number, document in enumerate(sorted({training.document for training in wanted | shared}, key=str)):
        path = root / "documents" / f"{number}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(document.text(), encoding="utf-8")
        corpora[document] = build([path], Artifacts.at(root), seq_length=SEQ_LENGTH).directories
    made: dict[Training, Path] = {}
    for phase in (1, 2, 3):
        of_phase = sorted((training for training in shared if training.phase == phase), key=str)
        made |= zip(of_phase, mapped(Workshop(root, corpora, made).make, of_phase), strict=True)
    return Workshop(root, corpora, made)


def processes(number: int) -> ProcessPoolExecutor:
    """Yield a pool of so many processes with one thread each."""
    return ProcessPoolExecutor(number, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,))
