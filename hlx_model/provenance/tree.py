"""The tree from a checkpoint down to its corpus documents, from what was recorded when each was made.

Nothing is read from Dagster: when the corpus changes, the tree of an older checkpoint stays the same.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

from hlx_model.checkpoints.manifest import CheckpointError, CorpusVersion, Manifest, Parent, chosen_best, read_manifest
from hlx_model.corpus import store
from hlx_model.corpus.documents import documents_version, kept_documents
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.evaluation.verdict import Verdict
from hlx_model.layout import CHECKPOINTS, EXAMPLES, Artifacts, missing_training
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.provenance.events import Event, last_materialized, read_events
from hlx_model.provenance.lookup import CORPORA, DOCUMENT_OF, checkpoint_of
from hlx_model.reporting.render import escape_markdown, markdown_code
from hlx_model.runs.passing import pass_on_of
from hlx_model.shown import show_unseen
from hlx_model.verdicts import GateClosed


@dataclass(frozen=True)
class Node:
    """A corpus, a document or a checkpoint, and what it was made from."""

    kind: Literal["checkpoint", "corpus", "document"]
    name: str
    sha256: str
    """Of a checkpoint's weights, a corpus's rows (its data version) or a document's bytes."""
    made_from: tuple["Node", ...] = ()
    made: str | None = None
    """When: UTC, ISO 8601. None if it is not recorded."""
    run_id: str | None = None
    """The Dagster run that made it."""
    document: DocumentRef | None = None
    """The reference of a document."""

    def to_json(self) -> Mapping[str, object]:
        """Return it as JSON, with what it was made from nested in it."""
        head = {"kind": self.kind, "name": self.name, "sha256": self.sha256}
        return {**head, **self.facts(), "made_from": [node.to_json() for node in self.made_from]}

    def facts(self) -> Mapping[str, object]:
        """Return what the JSON contains besides name, hash and origin."""
        of_document = {"bytes": self.document.bytes, "source": self.document.source} if self.document else {}
        return {**of_document, **({"made": self.made, "run_id": self.run_id} if self.made else {})}

    def walk(self) -> Iterator["Node"]:
        """Yield this node and all below it."""
        yield self
        for node in self.made_from:
            yield from node.walk()


@dataclass(frozen=True, kw_only=True)
class CheckpointNode(Node):
    """A checkpoint."""

    manifest: Manifest | None = None
    """None if it is missing or damaged."""
    recorded: Parent | None = None
    """What its child's manifest records of it, if its own is missing or damaged."""
    damaged: str | None = None
    """Why its manifest cannot be read."""
    verdict: Verdict | None = None
    """The verdict now; None if it was not evaluated, or its verdict is on other weights."""
    pass_on: Literal["best"] | None = None
    """`best` if its training passes it on as its best, or did when its child started from it; else None."""

    @property
    def swapped(self) -> bool:
        """Whether another checkpoint is in its place."""
        return self.manifest is not None and self.manifest.weights_sha256 != self.sha256

    @property
    def available(self) -> bool:
        """Whether it is there, with the weights that its child's manifest records."""
        return self.manifest is not None and not self.swapped

    @property
    def failed_gates(self) -> list[str]:
        """The names of the gates that it failed."""
        return [gate.name for gate in self.verdict.gates if gate.outcome == "fail"] if self.verdict else []

    @property
    def started_by(self) -> str | None:
        """What allowed its training to start from its parent; None if it started from random weights."""
        m = self.manifest
        if m is None or m.parent is None:
            return None
        if m.parent.phase == m.phase:
            return "resumed by hand"
        if f"{m.parent.training_id}/{m.parent.name}" in m.ungated:
            return "its gate was closed (--ungated)"
        return f"verdict {m.parent.verdict.outcome}" if m.parent.verdict else "its verdict is not on record"

    @property
    def chosen(self) -> str | None:
        """Why it was passed on if it is the best of its training, and not the last; else None."""
        return chosen_best(self.manifest.epochs) if self.manifest and self.pass_on else None

    def facts(self) -> Mapping[str, object]:
        """Return what the JSON contains besides name, hash and parents: most of its manifest."""
        if self.manifest is None:
            assert self.recorded is not None
            known = {name: getattr(self.recorded, name) for name in ("training_id", "phase", "epoch")}
            return {**known, "at_hand": False, **({"damaged": self.damaged} if self.damaged else {})}
        content, v = self.manifest.to_json(), self.verdict
        return {
            **{name: value for name, value in content.items() if name not in _NOT_FACTS},
            **{name: content[name] or None for name in ("started", "device", "code")},
            "kind_of_checkpoint": content["kind"],
            "verdict": {"outcome": v.outcome, "failed": self.failed_gates, "gates_version": v.gates_version}
            if v
            else None,
            "handed_on_by": self.started_by,
            "at_hand": self.available,
            **({"swapped": True} if self.swapped else {}),
            **({"pass_on": self.pass_on} if self.pass_on else {}),
        }


_SHAPES = {"document": ("[/", "/]"), "corpus": ("[(", ")]"), "checkpoint": ("[", "]")}
_NOT_FACTS = ("kind", "weights_sha256", "corpora", "parent", "files", "digest")
"""What the JSON of a checkpoint has under other names than its manifest, or not at all."""


def outline(node: Node, depth: int = 0) -> str:
    """Return the tree as a nested list in Markdown."""
    facts = [markdown_code(node.sha256[:16])]
    if isinstance(node, CheckpointNode) and node.verdict:
        facts.append(f"verdict {node.verdict.outcome}")
    facts += [node.chosen] if isinstance(node, CheckpointNode) and node.chosen else []
    facts += [f"made {escape_markdown(node.made)}"] if node.made else []
    facts += [f"run {markdown_code(node.run_id[:8])}"] if node.run_id else []
    line = f"{'  ' * depth}- **{escape_markdown(node.name)}** {', '.join(facts)}"
    return "\n".join([line, *(outline(child, depth + 1) for child in node.made_from)])


def mermaid(node: Node) -> str:
    """Return a flowchart, which GitHub and others draw. What two nodes have in common is in it once."""
    names = {key: f"n{number}" for number, key in enumerate(dict.fromkeys(map(_key, node.walk())))}
    boxes = dict.fromkeys(_box(names[_key(one)], one) for one in node.walk())
    links = [(names[_key(origin)], names[_key(one)]) for one in node.walk() for origin in one.made_from]
    arrows = dict.fromkeys(f"  {origin} --> {one}" for origin, one in links)
    return "\n".join(["flowchart TD", *boxes, *arrows])


def _key(node: Node) -> tuple[str, str, str]:
    return node.kind, node.name, node.sha256


def _box(name: str, node: Node) -> str:
    opening, closing = _SHAPES[node.kind]
    lines = [node.name, f"{node.sha256[:12]}…"]
    if isinstance(node, CheckpointNode):
        verdict = f"verdict: {node.verdict.outcome}" if node.verdict else "not evaluated"
        lines.append(verdict if node.available else "missing")
        if m := node.manifest:
            lines += [node.chosen] if node.chosen else []
            lines += [f"stopped: {m.stopped}"] if m.stopped else []
            lines += [f"closed gate of {name} ignored (--ungated)" for name in m.ungated]
            lines += [f"resumed by hand from {name}" for name in m.resumed]
    text = "<br/>".join(map(_escape_mermaid, lines))
    return f'  {name}{opening}"{text}"{closing}'


def _escape_mermaid(text: str) -> str:
    """Write each sign that may be markup, of Mermaid, Markdown or HTML, as a character code of Mermaid."""
    return re.sub(r"[^\w\s.,:/+…-]", lambda sign: f"#{ord(sign[0])};", show_unseen(text))


def lineage(name: str, training: Path) -> Node:
    """Return the tree of a checkpoint, or of the latest materialization of a corpus asset.

    Args:
        name: a checkpoint as `lookup.checkpoint_of` takes it, or a corpus asset.
        training: the folder of the trainings.

    Raises:
        CheckpointError: no checkpoint has this name.
        CorpusError: the corpus was never materialized.
    """
    if name not in CORPORA:
        return of_checkpoint(checkpoint_of(name, training))
    root = Artifacts(training).root
    directory = last_materialized(root).get(name)
    if directory is None:
        never = f"{name} was never materialized under {root}: materialize it, or name a checkpoint"
        raise CorpusError(never if root.is_dir() else missing_training(training))
    events, version = read_events(root), directory.name
    if name in DOCUMENT_OF.values():
        documents = tuple(_document(document.to_ref()) for document in kept_documents(directory))
        return Node("corpus", name, version, documents, **_latest(events, name, version))
    if name in DOCUMENT_OF:
        return _examples(version, store.sources_of(directory), events, name)
    examples, sources = store.made_from(directory)
    made = CorpusVersion(
        data_version=version, path=str(directory.relative_to(root)), examples=examples, documents=sources
    )
    return _corpus(name, made, events)


def of_checkpoint(checkpoint: Path) -> CheckpointNode:
    """Return the tree of a checkpoint's directory. A missing ancestor is described by what its child records.

    Raises:
        CheckpointError: it has no manifest, or a damaged one.
    """
    artifacts = Artifacts.of_checkpoint(checkpoint)
    node = _checkpoint(checkpoint, read_manifest(checkpoint), artifacts, read_events(artifacts.root))
    return replace(node, pass_on=pass_on_of(checkpoint))


def _checkpoint(checkpoint: Path, m: Manifest, artifacts: Artifacts, events: Sequence[Event]) -> CheckpointNode:
    ancestors = (_ancestor(m.parent, artifacts, events),) if m.parent else ()
    # An ancestor that learned from a corpus shows it. This checkpoint's own corpus is always shown.
    shown = {node.name for ancestor in ancestors for node in ancestor.walk()} - {CORPUS_OF_PHASE[m.phase]}
    # The same version may have been made again since.
    earlier = [event for event in events if event.time <= m.created]
    corpora = [_corpus(asset, version, earlier) for asset, version in m.corpora.items() if asset not in shown]
    return CheckpointNode(
        "checkpoint", f"{m.training_id}/{checkpoint.name}", m.weights_sha256, (*corpora, *ancestors),
        made=m.created, run_id=m.run_id, manifest=m, verdict=_verdict(checkpoint, m, artifacts),
    )  # fmt: skip


def _ancestor(parent: Parent, artifacts: Artifacts, events: Sequence[Event]) -> CheckpointNode:
    directory = artifacts.training / parent.training_id / CHECKPOINTS / parent.name
    try:
        manifest = read_manifest(directory)
    except CheckpointError as error:
        name, damaged = f"{parent.training_id}/{parent.name}", str(error) if directory.exists() else None
        return CheckpointNode("checkpoint", name, parent.weights_sha256, recorded=parent, damaged=damaged)
    node = replace(_checkpoint(directory, manifest, artifacts, events), pass_on=parent.pass_on)
    if manifest.weights_sha256 != parent.weights_sha256:
        return replace(node, sha256=parent.weights_sha256, made_from=())
    return node


def _verdict(checkpoint: Path, m: Manifest, artifacts: Artifacts) -> Verdict | None:
    try:
        verdict = Verdict.read(artifacts.report(checkpoint))
    except GateClosed:
        return None
    return verdict if verdict.weights_sha256 == m.weights_sha256 else None


def _corpus(asset: str, version: CorpusVersion, events: Sequence[Event]) -> Node:
    examples = () if version.examples is None else (_examples(version.examples, version.documents, events),)
    return Node("corpus", asset, version.data_version, examples, **_latest(events, asset, version.data_version))


def _examples(version: str, documents: Sequence[DocumentRef], events: Sequence[Event], asset: str = EXAMPLES) -> Node:
    made = _latest(events, DOCUMENT_OF[asset], documents_version(documents))
    nodes = tuple(replace(_document(document), **made) for document in documents)
    return Node("corpus", asset, version, nodes, **_latest(events, asset, version))


def _document(document: DocumentRef) -> Node:
    return Node("document", Path(document.name).name, document.sha256, document=document)


class _Made(TypedDict, total=False):
    made: str
    run_id: str | None


def _latest(events: Sequence[Event], asset: str, version: str) -> _Made:
    """Return when and by which run a version of a corpus was last materialized; empty if that is not on record."""
    artifact = f"corpora/{asset}/{version}"
    last = next((event for event in reversed(events) if event.artifact == artifact), None)
    return {"made": last.time, "run_id": last.run_id} if last else {}
