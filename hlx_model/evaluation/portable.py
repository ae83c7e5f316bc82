"""Evaluate a model that is kept without its corpora, on corpora that are named with it.

    report = evaluate_portable(Path("model.pt"), [Path("corpus.md")], 3)     # a `.pt` file of another program
    report = evaluate_portable(Path("brain"), [Path("corpus.md")])           # a folder that `hlx export` wrote

The report is written beside the model, which is not changed. Test is what this program holds out of the corpus for it,
whatever the model was trained on. A `.pt` file records nothing of its training: the gates on the record warn that it is
missing, all others require of it what they require of a checkpoint. An exported folder has the checkpoint's manifest.
"""

import logging
import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, directory_name, read_manifest
from hlx_model.checkpoints.pt_import import load_pt
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus import CorpusError, store
from hlx_model.corpus.build import build
from hlx_model.corpus.document import DEFAULT_SEQ_LENGTH
from hlx_model.corpus.entries import DocumentRef
from hlx_model.corpus.verdict import require_built_passed, require_corpus_passed
from hlx_model.evaluation.documents import NO_EVALUATION, named_for
from hlx_model.evaluation.evaluate import EvaluationResult, documents_of, evaluate_model, recorded_target
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.target import EvaluationTarget
from hlx_model.files import UNREADABLE, read_json
from hlx_model.layout import EXPORT_FOLDER, MANIFEST, PROVENANCE, PT_WEIGHTS, ROWS, WEIGHTS, Artifacts
from hlx_model.model.transformer import Transformer
from hlx_model.outputs import require_output
from hlx_model.phases import ANY_PHASE, PHASES, require_phase

log = logging.getLogger(__name__)


class _Portable(NamedTuple):
    """A model, and what is recorded of it."""

    model: Transformer
    """On the CPU."""
    target: EvaluationTarget
    """Its corpora are those that it learned from, if they are recorded."""
    learned: Sequence[DocumentRef] = ()
    """The documents that it learned from, if that is recorded."""


def is_portable(path: Path) -> bool:
    """Return whether a path is a file of weights or an exported folder, and no checkpoint among its artifacts."""
    return path.is_file() or EXPORT_FOLDER.describes(path)


def report_beside(path: Path) -> Path:
    """Return the folder of the report on a model, beside it: `<stem>.report` of a file, `<name>.report` of a folder."""
    if path.is_dir():
        whole = Path(os.path.abspath(path))  # noqa: PTH100 (`.` has no name, and links stay)
        return whole.with_name(f"{whole.name}.report")
    return path.with_suffix(".report")


def evaluate_portable(
    path: Path, corpus: Sequence[Path], phase: int | None = None, *, heads: int | None = None, device: str = "cpu",
    documents: Sequence[Path] = (), requirements: Requirements | None = None,
) -> EvaluationResult:  # fmt: skip
    """Evaluate a model on the gates of its phase; write the report into a folder beside it (`report_beside`).

    Args:
        path: a `.pt` file, or an exported folder.
        corpus: documents, or the directory of a kept corpus of that phase.
        phase: of a `.pt` file, the number of its phase; an exported folder records it.
        heads: of a `.pt` file, its attention heads, if the size table does not have them.
        device: what to compute on.
        documents: evaluation documents; by default those of `HLX_EVAL`, or, if the model is known to have learned
            composed entries, the one of this project.
        requirements: the limits of the gates; by default those of `HLX_PROFILE`.

    Raises:
        ValueError: the model (`CheckpointError`), the corpus (`CorpusError`) or the phase cannot be used.
    """
    manifest = read_manifest(path) if path.is_dir() else None
    phase = _phase(path, manifest, corpus, phase, heads)
    asset = require_phase(phase).corpus
    advice = f"copy {path.absolute().name} into another folder, and validate the copy"
    report = require_output(report_beside(path), inputs=corpus, folder=True, advice=advice)
    found = _exported(path, manifest) if manifest else _pt_file(path, phase, heads)
    seq_length = found.target.settings.get("seq_length", DEFAULT_SEQ_LENGTH)
    version, rows = _corpus(corpus, phase, asset, seq_length)
    if version != (learned := found.target.corpora.get(asset, version)):
        log.warning("%s learned %s %s, and is evaluated on %s", path, asset, learned[:12], version[:12])
    translates = PHASES[phase].writes == "translations"
    evaluation = named_for(documents, found.learned) if translates else NO_EVALUATION
    target = replace(found.target, corpora={asset: version})
    model = found.model.to(device)
    return evaluate_model(target, model, {asset: rows}, report, evaluation=evaluation, requirements=requirements)


def _phase(path: Path, manifest: Manifest | None, corpus: Sequence[Path], phase: int | None, heads: int | None) -> int:
    """Return the phase of a model; `ValueError` says which option is missing or not needed."""
    if manifest is None:
        if not corpus:
            raise ValueError(f"{path}: a .pt file does not name its corpus: pass a document with --corpus")
        if phase is None:
            raise ValueError(f"{path}: a .pt file does not name its phase: pass --phase {ANY_PHASE}")
        return phase
    if phase is not None or heads is not None:
        raise ValueError(f"{path}: its {MANIFEST} names phase and size: omit --phase and --heads")
    if not corpus:
        learned = ", ".join(dict.fromkeys(document.name for document in documents_of(manifest)))
        named = f" ({learned})" if learned else ""
        raise ValueError(f"{path}: an exported folder does not contain its corpus{named}: pass it with --corpus")
    return manifest.phase


def _pt_file(path: Path, phase: int, heads: int | None) -> _Portable:
    imported = load_pt(path, heads)
    return _Portable(imported.model, EvaluationTarget(path.name, phase, imported.size, imported.sha256, {}))


def _exported(path: Path, m: Manifest) -> _Portable:
    """Return the model of an exported folder, with what its manifest records."""
    name = directory_name(m.kind, m.phase, m.epoch, m.step)
    return _Portable(load_exported(path, m), recorded_target(m, name), documents_of(m))


def load_exported(path: Path, m: Manifest) -> Transformer:
    """Return the model of an exported folder, on the CPU.

    Raises:
        CheckpointError: its weights are not those of its manifest, or of its statement if they are a `.pt` file.
    """
    if not (path / PT_WEIGHTS).is_file():
        return load_model(verify_checkpoint(path, only=(WEIGHTS,)))
    model, sha256 = load_pt(path / PT_WEIGHTS, m.architecture.heads)
    if sha256 != _exported_sha256(path, PT_WEIGHTS):
        raise CheckpointError(f"{path / PT_WEIGHTS}: its SHA-256 is not the one in {PROVENANCE}: export it again")
    return model


def _exported_sha256(path: Path, name: str) -> object:
    """Return the SHA-256 that the statement of an exported folder records of a file; None if it does not."""
    try:
        return next(one["digest"]["sha256"] for one in read_json(path / PROVENANCE)["subject"] if one["name"] == name)
    except (*UNREADABLE, StopIteration):
        return None


def _corpus(corpus: Sequence[Path], phase: int, asset: str, seq_length: int) -> tuple[str, pa.Table]:
    """Return the data version and the rows of the corpus of `phase`."""
    named = ", ".join(map(str, corpus))
    if len(corpus) == 1 and (corpus[0] / ROWS).exists():
        directory = corpus[0].absolute()
        if directory.parent.name != asset:
            raise CorpusError(f"{named}: phase {phase} is evaluated on {asset}, not on {directory.parent.name}")
        require_corpus_passed(directory)
        return directory.name, store.load(directory)
    with tempfile.TemporaryDirectory() as root:
        built = build(corpus, Artifacts.at(Path(root)), seq_length=seq_length)
        found = require_built_passed(built, asset)
        version, rows = found.version, store.load(found)
    if quarantined := len(built.collection.quarantined):
        log.warning("%s: %s entries are in quarantine; `hlx corpus check` lists them", named, quarantined)
    return version, rows
