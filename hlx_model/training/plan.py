"""What a training starts from: its settings, its corpus, its parent checkpoint, and its id."""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from hlx_model.checkpoints.manifest import (
    CheckpointError,
    CorpusVersion,
    Manifest,
    ParentVerdict,
)
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import store
from hlx_model.corpus.build import build
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.corpus.verdict import require_built_passed, require_corpus_passed
from hlx_model.layout import ROWS, Artifacts
from hlx_model.model.sizes import architecture
from hlx_model.phases import PHASES, require_phase
from hlx_model.profiles import Profile
from hlx_model.runs.directory import was_stopped
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import require_disk, require_memory
from hlx_model.training.settings import Settings, training_id

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Overrides:
    """What a user sets beside the profile; None leaves the profile's (or the parent's) value."""

    size: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seq_length: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    replay: float | None = None
    mixed_precision: bool | None = None


@dataclass(frozen=True)
class TrainingPlan:
    """Everything a training needs, read and checked."""

    settings: Settings
    id: str
    directory: Path
    corpora: dict[str, CorpusVersion]
    train: list[str]
    held_out: list[str]
    replay: list[list[str]]
    """The training texts of each earlier phase that is replayed."""
    parent: Path | None
    parent_manifest: Manifest | None
    parent_verdict: ParentVerdict | None = None
    """The verdict by which the parent was handed on."""
    ungated: tuple[str, ...] = ()
    """The manifest's: checkpoints that it is made from although their gate was closed."""
    attempt: int = 1
    """The manifest's: 1, and one more for every retry of this training after it was stopped."""

    @property
    def resumed(self) -> tuple[str, ...]:
        """The manifest's: checkpoints of the same phase that were gone on from by hand, here and before."""
        parent = self.parent_manifest
        if parent is None or self.parent is None:
            return ()
        here = (f"{parent.training_id}/{self.parent.name}",) if parent.phase == self.settings.phase else ()
        return (*parent.resumed, *here)

    @property
    def first_epoch(self) -> int:
        """1, or the epoch after the parent's where the parent is of the same phase."""
        same = self.parent_manifest is not None and self.parent_manifest.phase == self.settings.phase
        return self.parent_manifest.epoch + 1 if same and self.parent_manifest else 1


def prepare(
    phase: int,
    profile: Profile,
    overrides: Overrides,
    *,
    corpus: Sequence[Path],
    training: Path,
    resume_from: Path | None = None,
    execution: ExecutionConfig | None = None,
    parent_verdict: ParentVerdict | None = None,
    ungated: bool = False,
    retry_stopped: bool = False,
) -> TrainingPlan:
    """Read and check what a training starts from.

    Args:
        phase: 1, 2 or 3.
        profile: the settings that are not overridden.
        overrides: the settings that are.
        corpus: corpus documents, or the directory of a corpus that is kept already.
        training: the folder of the trainings; this one gets `<training>/<training id>`.
        resume_from: a checkpoint of the phase before (this one starts at epoch 1), or of the same phase
            (it goes on at the epoch after, under its own id).
        execution: the machine's settings; given, a training that the machine cannot hold is refused at once.
        parent_verdict: the verdict by which `resume_from` is handed on; recorded.
        ungated: the gate of `resume_from` is closed, and it is trained from all the same; recorded for good.
        retry_stopped: if the newest attempt at this training was stopped, plan one more.

    Raises:
        ValueError: a setting, the corpus (`CorpusError`) or the parent (`CheckpointError`) is not usable.
    """
    require_phase(phase)
    artifacts = Artifacts(training)
    if overrides.size is not None:
        architecture(overrides.size)
    parent = _parent(phase, resume_from, overrides.size)
    settings = _settings(phase, profile, overrides, parent)
    if execution is not None:
        require_memory(settings, execution, size_fixed=parent is not None)
    own, version = _corpus(corpus, artifacts, phase, settings.seq_length)
    train, held_out = (store.model_texts(store.load(own), split) for split in ("train", "validation"))
    if overrides.epochs is None:
        tokens = sum(len(text) + 1 for text in train)
        settings = replace(settings, epochs=profile.schedules[phase].epochs_for(tokens))
    corpora = {own.asset: version}
    replay: list[list[str]] = []
    if parent is not None and resume_from is not None:
        root = Artifacts.of_checkpoint(resume_from).root
        inherited = {asset: version for asset, version in parent.corpora.items() if asset not in corpora}
        for version in inherited.values():
            kept = store.keep(artifacts, (store.read if settings.replay > 0 else store.verify)(root / version.path))
            if settings.replay > 0:
                replay.append(store.model_texts(store.load(kept), "train"))
        corpora |= inherited
    passed_over = tuple(parent.ungated) if parent else ()
    if ungated and parent and resume_from:
        passed_over += (f"{parent.training_id}/{resume_from.name}",)
    identify = partial(
        training_id,
        settings.to_json(),
        {asset: version.data_version for asset, version in corpora.items()},
        parent.weights_sha256 if parent else None,
        passed_over,
    )
    attempt = _attempt(identify, training, retry_stopped=retry_stopped)
    name = identify(attempt)
    plan = TrainingPlan(
        settings, name, training / name, corpora, train, held_out, replay, resume_from, parent,
        parent_verdict, passed_over, attempt,
    )  # fmt: skip
    if plan.first_epoch > settings.epochs:
        raise ValueError(
            f"epochs is {settings.epochs}: {resume_from} has done {plan.first_epoch - 1} of this phase already; "
            "ask for more"
        )
    if execution is not None:
        require_disk(settings, plan.directory)
    return plan


def _attempt(identify: Callable[[int], str], training: Path, *, retry_stopped: bool) -> int:
    """Return the newest attempt at a training, or the next one if that was stopped and is to be retried."""
    attempt = 1
    while was_stopped(training / identify(attempt)) and (retry_stopped or (training / identify(attempt + 1)).is_dir()):
        attempt += 1
    return attempt


def sample(texts: Sequence[str], size: int, seed: int) -> list[str]:
    """`size` of the texts at most, the same ones for the same seed."""
    return random.Random(seed).sample(list(texts), min(size, len(texts)))


def _parent(phase: int, resume_from: Path | None, size: str | None) -> Manifest | None:
    if resume_from is None:
        if phase > 1:
            raise CheckpointError(
                f"phase {phase} starts from a checkpoint of phase {phase - 1}: name it with --resume-from"
            )
        return None
    manifest = verify_checkpoint(resume_from)
    if manifest.phase not in (phase, phase - 1):
        raise CheckpointError(
            f"{resume_from} is of phase {manifest.phase}: phase {phase} starts from one of "
            + (f"phase {phase - 1} or {phase}" if phase > 1 else "phase 1")
        )
    if size is not None and manifest.size != size:
        raise CheckpointError(f"{resume_from} is of size {manifest.size}, not {size}: ask for --size {manifest.size}")
    return manifest


def _settings(phase: int, profile: Profile, o: Overrides, parent: Manifest | None) -> Settings:
    schedule = profile.schedules[phase]
    return Settings(
        phase=phase,
        size=_pick(o.size, parent.size if parent else profile.size),
        epochs=_pick(o.epochs, schedule.epochs),
        batch_size=_pick(o.batch_size, profile.batch_size),
        seq_length=_pick(o.seq_length, profile.seq_length),
        learning_rate=_pick(o.learning_rate, schedule.learning_rate),
        seed=_pick(o.seed, profile.seed),
        replay=_pick(o.replay, profile.replay),
        mixed_precision=_pick(o.mixed_precision, profile.mixed_precision),
        optimizer=profile.optimizer,
        prompt_weight=profile.prompt_weight,
    )


def _pick(override: T | None, default: T) -> T:
    return default if override is None else override


def _corpus(
    corpus: Sequence[Path], artifacts: Artifacts, phase: int, seq_length: int
) -> tuple[VerifiedCorpus, CorpusVersion]:
    """Return the corpus to train on, in memory, and how manifests refer to it: kept already, or built from documents.

    Raises:
        GateClosed: a gate on it, or on its examples, failed.
        CorpusError: a document or a kept corpus is unusable.
    """
    asset = PHASES[phase].corpus
    if len(corpus) != 1 or not (corpus[0] / ROWS).exists():
        built = build(corpus, artifacts, seq_length=seq_length)
        own = require_built_passed(built, asset)
        for row in built.collection.quarantined:
            log.warning("%s line %s is in quarantine: %s", row.document, row.line, row.reason)
        return own, _version(artifacts, own, built.examples.version, built.documents)
    directory = corpus[0].absolute()
    if directory.parent.name != asset:
        raise CorpusError(f"{corpus[0]}: phase {phase} is trained on {asset}, not on {directory.parent.name}")
    require_corpus_passed(directory)
    own = store.keep(artifacts, store.read(directory))
    return own, _version(artifacts, own, *store.made_from(own.directory))


def _version(
    artifacts: Artifacts, corpus: VerifiedCorpus, examples: str | None, documents: tuple[DocumentRef, ...]
) -> CorpusVersion:
    return CorpusVersion(corpus.version, str(corpus.directory.relative_to(artifacts.root)), examples, documents)
