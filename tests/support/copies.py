"""A copy of the artifacts of a curriculum, which a test may change, and what tests add to it."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.manifest import Manifest, Parent, directory_name, read_manifest
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.cleanup import plan_cleanup
from hlx_model.corpus.build import build
from hlx_model.evaluation.verdict import require_passed
from hlx_model.files import write_json
from hlx_model.layout import Artifacts
from hlx_model.provenance.events import Event, record_event
from tests.support.curriculum import Curriculum
from tests.support.documents import small_text

LONG_AGO = time.time() - 3 * 24 * 3600


@dataclass(frozen=True)
class ArtifactsCopy:
    """A copy of the curriculum's artifacts that a test may change."""

    root: Path
    curriculum: Curriculum

    @property
    def training(self) -> Path:
        return self.root / "training"

    def of(self, phase: int) -> Path:
        """Return the directory of a phase's training."""
        return self.training / self.curriculum.phases[phase].plan.id

    def final(self, phase: int) -> Path:
        """Return the FINAL checkpoint of a phase."""
        return self.of(phase) / "checkpoints" / self.curriculum.phases[phase].checkpoint.name

    def report(self, phase: int) -> Path:
        """Return the folder of the report on a phase."""
        return Artifacts(self.training).report(self.final(phase))

    def corpus(self, phase: int, asset: str) -> Path:
        """Return a corpus that a phase was trained on."""
        return self.root / read_manifest(self.final(phase)).corpora[asset].path

    def going(self, group: str | None = None) -> set[str]:
        """Return what a plan removes, relative to the root."""
        found = plan_cleanup(self.training).goes
        return {str(item.path.relative_to(self.root)) for item in found if group in (None, item.group)}

    def files(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*")}


@contextmanager
def locked(training: Path) -> Iterator[None]:
    """Hold the lock of a training in another process."""
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'a+'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    )
    command = [sys.executable, "-c", program, str(training / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.stdin.close()


def forge(training: Path, like: Manifest, folder: str = "checkpoints") -> Path:
    """Write a checkpoint with a given manifest and no other file."""
    name = directory_name(like.kind, like.phase, like.epoch, like.step)
    path = training / like.training_id / folder / name
    path.mkdir(parents=True)
    write_json(path / "manifest.json", like.replace(files={}).to_json())
    return path


def copy_as(checkpoint: Path, kind: str, epoch: int) -> Path:
    """Copy a checkpoint as one of another kind and epoch, beside it."""
    like = read_manifest(checkpoint).replace(kind=kind, epoch=epoch, step=epoch)
    target = checkpoint.parent / directory_name(kind, like.phase, epoch, epoch)
    shutil.copytree(checkpoint, target)
    write_json(target / "manifest.json", like.to_json())
    return target


def as_parent(checkpoint: Path) -> Parent:
    m = read_manifest(checkpoint)
    return Parent(
        training_id=m.training_id, name=checkpoint.name, phase=m.phase, epoch=m.epoch, weights_sha256=m.weights_sha256
    )


def new_corpus(home: ArtifactsCopy, entries: int = 40) -> dict[str, Path]:
    """Add an old version of every corpus, made from a kept document; return them by asset."""
    document = home.root.parent / "other.md"
    document.write_text("\n\n".join(small_text().split("\n\n")[:entries]), encoding="utf-8")
    built = build([document], Artifacts(home.training), seq_length=256)
    kept = {**built.directories, "corpus_document": built.document}
    for directory in kept.values():
        age(directory)
    return kept


def age(path: Path) -> None:
    for inner in (*path.rglob("*"), path):
        os.utime(inner, (LONG_AGO, LONG_AGO), follow_symlinks=False)


def intact(home: ArtifactsCopy) -> None:
    """Require that every checkpoint verifies and that training may start from each of the three phases."""
    for path in home.training.glob("*/*/phase*"):
        verify_checkpoint(path)
    for phase in (1, 2, 3):
        require_passed(verify_checkpoint(home.final(phase)))


def materialize(home: ArtifactsCopy, asset: str, directory: Path) -> None:
    """Record that an asset was materialized to a directory."""
    record_event(home.root, Event(asset, str(directory.relative_to(home.root)), "run", "2026-01-01T00:00:00+00:00"))
