"""What `hlx clean` keeps, and why: everything that can be reached from an artifact that is kept for itself.

Kept for themselves: what a training ended with or was best at, everything of a training that is running or can be
resumed, what an asset was last materialized to, the newest version of each corpus, and whatever hlx cannot explain.
Needed by these: checkpoint → parent, corpora, report, card and baselines; corpus → examples → documents; report →
evaluation examples → their documents.

If a manifest cannot be read, everything that it might name is kept.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hlx_model import layout
from hlx_model.checkpoints.manifest import CheckpointError, Manifest, directory_name
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cleanup.disk import STOPPED, Training, find_trainings, foreign_file, is_linked, last_written
from hlx_model.corpus import store
from hlx_model.corpus.documents import documents_version
from hlx_model.layout import Artifacts, FolderKind
from hlx_model.provenance.events import last_materialized
from hlx_model.provenance.lookup import CORPORA, DOCUMENT_OF
from hlx_model.verdicts import read_sealed

OLD_ATTEMPT = "set aside"
"""The group of checkpoints in folders `stopped-N`, as `--json` has always named it."""
GROUPS = {
    "checkpoint": "checkpoints",
    OLD_ATTEMPT: "stopped attempts of version 0.1.0",
    "report": "reports and cards",
    "corpus": "versions of corpora",
    "leftover": "leftovers of killed programs",
}


class Artifact(NamedTuple):
    """A folder that is kept or removed as a whole."""

    path: Path
    group: str
    """A key of `GROUPS`."""
    kind: FolderKind
    training: Training | None = None
    """The training of a checkpoint."""
    manifest: Manifest | None = None
    """The manifest of a checkpoint; None if it cannot be read."""

    @property
    def names(self) -> set[str]:
        """`<training id>/<checkpoint>` of a checkpoint, by its folder and by its manifest; none for anything else."""
        if self.training is None:
            return set()
        ids = {self.training.directory.name} | ({self.manifest.training_id} if self.manifest else set())
        return {f"{training_id}/{self.path.name}" for training_id in ids}

    @property
    def removal_reason(self) -> str:
        """Why it may go if nothing keeps it."""
        if self.manifest is not None:
            return f"{self.manifest.kind} of a training that has ended; nothing kept was made from it"
        return "nothing kept was made from it" if self.group == "corpus" else "its checkpoint or corpus is not kept"


class Kept(NamedTuple):
    """Something that is not removed, and why."""

    path: Path
    reason: str


class Marks:
    """Everything under one root of artifacts, and which of it is kept.

    Args:
        training: the folder of the trainings.
        trusted: FINAL and STOPPED checkpoints whose files need not be hashed again.
    """

    def __init__(self, training: Path, trusted: frozenset[Path] = frozenset()) -> None:
        self.artifacts = Artifacts(training)
        self.root = self.artifacts.root
        self.trainings = find_trainings(training)
        self.trusted = trusted
        self.ended: dict[Path, Path | None] = {}
        """By directory of a training: what `end_of` found."""
        self.notes: list[str] = []
        self.kept: dict[Path, str] = {}
        """By path, why; empty for a report or a card that is kept with its checkpoint or corpus."""
        self.all = {artifact.path: artifact for artifact in self._find()}
        self.by_checkpoint: dict[str, list[Artifact]] = defaultdict(list)
        for artifact in self.all.values():
            for name in artifact.names:
                self.by_checkpoint[name].append(artifact)
        self.newest = self._newest()
        self.materialized = last_materialized(self.root)
        self.blind = self._is_blind()
        self._mark()

    def _find(self) -> Iterator[Artifact]:
        """Return what is there, each artifact before what it may have been made from."""
        for one in self.trainings:
            for path, manifest in sorted(one.checkpoints.items(), key=_created, reverse=True):
                group = OLD_ATTEMPT if STOPPED.fullmatch(path.parent.name) else "checkpoint"
                yield Artifact(path, group, layout.CHECKPOINT_FOLDER, one, manifest)
        for kind in (layout.REPORT_FOLDER, layout.CARD_FOLDER, layout.BASELINES_FOLDER, layout.CORPUS_REPORT_FOLDER):
            for path in kind.find(self.root):
                if kind is not layout.CORPUS_REPORT_FOLDER or path.parent.name in CORPORA:
                    yield Artifact(path, "report", kind)
        versions = layout.CORPUS_FOLDER.find(self.root)
        for asset in CORPORA:
            kind = layout.DOCUMENT_FOLDER if asset in DOCUMENT_OF.values() else layout.CORPUS_FOLDER
            yield from (Artifact(path, "corpus", kind) for path in versions if path.parent.name == asset)

    def _newest(self) -> set[Path]:
        """Return the version of each corpus that was written last; several if they were written at once."""
        written = {path: last_written(path) for path, artifact in self.all.items() if artifact.group == "corpus"}
        # In ascending order: the last one of a folder stays.
        last = {path.parent: time for path, time in sorted(written.items(), key=lambda item: item[1])}
        return {path for path, time in written.items() if time == last[path.parent]}

    def _is_blind(self) -> bool:
        """Return whether a checkpoint may need something that cannot be named."""
        for one in self.trainings:
            unreadable = [path for path, manifest in one.checkpoints.items() if manifest is None]
            self.notes += [f"{path} is kept: its manifest cannot be read" for path in unreadable]
            if one.active and len(unreadable) == len(one.checkpoints):
                self.notes.append(f"{one.directory} is running and has not yet written what it is made from")
        if self.notes:
            self.notes.append("so every checkpoint and every version of a corpus is kept: it may need them")
        return bool(self.notes)

    def _mark(self) -> None:
        reasons = {artifact.path: self._own_reason(artifact) for artifact in self.all.values()}
        waiting = [(path, reason) for path, reason in reasons.items() if reason is not None]
        while waiting:
            path, reason = waiting.pop()
            if path in self.all and path not in self.kept:
                self.kept[path] = reason
                waiting += self._needed_by(self.all[path])

    # Roots

    def _own_reason(self, artifact: Artifact) -> str | None:
        """Return why an artifact is kept for itself; None if it is kept only if something needs it."""
        path, one, m = artifact.path, artifact.training, artifact.manifest
        if one is not None and m is None:
            return "its manifest cannot be read"
        if is_linked(path, self.root) or (one is not None and not one.ours):
            return "it is in another folder, or behind a link"
        if one is not None and one.active:
            return "its training is running"
        if m is not None and artifact.group != OLD_ATTEMPT:
            if path.parent.name != layout.CHECKPOINTS:
                return "it is where no trainer writes"
            if path.name != directory_name(m.kind, m.phase, m.epoch, m.step):
                return "it was renamed"
            if m.kind not in ("EPOCH", "LAST"):
                return f"it is {m.kind}"
        if asset := self._materialized_to(artifact):
            return f"{asset} was last materialized to it"
        if path in self.newest:
            return "the newest version"
        if foreign := foreign_file(path, artifact.kind):
            return f"it contains {foreign}, which hlx did not write"
        if self.blind and artifact.group != "report":
            return "what cannot be read may need it"
        # Last, because it hashes files.
        if one is not None and self.end_of(one) is None:
            return "its training has not ended and can be resumed"
        return None

    def _materialized_to(self, artifact: Artifact) -> str | None:
        """Return the asset that was last materialized to an artifact, or to a report or card on it."""
        # A stopped checkpoint was moved from `checkpoints`; a later attempt may have written its name there again.
        moved = artifact.path.parents[1] / layout.CHECKPOINTS / artifact.path.name / layout.MANIFEST
        names = set() if artifact.group == OLD_ATTEMPT and moved.exists() else artifact.names
        for asset, path in self.materialized.items():
            training = path.parents[1] if path.parent.name == layout.CHECKPOINTS else path.parent
            if path == artifact.path or f"{training.name}/{path.name}" in names:
                return asset
        return None

    def end_of(self, one: Training) -> Path | None:
        """Return the complete checkpoint that a training ended with; None if it is resumed from another one."""
        if one.directory not in self.ended:
            ends = (path for path, m in one.checkpoints.items() if m is not None and m.kind in ("FINAL", "STOPPED"))
            self.ended[one.directory] = next(filter(self._is_complete, ends), None)
        return self.ended[one.directory]

    def _is_complete(self, end: Path) -> bool:
        if end in self.trusted:
            return True
        if end.parent.name != layout.CHECKPOINTS:  # a stopped attempt of version 0.1.0
            return False
        try:
            verify_checkpoint(end, training_id=end.parents[1].name)
        except (CheckpointError, OSError) as error:
            self.notes.append(f"{end.parents[1]} does not count as ended: {error}")
            return False
        return True

    # Edges

    def _needed_by(self, artifact: Artifact) -> Iterator[tuple[Path, str]]:
        """Return what is kept because an artifact is kept, and why."""
        if artifact.training and artifact.manifest:
            name = f"{artifact.training.directory.name}/{artifact.path.name}"
            yield from ((parent, f"{name} was made from it") for parent in self._parents(artifact.manifest))
            yield from ((corpus, f"{name} was trained on it") for corpus in self._corpora(artifact.manifest))
        for name in artifact.names:
            yield from ((self.root / folder / name, "") for folder in ("reports", "cards", "baselines"))
        if artifact.kind is layout.REPORT_FOLDER:
            yield from self._evaluations(artifact.path)
        if artifact.group == "corpus":
            yield self.artifacts.corpus_report(artifact.path.parent.name, artifact.path.name), ""
            yield from self._sources(artifact.path)

    def _parents(self, manifest: Manifest) -> Iterator[Path]:
        if (parent := manifest.parent) is not None:
            known = self.by_checkpoint.get(f"{parent.training_id}/{parent.name}", [])
            same = [one for one in known if one.manifest and one.manifest.weights_sha256 == parent.weights_sha256]
            yield from (one.path for one in same or known)
        for name in manifest.ungated:
            yield from (one.path for one in self.by_checkpoint.get(name, []))

    def _corpora(self, manifest: Manifest) -> Iterator[Path]:
        for asset, version in manifest.corpora.items():
            yield self.artifacts.corpus(asset, version.data_version)
            if version.examples is not None:
                yield self.artifacts.corpus(layout.EXAMPLES, version.examples)
            yield self.artifacts.corpus(layout.DOCUMENT, documents_version(version.documents))

    def _evaluations(self, report: Path) -> Iterator[tuple[Path, str]]:
        """Yield the evaluation examples of a report; nothing if its verdict cannot be read, which is void then."""
        with suppress(ValueError):
            if version := read_sealed(report).get("evaluation"):
                path = self.artifacts.corpus(layout.EVALUATION, str(version))
                yield path, f"{report.parent.name}/{report.name} was evaluated on it"

    def _sources(self, corpus: Path) -> Iterator[tuple[Path, str]]:
        """Return what a version of a corpus was made from; if that cannot be read, everything that it may be."""
        asset, reason = corpus.parent.name, f"{corpus.parent.name}/{corpus.name[:12]} was made from it"
        document = DOCUMENT_OF.get(asset, layout.DOCUMENT)
        try:
            for examples in store.all_examples_of(corpus):
                yield self.artifacts.corpus(layout.EXAMPLES, examples), reason
            for documents in store.all_sources_of(corpus):
                yield self.artifacts.corpus(document, documents_version(documents)), reason
        except (OSError, ValueError, KeyError, TypeError) as error:
            below = document if asset in DOCUMENT_OF else layout.EXAMPLES
            self.notes.append(f"what {corpus} was made from cannot be read ({error}): every version of {below} is kept")
            yield from ((path, f"{reason}, perhaps") for path in self.all if path.parent.name == below)


def _created(checkpoint: tuple[Path, Manifest | None]) -> str:
    return checkpoint[1].created if checkpoint[1] else ""
