"""The manifest of a checkpoint: what it is, what it was made from, and the seal of its files.

    phase1_epoch10/  phase1_BEST_epoch47/  phase1_LAST_step3200/  phase1_FINAL_epoch200/
      model.safetensors  optimizer.safetensors (LAST and FINAL)  state.json  manifest.json

A directory is a valid checkpoint if it contains a manifest and every file has the recorded hash and length.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from hlx_model.corpus.entries import DocumentRef
from hlx_model.files import digest_of
from hlx_model.json_model import JsonModel, PathComponent, RelativePath
from hlx_model.layout import MANIFEST
from hlx_model.model.sizes import SIZES, Architecture

REMEDY = "use another checkpoint, or train that phase again"

Kind = Literal["EPOCH", "BEST", "LAST", "FINAL", "STOPPED"]


class CheckpointError(ValueError):
    """A checkpoint that is missing, incomplete, changed, or not the expected one; `str()` is one line."""


class CorpusVersion(JsonModel):
    """A version of a corpus that a checkpoint was trained on."""

    data_version: PathComponent
    """SHA-256 of its rows."""
    path: RelativePath
    """Its directory, relative to the root of the artifacts."""
    examples: PathComponent | None = None
    """The data version of the examples that it was derived from; None if that was not recorded."""
    documents: tuple[DocumentRef, ...] = ()
    """The documents that the examples were read from."""
    tokens: PathComponent | None = Field(default=None, exclude_if=lambda value: value is None)
    """The SHA-256 of the token file that was trained on; None, and no key in the file, if the corpus has none."""


class ParentVerdict(JsonModel):
    """The verdict that allowed a training to start from its parent checkpoint."""

    outcome: str
    digest: str
    """The digest of `verdict.json`."""
    gates_version: str


class Parent(JsonModel):
    """The checkpoint that a training started from."""

    training_id: PathComponent
    name: PathComponent
    phase: int
    epoch: int
    weights_sha256: str
    verdict: ParentVerdict | None = None
    """None if its gate was closed (`--ungated`), or no verdict was required because it is of the same phase."""
    pass_on: Literal["best"] | None = Field(default=None, exclude_if=lambda value: value is None)
    """`best` if its training passed it on as its best; else None, and no key in the file, as in older ones."""


class FileSeal(JsonModel):
    """The hash and the length of one file of a checkpoint."""

    sha256: str
    bytes: int


class Manifest(JsonModel):
    """What a checkpoint is, what it was made from, and the seal of its files."""

    kind: Kind
    phase: int
    epoch: int
    """The last epoch that had started; 1 is the first."""
    epochs: int
    """Epochs of the whole training."""
    step: int
    size: str
    parameters: int
    training_id: PathComponent
    settings: Mapping[str, Any]
    """The fields of `training.settings.Settings`; an older manifest lacks the later ones."""
    vocabulary_sha256: str
    corpora: Mapping[PathComponent, CorpusVersion]
    """By asset: this phase's corpus and those of the phases before."""
    parent: Parent | None
    stopped: str | None
    """Why a gate or an abort rule stopped the training; None if nothing did."""
    versions: Mapping[str, str]
    """Versions of the packages that computed and wrote it."""
    run_id: str | None
    """The Dagster run that started the trainer."""
    created: str
    """UTC, ISO 8601."""
    ungated: tuple[RelativePath, ...] = ()
    """The ancestors that were used although their gate was closed, `<training id>/<name>`, the oldest first."""
    resumed: tuple[RelativePath, ...] = ()
    """The checkpoints of the same phase that were continued under a new id, `<training id>/<name>`, oldest first."""
    started: str = ""
    """When this process started to train: UTC, ISO 8601."""
    device: str = ""
    code: Mapping[str, Any] = {}
    """`version`, raised by hand; `commit` and `dirty` of the git checkout that ran, None if there was none."""
    milestones: Mapping[str, str] = {}
    """The outcome of the gates during training, by epoch."""
    attempt: int = 1
    """Which attempt at this training; each one after the first follows one that was stopped."""
    weights_sha256: str
    files: Mapping[PathComponent, FileSeal]
    """By file name."""

    @property
    def architecture(self) -> Architecture:
        """Return the architecture of the manifest's size."""
        return SIZES[self.size]

    @property
    def end_status(self) -> Literal["completed", "quality_failed", "aborted"]:
        """Return how the training ended, if this is its FINAL or STOPPED checkpoint."""
        if self.stopped is None:
            return "completed"
        # A gate that fails always stops the training, and nothing is recorded after it.
        return "quality_failed" if "fail" in self.milestones.values() else "aborted"

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as it is written, with its own digest; `attempt` only if it is above 1."""
        content = super().to_json()
        if self.attempt == 1:
            del content["attempt"]
        return {**content, "digest": digest_of(content)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            ValueError: the digest does not fit, or a field is missing, unknown or of the wrong type.
        """
        content = dict(content) if isinstance(content, Mapping) else {}
        if content.pop("digest", None) != digest_of(content):
            raise ValueError("its digest does not fit its content")
        return super().from_json(content)


def chosen_best(epochs: int) -> str:
    """Return why a BEST checkpoint was passed on, of a training of so many epochs."""
    return f"the best of {epochs} epochs, chosen (pass_on: best)"


def directory_name(kind: str, phase: int, epoch: int, step: int) -> str:
    """Return a checkpoint's directory name: `phase1_epoch10`, `phase1_FINAL_epoch200`, `phase1_LAST_step3200`."""
    if kind == "LAST":
        return f"phase{phase}_LAST_step{step}"
    return f"phase{phase}_epoch{epoch}" if kind == "EPOCH" else f"phase{phase}_{kind}_epoch{epoch}"


def checkpoint_number(checkpoint: Path) -> int:
    """Return the epoch in a checkpoint's name; the step if it is a LAST checkpoint."""
    return int(re.findall(r"\d+", checkpoint.name)[-1])


def read_manifest(checkpoint: Path) -> Manifest:
    """Read the manifest of a checkpoint and check its digest, but not the checkpoint's files.

    Raises:
        CheckpointError: the manifest is missing, damaged or changed; names the file and the field.
    """
    path = checkpoint / MANIFEST
    if not checkpoint.exists():
        raise CheckpointError(f"{checkpoint}: no such checkpoint")
    if not path.is_file():
        raise CheckpointError(f"{checkpoint}: not a complete checkpoint ({MANIFEST} is missing): {REMEDY}")
    try:
        manifest = Manifest.read(path)
    except ValueError as error:
        raise CheckpointError(f"{error}: {REMEDY}") from None
    if manifest.size not in SIZES:
        raise CheckpointError(f"{path}: its size {manifest.size!r} is not one of {', '.join(SIZES)}")
    return manifest
