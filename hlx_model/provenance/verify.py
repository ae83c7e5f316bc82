"""Is a checkpoint still what it was? Everything is hashed again, and every link to what it was made from is followed.

Works on a copied directory and without Dagster's database. What is not at hand (corpora, parents, reports beside a
checkpoint that was copied alone) is `unchecked`: it is missed, but nothing says that it is broken.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.manifest import (
    CheckpointError,
    CorpusVersion,
    Manifest,
    directory_name,
    read_manifest,
)
from hlx_model.corpus import store
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.evaluation.gates.registry import GATES_OF_PHASE
from hlx_model.evaluation.verdict import GATES_VERSION, Verdict
from hlx_model.files import digest_of, read_json, sha256_of
from hlx_model.layout import DOCUMENT as DOCUMENT
from hlx_model.layout import EXAMPLES, MANIFEST, REPORT, SIGNATURE, STATE, VERDICT, WEIGHTS, Artifacts
from hlx_model.provenance.finding import LinkFinding, LinkStatus
from hlx_model.release.exported import is_exported, verify_export
from hlx_model.release.signing import BadKey, verify_signature
from hlx_model.training.settings import CODE_VERSION, training_id
from hlx_model.verdicts import GateClosed, worst


def verify_lineage(checkpoint: Path, key: Path | None = None) -> Iterator[LinkFinding]:
    """Hash a checkpoint, its verdict, its corpora and its ancestors again; a finding for each link, in that order.

    Of an exported folder all that it holds.

    Args:
        checkpoint: its directory.
        key: the public key (PEM) that it must be signed with; without one, a signature is not looked at.
    """
    checkpoint = checkpoint.absolute()
    yield from _signature(checkpoint, key)
    yield from verify_export(checkpoint) if is_exported(checkpoint) else _Look(checkpoint).findings()


def _signature(directory: Path, key: Path | None) -> Iterator[LinkFinding]:
    link, there = f"{directory.name}: signature", (directory / SIGNATURE).exists()
    if key is None:
        if there:
            yield LinkFinding(link, "unchecked", "name the public key with --key to have it checked")
    elif not there:
        yield LinkFinding(link, "broken", f"{directory / SIGNATURE}: missing: it is not signed")
    else:
        try:
            verify_signature(directory, key)
        except BadKey:
            raise
        except ValueError as error:
            yield LinkFinding(link, "broken", str(error))
        else:
            yield LinkFinding(link, "ok", f"by the key of {key}")


class _Look:
    """One checkpoint that is looked at."""

    def __init__(self, checkpoint: Path) -> None:
        self.checkpoint, self.artifacts = checkpoint, Artifacts.of_checkpoint(checkpoint)

    def findings(self) -> Iterator[LinkFinding]:
        try:
            manifest = read_manifest(self.checkpoint)
        except CheckpointError as error:
            yield self._finding(MANIFEST, "broken", str(error))
            return
        yield self._own_bytes(self.checkpoint / MANIFEST, MANIFEST)
        yield from self._files(manifest)
        yield self._place(manifest)
        yield self._identity(manifest)
        yield from self._course(manifest)
        yield from self._verdict(manifest)
        for asset, version in manifest.corpora.items():
            yield from self._corpus(asset, version)
        yield from self._parent(manifest)

    def _finding(self, link: str, outcome: LinkStatus, reason: str) -> LinkFinding:
        return LinkFinding(f"{self.checkpoint.name}: {link}", outcome, reason)

    def _own_bytes(self, path: Path, link: str) -> LinkFinding:
        """A JSON file with its own digest: also what the digest does not see, a space, is to be as we write it."""
        if path.read_text(encoding="utf-8") != json.dumps(read_json(path), indent=2, ensure_ascii=False) + "\n":
            return self._finding(link, "broken", f"{path}: changed: not as this program writes it")
        return self._finding(link, "ok", "as it was written: its digest fits")

    def _files(self, m: Manifest) -> Iterator[LinkFinding]:
        for name, seal in m.files.items():
            path = self.checkpoint / name
            if not path.is_file():
                yield self._finding(name, "broken", f"{path}: missing")
            elif (found := path.stat().st_size) != seal["bytes"]:
                yield self._finding(
                    name, "broken", f"{path}: changed: {found} bytes where {seal['bytes']} were written"
                )
            elif sha256_of(path) != seal["sha256"]:
                yield self._finding(name, "broken", f"{path}: changed: its SHA-256 is not the one in {MANIFEST}")
            else:
                yield self._finding(name, "ok", f"SHA-256 {seal['sha256'][:16]}…")
        for path in sorted(self.checkpoint.iterdir()):
            if path.name not in {*m.files, MANIFEST, SIGNATURE}:
                yield self._finding(path.name, "broken", f"{path}: foreign: {MANIFEST} knows no such file")
        if m.files.get(WEIGHTS, {}).get("sha256") != m.weights_sha256:
            yield self._finding(WEIGHTS, "broken", f"{MANIFEST} has two hashes of the weights")

    def _place(self, m: Manifest) -> LinkFinding:
        """In its training's folder it bears its own name; elsewhere it may bear any."""
        name = directory_name(m.kind, m.phase, m.epoch, m.step)
        here, training = self.checkpoint.name, self.checkpoint.parent.parent.name
        if self.checkpoint.parent.name != "checkpoints":
            return self._finding("place", "unchecked", f"copied from {m.training_id}/checkpoints/{name}")
        if (here, training) != (name, m.training_id):
            reason = f"swapped: in the place of {training}/{here} lies {m.training_id}/{name}"
            return self._finding("place", "broken", reason)
        return self._finding("place", "ok", f"{training}/{name}")

    def _identity(self, m: Manifest) -> LinkFinding:
        """The id of a training follows from its settings, corpora, parent and code."""
        if m.code.get("version") != CODE_VERSION:
            return self._finding("training id", "unchecked", "made by another version of the trainer")
        versions = {asset: version.data_version for asset, version in m.corpora.items()}
        parent_weights = m.parent.weights_sha256 if m.parent else None
        expected = training_id(m.settings, versions, parent_weights, m.ungated, m.attempt)
        if expected != m.training_id:
            reason = f"its settings, corpora and parent make {expected}, not {m.training_id}: {MANIFEST} was made anew"
            return self._finding("training id", "broken", reason)
        return self._finding("training id", "ok", "follows from settings, corpora, parent and code")

    def _course(self, m: Manifest) -> Iterator[LinkFinding]:
        """What the manifest says of the training's course, beside its state."""
        if (m.kind == "STOPPED") != (m.stopped is not None):
            yield self._finding(MANIFEST, "broken", f"forged: {m.kind}, and stopped: {m.stopped}")
        if not m.milestones or not (self.checkpoint / STATE).is_file():
            return
        try:
            told = {str(one["epoch"]): one["outcome"] for one in read_json(self.checkpoint / STATE)["milestones"]}
        except (ValueError, TypeError, KeyError):
            return  # its hash has told
        if told != m.milestones:
            yield self._finding(MANIFEST, "broken", f"forged: {STATE} has other outcomes of the gates in training")

    def _verdict(self, m: Manifest) -> Iterator[LinkFinding]:
        directory = self.artifacts.report(self.checkpoint)
        if not directory.is_dir():
            yield self._finding("verdict", "unchecked", f"{directory} is not at hand")
            return
        yield from verify_verdict(self.checkpoint, m, directory)

    def _corpus(self, asset: str, version: CorpusVersion) -> Iterator[LinkFinding]:
        yield self._rows(asset, version.data_version)
        if version.examples is None:
            yield self._finding(f"{asset} → {EXAMPLES}", "unchecked", "not on record")
            return
        yield self._rows(EXAMPLES, version.examples)
        for document in version.documents:
            yield self._document(document, version.documents)

    def _rows(self, asset: str, version: str) -> LinkFinding:
        directory = self.artifacts.corpus(asset, version)
        if not directory.is_dir():
            return self._finding(asset, "unchecked", f"{directory} is not at hand")
        try:
            store.verify(directory)
        except CorpusError as error:
            return self._finding(asset, "broken", f"changed or exchanged: {error}")
        return self._finding(asset, "ok", f"version {version[:16]}…")

    def _document(self, document: DocumentRef, all_of_them: tuple[DocumentRef, ...]) -> LinkFinding:
        version, link = digest_of([[one.name, one.sha256] for one in all_of_them]), Path(document.name).name
        directory, source = self.artifacts.corpus(DOCUMENT, version), Path(document.source)
        known = f"SHA-256 {document.sha256[:16]}…"
        if directory.is_dir():
            if document.sha256 in {sha256_of(path) for path in sorted(directory.glob("*.md"))}:
                return self._finding(link, "ok", known)
            return self._finding(link, "broken", f"{directory}: changed or missing: no file has its SHA-256")
        if source.is_file() and sha256_of(source) == document.sha256:
            return self._finding(link, "ok", f"{known}, in {source}")
        return self._finding(link, "unchecked", f"no copy of it is kept, and {source} is not what it was")

    def _parent(self, m: Manifest) -> Iterator[LinkFinding]:
        if m.parent is None:
            return
        directory = self.artifacts.training / m.parent.training_id / "checkpoints" / m.parent.name
        link = f"parent {m.parent.name}"
        if not directory.is_dir():
            yield self._finding(link, "unchecked", f"{directory} is not at hand")
            return
        try:
            parent = read_manifest(directory)
        except CheckpointError as error:
            yield self._finding(link, "broken", str(error))
            return
        if parent.weights_sha256 != m.parent.weights_sha256:
            reason = f"swapped: its weights are {parent.weights_sha256[:16]}…, not {m.parent.weights_sha256[:16]}…"
            yield self._finding(link, "broken", f"{directory}: {reason}")
        elif parent.ungated != m.ungated[: len(parent.ungated)]:
            yield self._finding(link, "broken", f"{directory}: its --ungated is not on record here")
        else:
            yield self._finding(link, "ok", f"weights {parent.weights_sha256[:16]}…")
        yield from self._parent_verdict(m, directory)
        yield from _Look(directory).findings()

    def _parent_verdict(self, m: Manifest, directory: Path) -> Iterator[LinkFinding]:
        """The verdict by which the parent was handed on, beside what its report says now."""
        assert m.parent is not None
        then, link = m.parent.verdict, f"verdict on {m.parent.name}"
        try:
            now = Verdict.read(self.artifacts.report(directory))
        except GateClosed as error:
            if then is not None:
                yield self._finding(link, "unchecked", f"handed on with {then.outcome}; now {error}")
            return
        if then is None:
            return
        if then.digest == now.digest and then.outcome != now.outcome:
            yield self._finding(link, "broken", f"forged: {MANIFEST} says {then.outcome}, that verdict {now.outcome}")
        elif then.digest == now.digest:
            yield self._finding(link, "ok", f"the one by which it was handed on: {then.outcome}")
        elif (then.outcome == "fail") != (now.outcome == "fail"):
            yield self._finding(link, "broken", f"handed on with {then.outcome}; its report says {now.outcome} now")
        else:
            yield self._finding(link, "ok", f"handed on with {then.outcome}; judged again since, with {now.outcome}")


def verify_verdict(checkpoint: Path, m: Manifest, directory: Path) -> Iterator[LinkFinding]:
    """Whether the report in a directory is whole, as it was written, and of this checkpoint.

    Args:
        checkpoint: what the findings are of.
        m: its manifest.
        directory: with `verdict.json`, and what that seals.
    """

    def finding(link: str, outcome: LinkStatus, reason: str) -> LinkFinding:
        return LinkFinding(f"{checkpoint.name}: {link}", outcome, reason)

    path = directory / VERDICT
    try:
        verdict, content = Verdict.read(directory), read_json(path)
    except GateClosed as error:
        yield finding(VERDICT, "broken", str(error))
        return
    if path.read_text(encoding="utf-8") != json.dumps(content, indent=2, ensure_ascii=False) + "\n":
        yield finding(VERDICT, "broken", f"{path}: changed: not as this program writes it")
        return
    corpora = {asset: version.data_version for asset, version in m.corpora.items()}
    of = {"checkpoint": f"{m.training_id}/{directory_name(m.kind, m.phase, m.epoch, m.step)}",
          "weights_sha256": m.weights_sha256, "corpora": corpora}  # fmt: skip
    if another := [name for name, value in of.items() if getattr(verdict, name) != value]:
        name = another[0]
        yield finding(VERDICT, "broken", f"{path}: of another {name}: {getattr(verdict, name)}, not {of[name]}")
        return
    if verdict.outcome != (gates := worst(list(verdict.gates))):
        yield finding(VERDICT, "broken", f"{path}: forged: it says {verdict.outcome}, its gates say {gates}")
        return
    if verdict.gates_version == GATES_VERSION and [g.name for g in verdict.gates] != list(GATES_OF_PHASE[m.phase]):
        yield finding(VERDICT, "broken", f"{path}: forged: its gates are not those of phase {m.phase}")
        return
    yield finding(VERDICT, "ok", f"{verdict.outcome}, of these weights and corpora")
    yield from _sealed(finding, verdict, content.get("files"), directory)


def _sealed(finding: Any, verdict: Verdict, files: dict[str, str] | None, directory: Path) -> Iterator[LinkFinding]:
    """The files beside a verdict: each with the hash that the verdict has of it, the report with the same gates."""
    if files is None:
        yield finding("report", "unchecked", f"{directory / VERDICT} is older than the seals of its report")
        return
    for name, sha256 in files.items():
        path = directory / name
        if not path.is_file():
            yield finding(name, "broken", f"{path}: missing")
        elif sha256_of(path) != sha256:
            yield finding(name, "broken", f"{path}: changed: its SHA-256 is not the one in {VERDICT}")
        else:
            yield finding(name, "ok", f"SHA-256 {sha256[:16]}…")
    if REPORT in files and (directory / REPORT).is_file() and sha256_of(directory / REPORT) == files[REPORT]:
        told = {gate["name"]: gate["outcome"] for gate in read_json(directory / REPORT)["gates"]}
        if told != {gate.name: gate.outcome for gate in verdict.gates}:
            yield finding(VERDICT, "broken", f"{directory / VERDICT}: forged: {REPORT} has other outcomes")
    for path in sorted(directory.iterdir()):
        if path.name not in {*files, VERDICT}:
            yield finding(path.name, "broken", f"{path}: foreign: {VERDICT} knows no such file")
