"""Which artifacts a kept checkpoint needs, and which none does: the rules of `hlx clean`.

Kept are the checkpoints that a training ended with or was best at, whatever these were made from, all of a training
that is at work or can be resumed, and what the assets were last materialized to. What nobody can explain stays, and
where a manifest cannot be read, so does everything that it might name.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, directory_name
from hlx_model.checkpoints.seal import verify_own
from hlx_model.cleanup import inventory
from hlx_model.cleanup.inventory import (
    CHECKPOINT_FILES,
    Checkpoint,
    TrainingFiles,
    entries,
    linked,
)
from hlx_model.files import digest_of, read_json
from hlx_model.layout import (
    CHECKPOINTS,
    DERIVED_FROM,
    DOCUMENTS,
    EXAMPLES,
    MANIFEST,
    QUARANTINE,
    ROWS,
    SOURCE,
    Artifacts,
)
from hlx_model.layout import DOCUMENT as DOCUMENT
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.events import read_events

ASSETS = (*CORPUS_OF_PHASE.values(), EXAMPLES, DOCUMENT)
"""The corpora, each before what it was made from."""
GROUPS = {
    "checkpoint": "checkpoints",
    "set aside": "what was stopped, and set aside to try again",
    "report": "reports and cards",
    "corpus": "versions of corpora",
    "leftover": "what kills left half written or half removed",
}
_SHELVES = {"reports": {"report.json", "report.html", "report.md", "verdict.json", "loss.svg"}, "cards": {"README.md"}}
"""The files on a checkpoint, by the folder that they are kept in."""
_CORPUS_FILES = {ROWS, QUARANTINE, DERIVED_FROM, DOCUMENTS, SOURCE}


@dataclass(frozen=True)
class Removal:
    """Something that no kept checkpoint needs."""

    path: Path
    group: str
    """One of `GROUPS`."""
    reason: str
    bytes: int
    training: Path | None = None
    """The directory of the training that it lies in: its lock is taken to remove it."""


@dataclass(frozen=True)
class Kept:
    """A checkpoint, a version of a corpus, or something else that does not go, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class CleanupPlan:
    """What goes and what stays of one root of artifacts."""

    training: Path
    goes: tuple[Removal, ...]
    stays: tuple[Kept, ...]
    notes: tuple[str, ...]
    """Why more stays than need be."""
    ended: frozenset[Path]
    """The FINAL and STOPPED checkpoints whose every file was hashed to see that their trainings have ended."""

    @property
    def bytes(self) -> int:
        """Of all that goes."""
        return sum(item.bytes for item in self.goes)


class Rules:
    """The rules, applied to what lies under one root.

    Args:
        training: the folder of the trainings.
        trusted: FINAL and STOPPED checkpoints whose files need not be hashed again.
    """

    def __init__(self, training: Path, trusted: frozenset[Path] = frozenset()) -> None:
        self.training, self.artifacts = training, Artifacts(training)
        self.root = self.artifacts.root
        self.trainings = inventory.trainings(training)
        self.trusted, self.ended = trusted, dict[Path, Path | None]()
        self.goes: list[Removal] = []
        self.stays: dict[Path, str] = {}
        self.notes: list[str] = []
        last = {event.asset: event.artifact for event in read_events(self.root)}
        self.latest = {self.root / path: asset for asset, path in last.items() if isinstance(path, str)}
        self.known: dict[str, list[Checkpoint]] = defaultdict(list)
        for one in self.trainings:
            for checkpoint in one.checkpoints:
                for name in checkpoint.names:
                    self.known[name].append(checkpoint)
        self.blind = self._blind()

    def plan(self) -> CleanupPlan:
        """What goes and what stays."""
        self._checkpoints()
        self._reports()
        self._corpora()
        self._leftovers()
        stays = tuple(Kept(path, reason) for path, reason in self.stays.items())
        return CleanupPlan(
            self.training,
            tuple(self.goes),
            stays,
            tuple(self.notes),
            frozenset(path for path in self.ended.values() if path),
        )

    def _blind(self) -> bool:
        """Whether something may be needed that nobody can name."""
        for one in self.trainings:
            unreadable = [checkpoint for checkpoint in one.checkpoints if checkpoint.manifest is None]
            for checkpoint in unreadable:
                self.notes.append(f"{checkpoint.path} is kept: its manifest cannot be read")
            if one.busy and len(unreadable) == len(one.checkpoints):
                self.notes.append(f"{one.directory} is at work and has not yet written what it is made from")
        if self.notes:
            self.notes.append("so every checkpoint and every version of a corpus is kept: it may need them")
        return bool(self.notes)

    def _goes(self, path: Path, group: str, reason: str, training: Path | None = None) -> None:
        self.goes.append(Removal(path, group, reason, inventory.size_of(path), training))

    # Checkpoints

    def _checkpoints(self) -> None:
        kept = [
            (checkpoint, reason)
            for one in self.trainings
            for checkpoint, reason in zip(one.checkpoints, self._reasons(one), strict=True)
            if reason is not None
        ]
        while kept:
            checkpoint, reason = kept.pop()
            if checkpoint.path not in self.stays:
                self.stays[checkpoint.path] = reason
                kept += self._kept_with(checkpoint)
        for one in self.trainings:
            if one.ours and not one.busy and not linked(one.directory, self.root):
                self._of_training(one)

    def _reasons(self, one: TrainingFiles) -> Iterator[str | None]:
        """Of each checkpoint of a training, why it is kept by itself; None where it is not."""
        reasons = [self._reason(one, checkpoint) for checkpoint in one.checkpoints]
        if None in reasons and not self._has_ended(one):
            reasons = [reason or "its training has not ended: it can be resumed" for reason in reasons]
        # What is set aside is kept together, and without gaps: the next one is numbered by how many there are.
        foreign = self._foreign_set_aside(one)
        for checkpoint, reason in zip(one.checkpoints, reasons, strict=True):
            below = 0 < checkpoint.set_aside <= foreign
            yield reason or (f"with stopped-{foreign}, which holds what cannot be explained" if below else None)

    def _reason(self, one: TrainingFiles, checkpoint: Checkpoint) -> str | None:
        manifest, path = checkpoint.manifest, checkpoint.path
        if manifest is None:
            return "its manifest cannot be read"
        if not one.ours or linked(path, self.root):
            return "it lies in another folder, or behind a link"
        if one.busy:
            return "its training is at work"
        if path.parent.name == CHECKPOINTS and not _passing(checkpoint):
            return (
                f"it is {manifest.kind}" if _named_as_written(checkpoint) else "it bears another name than it was given"
            )
        if (asset := self._pointed_at(checkpoint)) is not None:
            return f"{asset} was last materialized to it"
        if path.parent.name != CHECKPOINTS and not checkpoint.set_aside:
            return "it lies where no trainer writes"
        if other := inventory.unexplained(path, CHECKPOINT_FILES):
            return f"it holds {other}, which no trainer wrote"
        return "another one may be made from it" if self.blind else None

    def _has_ended(self, one: TrainingFiles) -> bool:
        """Whether what a training ended with is there and whole; else what leads there is needed."""
        if one.directory not in self.ended:
            self.ended[one.directory] = self._end_of(one)
        return self.ended[one.directory] is not None

    def _end_of(self, one: TrainingFiles) -> Path | None:
        for checkpoint in one.checkpoints:
            path, manifest = checkpoint.path, checkpoint.manifest
            if path.parent.name == CHECKPOINTS and manifest is not None and manifest.kind in ("FINAL", "STOPPED"):
                try:
                    if path not in self.trusted:
                        verify_own(path, one.directory.name)
                except (CheckpointError, OSError) as error:
                    self.notes.append(f"{one.directory} does not count as ended: {error}")
                else:
                    return path
        return None

    def _pointed_at(self, checkpoint: Checkpoint) -> str | None:
        """The asset that was last materialized to a checkpoint (before it was set aside, too), its report or card."""
        for path, asset in self.latest.items():
            training = path.parents[1] if path.parent.name == CHECKPOINTS else path.parent
            named = f"{training.name}/{path.name}" in checkpoint.names
            again = checkpoint.path.parents[1] / CHECKPOINTS / checkpoint.path.name / MANIFEST
            if path == checkpoint.path or (named and not (checkpoint.set_aside and again.exists())):
                return asset
        return None

    def _kept_with(self, checkpoint: Checkpoint) -> Iterator[tuple[Checkpoint, str]]:
        """What is kept for a kept checkpoint: what it was made from, and what is set aside with it."""
        manifest = checkpoint.manifest
        if manifest is not None:
            reason = f"{checkpoint.path.parents[1].name}/{checkpoint.path.name} was made from it"
            if (parent := manifest.parent) is not None:
                known = self.known.get(f"{parent.training_id}/{parent.name}", [])
                same = [c for c in known if c.manifest and c.manifest.weights_sha256 == parent.weights_sha256]
                yield from ((one, reason) for one in same or known)
            for name in manifest.ungated:
                yield from ((one, reason) for one in self.known.get(name, []))
        if checkpoint.set_aside:
            for one in self.trainings:
                if one.directory == checkpoint.path.parents[1]:
                    below = [c for c in one.checkpoints if 0 < c.set_aside <= checkpoint.set_aside]
                    yield from ((c, f"with {checkpoint.path.parent.name}, which is needed") for c in below)

    def _foreign_set_aside(self, one: TrainingFiles) -> int:
        """The highest number of the folders `stopped-N` that hold what nobody can explain; 0 where none does."""
        checkpoints = {checkpoint.path for checkpoint in one.checkpoints} | set(one.halves)
        return max(
            (
                inventory.number_set_aside(folder)
                for folder in one.set_aside
                if linked(folder, self.root)
                or any(
                    path.is_symlink() or not (inventory.is_leftover(path) or path in checkpoints)
                    or (path in one.halves and inventory.unexplained(path, CHECKPOINT_FILES))
                    for path in entries(folder)
                )
            ),
            default=0,
        )  # fmt: skip

    def _of_training(self, one: TrainingFiles) -> None:
        """What goes of a training that is not at work."""
        kept = [c.set_aside for c in one.checkpoints if c.path in self.stays]
        kept_set_aside = max([*kept, self._foreign_set_aside(one)], default=0)
        going = [c for c in one.checkpoints if c.path not in self.stays and not c.set_aside]
        for checkpoint in sorted(going, key=lambda c: c.manifest.created if c.manifest else "", reverse=True):
            kind = checkpoint.manifest.kind if checkpoint.manifest else ""
            reason = f"{kind} of a training that has ended; nothing kept was made from it"
            self._goes(checkpoint.path, "checkpoint", reason, one.directory)
        halves = [path for path in one.halves if not inventory.number_set_aside(path.parent)]
        if one.set_aside and self._has_ended(one):
            for folder in sorted(one.set_aside, key=inventory.number_set_aside, reverse=True):
                if inventory.number_set_aside(folder) > kept_set_aside:
                    reason = "the training was tried again, and has ended; nothing kept was made from it"
                    self._goes(folder, "set aside", reason, one.directory)
        for path in halves:
            if not linked(path, self.root) and not inventory.unexplained(path, CHECKPOINT_FILES):
                self._goes(path, "leftover", "a checkpoint without its manifest: no program takes it", one.directory)
        for folder in (one.directory, one.directory / CHECKPOINTS):
            self._left_over_in(folder, one.directory)

    # Reports and cards

    def _reports(self) -> None:
        """Those of checkpoints that are not there, or go."""
        there = {name for name, found in self.known.items() if any(c.path in self.stays for c in found)}
        for shelf in _SHELVES:
            for path in (path for folder in entries(self.root / shelf) for path in entries(folder)):
                name = f"{path.parent.name}/{path.name}"
                if not inventory.NAMED.fullmatch(path.name) or linked(path, self.root) or name in there:
                    continue
                if path in self.latest:
                    self.stays[path] = f"{self.latest[path]} was last materialized to it"
                elif other := self._unexplained_report(path):
                    self.stays[path] = f"it holds {other}, which is not ours"
                else:
                    reason = "its checkpoint goes" if name in self.known else "its checkpoint is gone"
                    self._goes(path, "report", reason)

    def _unexplained_report(self, path: Path) -> str | None:
        if not path.is_dir():
            return path.name
        return inventory.unexplained(path, _SHELVES[path.parents[1].name])

    # Corpora

    def _corpora(self) -> None:
        """Those that nothing kept names: of each asset before of what it was made from."""
        needed: dict[Path, str] = {}
        for name, manifest in self._kept_manifests():
            for path in self._named_in(manifest):
                needed.setdefault(path, f"{name} names it")
        unknown: set[str] = set()
        for asset in ASSETS:
            folder = self.root / "corpora" / asset
            versions = [path for path in entries(folder) if inventory.VERSION.fullmatch(path.name) and path.is_dir()]
            written = {path: inventory.last_written(path) for path in versions}
            for path in versions:
                reason = needed.get(path) or self._why_version(path, newest=written[path] >= max(written.values()))
                if reason is None and asset in unknown:
                    reason = "a corpus may be made from it"
                if reason is None:
                    self._goes(path, "corpus", "no kept checkpoint and no kept corpus was made from it")
                    continue
                self.stays[path] = reason
                try:
                    for source in self._sources(path):
                        needed.setdefault(source, f"{asset}/{path.name[:12]} was made from it")
                except (OSError, ValueError, KeyError, TypeError) as error:
                    unknown.add(DOCUMENT if asset == EXAMPLES else EXAMPLES)
                    self.notes.append(f"what {path} was made from cannot be read ({error}): all that it may be is kept")

    def _kept_manifests(self) -> Iterator[tuple[str, Manifest]]:
        for one in self.trainings:
            for checkpoint in one.checkpoints:
                if checkpoint.path in self.stays and checkpoint.manifest is not None:
                    yield f"{one.directory.name}/{checkpoint.path.name}", checkpoint.manifest

    def _named_in(self, manifest: Manifest) -> Iterator[Path]:
        """The versions that a manifest names."""
        for asset, version in manifest.corpora.items():
            yield self.root / version.path
            yield self.artifacts.corpus(asset, version.data_version)
            if version.examples is not None:
                yield self.artifacts.corpus(EXAMPLES, version.examples)
            yield self._documents([document._asdict() for document in version.documents])

    def _sources(self, version: Path) -> Iterator[Path]:
        """What a version of a corpus says that it was made from; nothing where nobody noted it."""
        if (version / DERIVED_FROM).exists():
            yield self.artifacts.corpus(EXAMPLES, read_json(version / DERIVED_FROM)[EXAMPLES])
        if (version / DOCUMENTS).exists():
            yield self._documents(read_json(version / DOCUMENTS))

    def _documents(self, sources: list[dict[str, Any]]) -> Path:
        """Where copies of these documents would be kept."""
        return self.artifacts.corpus(DOCUMENT, digest_of([[source["name"], source["sha256"]] for source in sources]))

    def _why_version(self, path: Path, *, newest: bool) -> str | None:
        if linked(path, self.root):
            return "it lies behind a link"
        if path in self.latest:
            return f"{self.latest[path]} was last materialized to it"
        if newest:
            return "the newest version"
        documents = {file.name for file in entries(path) if _is_document(file.name)}
        if other := inventory.unexplained(path, _CORPUS_FILES | documents):
            return f"it holds {other}, which is not a corpus's"
        return "what cannot be read may name it" if self.blind else None

    # What kills leave

    def _leftovers(self) -> None:
        corpora = [self.root / "corpora" / asset for asset in ASSETS]
        reports = [path for shelf in _SHELVES for path in entries(self.root / shelf) if path.is_dir()]
        going = {item.path for item in self.goes}
        inner = [path for folder in (*corpora, *reports) for path in entries(folder) if not path.name.startswith(".")]
        for folder in (self.training, *corpora, *reports, *(path for path in inner if path not in going)):
            self._left_over_in(folder)

    def _left_over_in(self, folder: Path, training: Path | None = None) -> None:
        for path in () if linked(folder, self.root) else inventory.leftovers(folder):
            if not path.is_symlink() and path not in self.latest:
                self._goes(path, "leftover", "half written or half removed, and a day old", training)


def _is_document(name: str) -> bool:
    return name.startswith("document") and name.endswith(".md")


def _named_as_written(checkpoint: Checkpoint) -> bool:
    m = checkpoint.manifest
    return m is not None and checkpoint.path.name == directory_name(m.kind, m.phase, m.epoch, m.step)


def _passing(checkpoint: Checkpoint) -> bool:
    """Whether it is one of those that a training writes on its way: of an epoch, or to resume from."""
    m = checkpoint.manifest
    return m is not None and m.kind in ("EPOCH", "LAST") and _named_as_written(checkpoint)
