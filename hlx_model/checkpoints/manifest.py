"""What a checkpoint is, what it was made from, and whether it is still as it was written: without loading a weight.

    phase1_epoch10/  phase1_BEST_epoch47/  phase1_LAST_step3200/  phase1_FINAL_epoch200/
      model.safetensors  optimizer.safetensors (LAST and FINAL)  state.json  manifest.json

A directory is a checkpoint when its manifest is there and every file has the hash and length that the
manifest says.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from hlx_model.corpus.entries import DocumentRef
from hlx_model.files import digest_of, read_json
from hlx_model.layout import MANIFEST, STATE
from hlx_model.model.sizes import SIZES, Architecture

REMEDY = "use another checkpoint, or train that phase again"
NAME = re.compile(r"phase([123])_(?:(BEST|FINAL|STOPPED)_)?epoch(\d+)|phase([123])_(LAST)_step(\d+)")


class CheckpointError(ValueError):
    """A checkpoint that is missing, incomplete, changed, or not what was asked for: one line."""


class CorpusVersion(NamedTuple):
    """A corpus that went into a checkpoint: the SHA-256 of its rows, where they are kept, what they were made from."""

    data_version: str
    path: str
    """Relative to the root of the artifacts."""
    examples: str | None = None
    """The data version of the examples that it was derived from; None where that was not recorded."""
    documents: tuple[DocumentRef, ...] = ()
    """The documents that these were read from."""

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {**self._asdict(), "documents": [document.to_json() for document in self.documents]}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "CorpusVersion":
        """Raises `TypeError` where a field is missing or unknown."""
        documents = tuple(DocumentRef(**document) for document in content.get("documents", ()))
        return cls(**{**content, "documents": documents})


@dataclass(frozen=True)
class ParentVerdict:
    """The verdict by which a checkpoint was handed on."""

    outcome: str
    digest: str
    """Of `verdict.json`."""
    gates_version: str


@dataclass(frozen=True)
class Parent:
    """The checkpoint that a training started from."""

    training_id: str
    name: str
    phase: int
    epoch: int
    weights_sha256: str
    verdict: ParentVerdict | None = None
    """None where its gate was closed (`--ungated`), or nothing asked: it is of the same phase, resumed by hand."""


@dataclass(frozen=True)
class Manifest:
    """What a checkpoint is, what it was made from, and the seal of its files."""

    kind: str
    """`EPOCH`, `BEST`, `LAST`, `FINAL` or `STOPPED`."""
    phase: int
    epoch: int
    """Epochs begun: the epoch that this checkpoint ends or stands in."""
    epochs: int
    """Epochs asked for."""
    step: int
    size: str
    parameters: int
    training_id: str
    settings: Mapping[str, Any]
    vocabulary_sha256: str
    corpora: Mapping[str, CorpusVersion]
    """By asset: this phase's corpus and those of the phases before."""
    parent: Parent | None
    stopped: str | None
    """Why a gate or an abort condition ended the training; None where nothing did."""
    versions: Mapping[str, str]
    run_id: str | None
    created: str
    """UTC, ISO 8601."""
    ungated: tuple[str, ...] = ()
    """Checkpoints that it was made from although their gate was closed, `<training id>/<name>`, the oldest first."""
    resumed: tuple[str, ...] = ()
    """Checkpoints of the same phase that were gone on from by hand, `<training id>/<name>`, the oldest first."""
    started: str = ""
    """When this process began to train: UTC, ISO 8601."""
    device: str = ""
    code: Mapping[str, Any] = field(default_factory=dict)
    """`version`, raised by hand; `commit` and `dirty` of the git checkout that ran, None where there was none."""
    milestones: Mapping[str, str] = field(default_factory=dict)
    """What the gates said in training, by epoch."""
    attempt: int = 1
    """Which attempt at this training; each one after the first follows one that was stopped."""
    weights_sha256: str = ""
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By file name: its `sha256` and its length in `bytes`."""

    @property
    def architecture(self) -> Architecture:
        """The architecture of the manifest's size."""
        return SIZES[self.size]

    def to_json(self) -> dict[str, Any]:
        """As JSON, with its own digest; `attempt` only if it is above 1."""
        content = asdict(self)
        if self.attempt == 1:
            del content["attempt"]
        content["corpora"] = {asset: version.to_json() for asset, version in self.corpora.items()}
        return {**content, "digest": digest_of(content)}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Manifest":
        """Raises `ValueError` where the digest does not fit, or a field is missing or unknown."""
        content = dict(content)
        if content.pop("digest", None) != digest_of(content):
            raise ValueError("its digest does not fit its content")
        # What has a default came later: what was written before lacks it.
        later = {f.name for f in fields(cls) if f.default is not MISSING or f.default_factory is not MISSING}
        if missing := ({f.name for f in fields(cls)} ^ content.keys()) - (later - {"files", "weights_sha256"}):
            raise ValueError(f"its fields are not the expected ones: {', '.join(sorted(missing))}")
        content["corpora"] = {a: CorpusVersion.from_json(version) for a, version in content["corpora"].items()}
        if parent := content["parent"]:
            verdict = ParentVerdict(**parent["verdict"]) if parent.get("verdict") else None
            content["parent"] = Parent(**{**parent, "verdict": verdict})
        content["ungated"] = tuple(content.get("ungated", ()))
        content["resumed"] = tuple(content.get("resumed", ()))
        return cls(**content)


def directory_name(kind: str, phase: int, epoch: int, step: int) -> str:
    """The directory of a checkpoint: `phase1_epoch10`, `phase1_FINAL_epoch200`, `phase1_LAST_step3200`."""
    if kind == "LAST":
        return f"phase{phase}_LAST_step{step}"
    return f"phase{phase}_epoch{epoch}" if kind == "EPOCH" else f"phase{phase}_{kind}_epoch{epoch}"


def checkpoint_number(checkpoint: Path) -> int:
    """The epoch, or of a LAST checkpoint the step, that its directory is named after."""
    return int(re.findall(r"\d+", checkpoint.name)[-1])


def read_manifest(checkpoint: Path) -> Manifest:
    """The manifest of a checkpoint, its own digest checked but not yet its files.

    Raises `CheckpointError` where there is none, or it is not as it was written.
    """
    path = checkpoint / MANIFEST
    if not checkpoint.exists():
        raise CheckpointError(f"{checkpoint}: no such checkpoint")
    if not path.is_file():
        raise CheckpointError(f"{checkpoint}: not a complete checkpoint ({MANIFEST} is missing): {REMEDY}")
    try:
        manifest = Manifest.from_json(read_json(path))
    except (ValueError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path}: {error}: {REMEDY}") from None
    if manifest.size not in SIZES:
        raise CheckpointError(f"{path}: its size {manifest.size!r} is not one of {', '.join(SIZES)}")
    return manifest


def read_state(checkpoint: Path) -> dict[str, Any]:
    """Where the training stood, as the trainer wrote it."""
    state: dict[str, Any] = read_json(checkpoint / STATE)
    return state
