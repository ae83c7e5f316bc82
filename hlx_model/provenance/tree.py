"""The tree from a checkpoint to its corpus documents, from what was recorded when each was made.

Nothing of it comes from today's graph: after the corpus moved on, the tree of an older checkpoint is what it was.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.manifest import (
    CheckpointError,
    CorpusVersion,
    Manifest,
    Parent,
    read_manifest,
)
from hlx_model.corpus import store
from hlx_model.corpus.documents import kept_documents
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import digest_of
from hlx_model.layout import DOCUMENT as DOCUMENT
from hlx_model.layout import EXAMPLES, Artifacts
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.events import Event, read_events
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.verdicts import GateClosed

CORPORA = (DOCUMENT, EXAMPLES, *CORPUS_OF_PHASE.values())


@dataclass(frozen=True)
class Node:
    """Something that was made, and what it was made from."""

    kind: str
    """`checkpoint`, `corpus` or `document`."""
    name: str
    sha256: str | None
    """Of a checkpoint's weights, a corpus's rows (its data version) or a document's bytes."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    made_from: tuple["Node", ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As JSON, what it was made from nested in it."""
        content = {"kind": self.kind, "name": self.name, "sha256": self.sha256, **self.facts}
        return {**content, "made_from": [node.to_json() for node in self.made_from]}

    def walk(self) -> Iterator["Node"]:
        """This node and all below it."""
        yield self
        for node in self.made_from:
            yield from node.walk()


def outline(node: Node, depth: int = 0) -> str:
    """The tree as a nested list in Markdown."""
    verdict = node.facts.get("verdict")
    told = [
        f"`{(node.sha256 or '')[:16]}`",
        *([f"verdict {verdict['outcome']}"] if verdict else []),
        *([f"made {when}"] if (when := node.facts.get("made") or node.facts.get("created")) else []),
        *([f"run `{node.facts['run_id'][:8]}`"] if node.facts.get("run_id") else []),
    ]
    line = f"{'  ' * depth}- **{node.name}** {', '.join(told)}"
    return "\n".join([line, *(outline(one, depth + 1) for one in node.made_from)])


def lineage(name: str, training: Path) -> Node:
    """The tree of a checkpoint, named as `lookup.checkpoint_of` takes it, or of a corpus asset as last materialized.

    Raises `CheckpointError` or `CorpusError` where there is none of that name.
    """
    artifacts = Artifacts(training)
    if name not in CORPORA:
        return of_checkpoint(checkpoint_of(name, training))
    made = [event for event in read_events(artifacts.root) if event.asset == name]
    if not made:
        raise CorpusError(f"{name} was never materialized under {artifacts.root}: materialize it, or name a checkpoint")
    directory, made_by = artifacts.root / made[-1].artifact, _made_by(made)
    if name == DOCUMENT:
        documents = [_document(document.origin, {}) for document in kept_documents(directory)]
        return Node("corpus", name, directory.name, made_by, tuple(documents))
    if name == EXAMPLES:
        return _examples(directory.name, store.sources_of(directory), made)
    examples, sources = store.origin(directory)
    return _corpus(
        name, CorpusVersion(directory.name, made[-1].artifact, examples, sources), read_events(artifacts.root)
    )


def of_checkpoint(checkpoint: Path) -> Node:
    """The tree of a checkpoint's directory. Its ancestors that are not at hand are told by what it records of them."""
    artifacts = Artifacts.of_checkpoint(checkpoint)
    return _checkpoint(checkpoint, read_manifest(checkpoint), artifacts, read_events(artifacts.root))


def _checkpoint(checkpoint: Path, m: Manifest, artifacts: Artifacts, made: list[Event]) -> Node:
    own = CORPUS_OF_PHASE[m.phase]
    children: list[Node] = []
    corpora = dict(m.corpora)
    ancestor = None
    if m.parent is not None:
        ancestor = _ancestor(m.parent, artifacts, made)
        told = {node.name for node in ancestor.walk() if node.kind == "corpus"}
        # Told once, by the ancestor that learned from it; its own corpus always.
        corpora = {asset: version for asset, version in corpora.items() if asset == own or asset not in told}
    until = [event for event in made if event.time <= m.created]  # the same version may have been made again since
    children += [_corpus(asset, version, until) for asset, version in corpora.items()]
    if ancestor is not None:
        children.append(ancestor)
    facts = {
        "training_id": m.training_id,
        "phase": m.phase,
        "size": m.size,
        "parameters": m.parameters,
        "epoch": m.epoch,
        "epochs": m.epochs,
        "step": m.step,
        "kind_of_checkpoint": m.kind,
        "stopped": m.stopped,
        "started": m.started or None,
        "created": m.created,
        "run_id": m.run_id,
        "device": m.device or None,
        "code": dict(m.code) or None,
        "versions": dict(m.versions),
        "settings": dict(m.settings),
        "vocabulary_sha256": m.vocabulary_sha256,
        "milestones": dict(m.milestones),
        "verdict": _verdict(checkpoint, m, artifacts),
        "handed_on_by": _handed_on(m),
        "ungated": list(m.ungated),
        "resumed": list(m.resumed),
        "at_hand": True,
    }
    return Node("checkpoint", f"{m.training_id}/{checkpoint.name}", m.weights_sha256, facts, tuple(children))


def _handed_on(m: Manifest) -> str | None:
    """How the parent was handed on to this checkpoint's training."""
    if m.parent is None:
        return None
    if m.parent.phase == m.phase:
        return "resumed by hand"
    if f"{m.parent.training_id}/{m.parent.name}" in m.ungated:
        return "its gate was closed (--ungated)"
    return f"verdict {m.parent.verdict.outcome}" if m.parent.verdict else "its verdict is not on record"


def _ancestor(parent: Parent, artifacts: Artifacts, made: list[Event]) -> Node:
    directory = artifacts.training / parent.training_id / "checkpoints" / parent.name
    try:
        manifest = read_manifest(directory)
    except CheckpointError as error:
        facts = {"training_id": parent.training_id, "phase": parent.phase, "epoch": parent.epoch, "at_hand": False}
        if directory.exists():
            facts["damaged"] = str(error)
        return Node("checkpoint", f"{parent.training_id}/{parent.name}", parent.weights_sha256, facts)
    node = _checkpoint(directory, manifest, artifacts, made)
    if manifest.weights_sha256 != parent.weights_sha256:
        return Node(node.kind, node.name, parent.weights_sha256, {**node.facts, "at_hand": False, "swapped": True})
    return node


def _verdict(checkpoint: Path, m: Manifest, artifacts: Artifacts) -> dict[str, Any] | None:
    """What the gates say of it now; None where nobody judged it, or of other weights."""
    try:
        verdict = Verdict.read(artifacts.report(checkpoint))
    except GateClosed:
        return None
    if verdict.weights_sha256 != m.weights_sha256:
        return None
    failed = [gate.name for gate in verdict.gates if gate.outcome == "fail"]
    return {"outcome": verdict.outcome, "failed": failed, "gates_version": verdict.gates_version}


def _corpus(asset: str, version: CorpusVersion, made: list[Event]) -> Node:
    children = () if version.examples is None else (_examples(version.examples, version.documents, made),)
    return Node("corpus", asset, version.data_version, _made_by(made, asset, version.data_version), children)


def _examples(version: str, documents: tuple[DocumentRef, ...], made: list[Event]) -> Node:
    kept = digest_of([[document.name, document.sha256] for document in documents])
    nodes = tuple(_document(document, _made_by(made, DOCUMENT, kept)) for document in documents)
    return Node("corpus", EXAMPLES, version, _made_by(made, EXAMPLES, version), nodes)


def _document(source: DocumentRef, made_by: Mapping[str, Any]) -> Node:
    facts = {"bytes": source.bytes, "source": source.source, **made_by}
    return Node("document", Path(source.name).name, source.sha256, facts)


def _made_by(made: list[Event], asset: str | None = None, version: str | None = None) -> dict[str, Any]:
    """When and by which run a version was last made, as Dagster recorded it; nothing where that is not on record."""
    for event in reversed(made):
        if asset is None or event.artifact == f"corpora/{asset}/{version}":
            return {"made": event.time, "run_id": event.run_id}
    return {}
