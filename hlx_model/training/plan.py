"""What a training starts from: its settings, its corpus, its parent checkpoint, and its id."""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, CorpusVersion, Parent, ParentVerdict
from hlx_model.checkpoints.seal import VerifiedCheckpoint
from hlx_model.corpus import store
from hlx_model.corpus.build import build
from hlx_model.corpus.documents import is_composed
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.corpus.tokens import CorpusTexts, Texts, corpus_texts
from hlx_model.corpus.verdict import require_built_passed, require_corpus_passed
from hlx_model.layout import ROWS, Artifacts
from hlx_model.model.sizes import architecture
from hlx_model.phases import require_phase
from hlx_model.profiles import Profile
from hlx_model.runs.directory import was_stopped
from hlx_model.runs.passing import pass_on_of
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import require_disk, require_memory
from hlx_model.training.settings import Settings, training_id

log = logging.getLogger(__name__)

MOST_REPEATED = 100
"""An epoch has no example of a user's document more often than this: a document of three entries is no language."""


@dataclass(frozen=True)
class Overrides:
    """What a user sets beside the profile; None keeps the profile's (or the parent's) value."""

    size: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    seq_length: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    replay: float | None = None
    mixed_precision: bool | None = None
    tokens: int | None = None
    """Train for about so many tokens, in whole epochs; instead of `epochs`."""
    document_weight: float | None = None

    def __post_init__(self) -> None:
        if self.tokens is not None and self.tokens < 1:
            raise ValueError(f"tokens is {self.tokens}: it must be at least 1")
        if self.tokens is not None and self.epochs is not None:
            raise ValueError(f"epochs is {self.epochs} and tokens is {self.tokens}: set one of them")


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that a training needs, read and checked."""

    settings: Settings
    id: str
    directory: Path
    corpora: dict[str, CorpusVersion]
    """By asset: this phase's corpus and those of the phases before."""
    train: Sequence[str]
    """The training texts, each decoded when it is read. Those of the user's documents are repeated if composed entries
    lie beside them, so that they are `document_weight` of the tokens."""
    held_out: Sequence[str]
    replay: Sequence[Sequence[str]]
    """The training texts of each earlier phase that is replayed."""
    parent: VerifiedCheckpoint | None
    first_epoch: int
    """1, or the epoch after the parent's if the parent is of the same phase."""
    parent_record: Parent | None
    """What the manifest records of the parent."""
    resumed: tuple[str, ...]
    """The checkpoints of the same phase that were continued, as in the manifest, the parent included."""
    ungated: tuple[str, ...]
    """The ancestors that are used although their gate is closed, as in the manifest."""
    attempt: int
    """1, and one more for every retry of this training after it was stopped, as in the manifest."""
    run_id: str | None
    """The Dagster run that started this process, as in the manifest."""


def plan_training(
    phase: int,
    profile: Profile,
    overrides: Overrides,
    *,
    corpus: Sequence[Path],
    training: Path,
    parent: VerifiedCheckpoint | None = None,
    execution: ExecutionConfig | None = None,
    parent_verdict: ParentVerdict | None = None,
    ungated: bool = False,
    retry_stopped: bool = False,
    run_id: str | None = None,
) -> TrainingPlan:
    """Read and check what a training starts from.

    Args:
        phase: the number of a phase.
        profile: the settings that are not overridden.
        overrides: the settings that are.
        corpus: corpus documents, or the directory of a stored corpus.
        training: the folder of the trainings; this one gets `<training>/<training id>`.
        parent: a checkpoint of the phase before (this training starts at epoch 1), or of the same phase (it
            resumes at the epoch after, under its own id).
        execution: the machine's settings; if given, a training that does not fit the machine is refused at once.
        parent_verdict: the verdict that allowed training to start from `parent`; recorded.
        ungated: the gate of `parent` is closed, and it is used all the same; recorded for good.
        retry_stopped: if the newest attempt at this training was stopped, plan one more.
        run_id: the Dagster run that started this process; recorded.

    Raises:
        ValueError: a setting, the corpus (`CorpusError`) or the parent (`CheckpointError`) cannot be used.
    """
    asset, artifacts = require_phase(phase).corpus, Artifacts(training)
    if overrides.size is not None:
        architecture(overrides.size)
    _require_parent(phase, parent, overrides.size)
    settings = settings_of(phase, profile, overrides, parent)
    if execution is not None:
        require_memory(settings, execution, size_fixed=parent is not None)
    own, version = _corpus(corpus, artifacts, asset, settings)
    texts = corpus_texts(own)
    version = version.replace(tokens=texts.sha256)
    train, weight = _weighted(texts, version.documents, settings.document_weight)
    held_out, settings = texts.of("validation"), replace(settings, document_weight=weight)
    if overrides.epochs is None:
        settings = replace(settings, epochs=epochs_of(phase, profile, overrides.tokens, tokens_of(train), parent))
    corpora = {asset: version}
    replay: list[Sequence[str]] = []
    resumed: tuple[str, ...] = ()
    ungated_ancestors: tuple[str, ...] = ()
    first_epoch, parent_record = 1, None
    if parent is not None:
        path, manifest = parent
        parent_record = Parent(
            training_id=manifest.training_id, name=path.name, phase=manifest.phase, epoch=manifest.epoch,
            weights_sha256=manifest.weights_sha256, verdict=parent_verdict, pass_on=pass_on_of(path),
        )  # fmt: skip
        resumed = manifest.resumed
        if manifest.phase == phase:
            first_epoch, resumed = manifest.epoch + 1, (*resumed, parent.ref)
        ungated_ancestors = (*manifest.ungated, *([parent.ref] if ungated else []))
        inherited = {name: version for name, version in manifest.corpora.items() if name != asset}
        corpora |= inherited
        for version in inherited.values():
            kept = store.keep(artifacts, store.verify(Artifacts.of_checkpoint(path).root / version.path))
            if settings.replay > 0:
                replay.append(corpus_texts(kept).of("train"))
    data_versions = {name: version.data_version for name, version in corpora.items()}
    weights = parent_record.weights_sha256 if parent_record else None
    identify = partial(training_id, settings.to_json(), data_versions, weights, ungated_ancestors)
    attempt = _attempt(identify, training, retry_stopped=retry_stopped)
    name = identify(attempt)
    if parent and first_epoch > settings.epochs:
        ended = f"{parent.path} has already ended epoch {first_epoch - 1} of this phase"
        raise ValueError(f"epochs is {settings.epochs}: {ended}; set more epochs")
    if execution is not None:
        require_disk(settings, training / name)
    return TrainingPlan(
        settings, name, training / name, corpora=corpora, train=train, held_out=held_out, replay=replay, parent=parent,
        first_epoch=first_epoch, parent_record=parent_record, resumed=resumed, ungated=ungated_ancestors,
        attempt=attempt, run_id=run_id,
    )  # fmt: skip


def _weighted(texts: CorpusTexts, documents: Sequence[DocumentRef], share: float) -> tuple[Texts, float]:
    """Return the training texts, and the share of the user's documents, which are repeated to have it.

    The share is 0 if there is nothing to weigh: only documents, or only composed entries.
    """
    composed = [document.name for document in documents if is_composed(document)]
    own, others = texts.of("train", composed, others=True), texts.of("train", composed)
    if not own or not others or not share:
        return texts.of("train"), 0.0
    return own.repeated(repeats_of(own.characters, others.characters, share), others), share


def repeats_of(own: int, others: int, share: float) -> int:
    """Return how often an epoch has each text of the user's documents, beside composed ones.

    Args:
        own: characters of these texts.
        others: characters of the composed ones.
        share: that of the user's documents in an epoch.
    """
    return max(1, min(round(others * share / (1 - share) / own), MOST_REPEATED))


def epochs_of(
    phase: int, profile: Profile, tokens: int | None, tokens_per_epoch: int, parent: VerifiedCheckpoint | None = None
) -> int:
    """Return the last epoch: of the profile's schedule, or after about so many tokens from where the parent ended."""
    if tokens is None:
        return profile.schedules[phase].epochs_for(tokens_per_epoch)
    ended = parent.manifest.epoch if parent is not None and parent.manifest.phase == phase else 0
    return ended + max(1, round(tokens / tokens_per_epoch))


def tokens_of(texts: Sequence[str]) -> int:
    """Return the tokens of texts as schedules count them: one for each character, and one for each text."""
    return characters_of(texts) + len(texts)


def characters_of(texts: Sequence[str]) -> int:
    """Return the characters of texts."""
    return texts.characters if isinstance(texts, Texts) else sum(map(len, texts))


def _attempt(identify: Callable[[int], str], training: Path, *, retry_stopped: bool) -> int:
    """Return the newest attempt at a training, or the next one if that was stopped and is to be retried."""
    attempt = 1
    while was_stopped(training / identify(attempt)) and (retry_stopped or (training / identify(attempt + 1)).is_dir()):
        attempt += 1
    return attempt


def sample(texts: Sequence[str], size: int, seed: int) -> list[str]:
    """Return at most `size` of the texts, the same ones for the same seed."""
    return [texts[i] for i in random.Random(seed).sample(range(len(texts)), min(size, len(texts)))]


def _require_parent(phase: int, parent: VerifiedCheckpoint | None, size: str | None) -> None:
    """Require a parent of the right phase and size; raise `CheckpointError` otherwise."""
    if parent is None:
        if phase > 1:
            needed = f"phase {phase} starts from a checkpoint of phase {phase - 1}"
            raise CheckpointError(f"{needed}: name it with --resume-from")
        return
    path, manifest = parent
    if manifest.phase not in (phase, phase - 1):
        allowed = f"phase {phase - 1} or {phase}" if phase > 1 else "phase 1"
        raise CheckpointError(f"{path} is of phase {manifest.phase}: phase {phase} starts from one of {allowed}")
    if size is not None and manifest.size != size:
        raise CheckpointError(f"{path} is of size {manifest.size}, not {size}: use --size {manifest.size}")


def settings_of(
    phase: int, profile: Profile, overrides: Overrides | None = None, parent: VerifiedCheckpoint | None = None
) -> Settings:
    """Return a profile's settings of a phase, with all the epochs of its schedule.

    Args:
        phase: the number of a phase.
        profile: the settings that are not overridden.
        overrides: the settings that are.
        parent: the checkpoint that the training starts from, which fixes the size.
    """
    schedule = profile.schedules[phase]
    defaults = Settings(
        phase=phase, size=parent.manifest.size if parent else profile.size, epochs=schedule.epochs,
        batch_size=profile.batch_size, seq_length=profile.seq_length, learning_rate=schedule.learning_rate,
        seed=profile.seed, replay=profile.replay,
        mixed_precision=profile.mixed_precision, optimizer=profile.optimizer, prompt_weight=profile.prompt_weight,
        english_weight=profile.english_weight, document_weight=profile.document_weight,
    )  # fmt: skip
    given = {
        name: value for name, value in vars(overrides or Overrides()).items() if value is not None and name != "tokens"
    }
    return replace(defaults, **given)


def _corpus(
    corpus: Sequence[Path], artifacts: Artifacts, asset: str, settings: Settings
) -> tuple[VerifiedCorpus, CorpusVersion]:
    """Return the corpus to train on, verified, and how manifests refer to it: kept already, or built from documents.

    Raises:
        GateClosed: a gate on it, or on its examples, failed.
        CorpusError: a document or a kept corpus is unusable.
    """
    if len(corpus) == 1 and (corpus[0] / ROWS).exists():
        directory = corpus[0].absolute()
        if directory.parent.name != asset:
            kept = directory.parent.name
            raise CorpusError(f"{corpus[0]}: phase {settings.phase} is trained on {asset}, not on {kept}")
        require_corpus_passed(directory)
        own = store.keep(artifacts, store.verify(directory))
        examples, documents = store.made_from(own.directory)
    else:
        built = build(corpus, artifacts, seq_length=settings.seq_length)
        own, examples, documents = require_built_passed(built, asset), built.examples.version, built.documents
        for row in built.collection.quarantined:
            log.warning("%s line %s is in quarantine: %s", row.document, row.line, row.reason)
    path = str(own.directory.relative_to(artifacts.root))
    return own, CorpusVersion(data_version=own.version, path=path, examples=examples, documents=documents)
