"""Check whether a checkpoint is still as recorded: hash everything again, follow each link to what it was made from.

This works on a copied directory and without Dagster's database. Missing dependencies (the corpora, parents and report
of a checkpoint that was copied alone) are `unchecked`, not `broken`.
"""

from collections.abc import Iterator
from pathlib import Path

from hlx_model import layout
from hlx_model.checkpoints.manifest import CheckpointError, Manifest, Parent, directory_name, read_manifest
from hlx_model.corpus import store, tokens
from hlx_model.corpus.documents import documents_version
from hlx_model.corpus.entries import CorpusError, DocumentRef
from hlx_model.evaluation.gates import GATES_OF_PHASE
from hlx_model.evaluation.verdict import GATES_VERSION, Verdict, subject_of
from hlx_model.files import read_json, sha256_of
from hlx_model.layout import CHECKPOINTS, EVALUATION, EXAMPLES, MANIFEST, VERDICT, WEIGHTS, Artifacts
from hlx_model.provenance.evaluations import current_examples, stale_reason
from hlx_model.provenance.links import Link, LinkStatus, check_files, is_as_written
from hlx_model.training.settings import CODE_VERSION, training_id
from hlx_model.verdicts import GateClosed, read_sealed, worst


def verify_lineage(checkpoint: Path) -> Iterator[Link]:
    """Yield each link of a checkpoint's lineage: its files, its verdict, its corpora, then its ancestors.

    Args:
        checkpoint: its directory.
    """
    checkpoint = checkpoint.absolute()
    try:
        manifest = read_manifest(checkpoint)
    except CheckpointError as error:
        yield Link(f"{checkpoint.name}: {MANIFEST}", "broken", str(error))
        return
    for link in _links(checkpoint, manifest):
        yield link.prefixed(checkpoint.name)
    if manifest.parent is not None:
        parent = _directory(Artifacts.of_checkpoint(checkpoint), manifest.parent)
        if (parent / MANIFEST).is_file():
            yield from verify_lineage(parent)


def _directory(artifacts: Artifacts, parent: Parent) -> Path:
    return artifacts.training / parent.training_id / CHECKPOINTS / parent.name


def _links(checkpoint: Path, m: Manifest) -> Iterator[Link]:
    """Yield all links but those of the ancestors, each without the name of the checkpoint."""
    artifacts = Artifacts.of_checkpoint(checkpoint)
    if is_as_written(checkpoint / MANIFEST):
        yield Link(MANIFEST, "ok", "as written, its digest fits")
    else:
        yield Link(MANIFEST, "broken", f"{checkpoint / MANIFEST}: changed: not as hlx writes it")
    recorded = {name: seal.sha256 for name, seal in m.files.items()}
    sizes = {name: seal.bytes for name, seal in m.files.items()}
    yield from check_files(checkpoint, recorded, MANIFEST, sizes=sizes, ignore=layout.SIGNATURE)
    if recorded.get(WEIGHTS) != m.weights_sha256:
        yield Link(WEIGHTS, "broken", f"{MANIFEST} has two hashes of the weights")
    yield _place(checkpoint, m)
    yield _identity(m)
    yield from _course(checkpoint, m)
    report = artifacts.report(checkpoint)
    if report.is_dir():
        yield from verify_report(m, report)
        yield from _evaluation(artifacts, m, report)
    else:
        yield Link("verdict", "unchecked", f"{report} is missing")
    yield from _corpora(artifacts, m)
    if m.parent is not None:
        yield from _parent(artifacts, m, m.parent)


def _place(checkpoint: Path, m: Manifest) -> Link:
    """Check the name of a checkpoint in its training's folder. Elsewhere it may have any name."""
    name = directory_name(m.kind, m.phase, m.epoch, m.step)
    here, training = checkpoint.name, checkpoint.parent.parent.name
    if checkpoint.parent.name != CHECKPOINTS:
        return Link("place", "unchecked", f"copied from {m.training_id}/{CHECKPOINTS}/{name}")
    if (here, training) != (name, m.training_id):
        return Link("place", "broken", f"swapped: {training}/{here} contains {m.training_id}/{name}")
    return Link("place", "ok", f"{training}/{name}")


def _identity(m: Manifest) -> Link:
    """Check that the training id follows from settings, corpora, parent and code."""
    if m.code.get("version") != CODE_VERSION:
        return Link("training id", "unchecked", "made by another version of the trainer")
    versions = {asset: version.data_version for asset, version in m.corpora.items()}
    weights = m.parent.weights_sha256 if m.parent else None
    expected = training_id(m.settings, versions, weights, m.ungated, m.attempt)
    if expected != m.training_id:
        return Link("training id", "broken", f"forged {MANIFEST}: its settings, corpora and parent give {expected}")
    return Link("training id", "ok", "follows from settings, corpora, parent and code")


def _course(checkpoint: Path, m: Manifest) -> Iterator[Link]:
    """Yield a broken link if the manifest contradicts itself or the training's state."""
    if (m.kind == "STOPPED") != (m.stopped is not None):
        yield Link(MANIFEST, "broken", f"forged: {m.kind}, and stopped: {m.stopped}")
    if not m.milestones:
        return
    try:
        outcomes = {str(one["epoch"]): one["outcome"] for one in read_json(checkpoint / layout.STATE)["milestones"]}
    except (OSError, ValueError, TypeError, KeyError):
        return  # its hash is broken, or it is missing
    if outcomes != m.milestones:
        yield Link(MANIFEST, "broken", f"forged: {layout.STATE} has other outcomes of the gates in training")


def verify_report(m: Manifest, directory: Path) -> Iterator[Link]:
    """Yield the links of a report: is its verdict on this checkpoint, and are its files those that were evaluated?

    Args:
        m: the checkpoint's manifest.
        directory: the report's.
    """
    if problem := verdict_problem(m, directory):
        yield Link(VERDICT, "broken", problem)
        return
    verdict, files = Verdict.read(directory), sealed_files(directory)
    yield Link(VERDICT, "ok", f"{verdict.outcome}, on these weights and corpora")
    if files is None:
        yield Link("report", "unchecked", f"{directory / VERDICT} is older than the seals of reports")
        return
    links = list(check_files(directory, files, VERDICT))
    yield from links
    if any(link.link == layout.REPORT and link.outcome == "ok" for link in links):
        outcomes = {gate["name"]: gate["outcome"] for gate in read_json(directory / layout.REPORT)["gates"]}
        if outcomes != {gate.name: gate.outcome for gate in verdict.gates}:
            yield Link(VERDICT, "broken", f"{directory / VERDICT}: forged: {layout.REPORT} has other outcomes")


def _evaluation(artifacts: Artifacts, m: Manifest, report: Path) -> Iterator[Link]:
    """Yield the link to the evaluation examples of a report. If there are newer ones, it is stale, and not broken."""
    try:
        version = Verdict.read(report).evaluation
    except GateClosed:
        return
    stale = stale_reason(current_examples(artifacts.root).directory, m, report)
    if version is None:
        links = [Link(EVALUATION, "ok", "none")] if stale else []
    else:
        links = [_rows(artifacts, EVALUATION, version)]
    yield from (link._replace(reason=f"{link.reason}; stale: {stale}") if stale else link for link in links)


def sealed_files(directory: Path) -> dict[str, str] | None:
    """Return the SHA-256 by name of a report's files, as its verdict records them; None in a verdict without seals.

    Raises:
        GateClosed: the verdict is missing, cannot be read, or was changed.
    """
    return read_sealed(directory).get("files")


def verdict_problem(m: Manifest, directory: Path) -> str | None:
    """Return what is wrong with a verdict, as one line that names its file; None if it is one on this checkpoint."""
    path = directory / VERDICT
    try:
        verdict = Verdict.read(directory)
    except GateClosed as error:
        return str(error)
    if not is_as_written(path):
        return f"{path}: changed: not as hlx writes it"
    for field, expected in subject_of(m, directory_name(m.kind, m.phase, m.epoch, m.step)).items():
        if (found := getattr(verdict, field)) != expected:
            return f"{path}: on another {field}: {found}, expected {expected}"
    if verdict.outcome != (outcome := worst(verdict.gates)):
        return f"{path}: forged: its outcome is {verdict.outcome}, that of its gates {outcome}"
    if verdict.gates_version == GATES_VERSION and [g.name for g in verdict.gates] != list(GATES_OF_PHASE[m.phase]):
        return f"{path}: forged: its gates are not those of phase {m.phase}"
    return None


def _corpora(artifacts: Artifacts, m: Manifest) -> Iterator[Link]:
    for asset, version in m.corpora.items():
        yield _rows(artifacts, asset, version.data_version)
        if version.tokens is not None:
            yield _tokens(artifacts.corpus(asset, version.data_version), f"{asset} tokens", version.tokens)
        if version.examples is None:
            yield Link(f"{asset} → {EXAMPLES}", "unchecked", "not on record")
            continue
        yield _rows(artifacts, EXAMPLES, version.examples)
        kept = artifacts.corpus(layout.DOCUMENT, documents_version(version.documents))
        yield from (_document(document, kept) for document in version.documents)


def _rows(artifacts: Artifacts, asset: str, version: str) -> Link:
    directory = artifacts.corpus(asset, version)
    if not directory.is_dir():
        return Link(asset, "unchecked", f"{directory} is missing")
    try:
        store.verify(directory)
    except CorpusError as error:
        return Link(asset, "broken", f"changed or exchanged: {error}")
    return Link(asset, "ok", f"version {version[:16]}…")


def _tokens(directory: Path, link: str, sha256: str) -> Link:
    """Check the token file that was trained on. It may be missing: it can be made again from the rows."""
    path = directory / layout.TOKENS.format(sha256)
    try:
        if tokens.is_intact(path):
            return Link(link, "ok", f"SHA-256 {sha256[:16]}…")
        return Link(link, "broken", f"{path}: changed: remove it, and the next training makes it again")
    except OSError as error:
        return Link(link, "unchecked", f"{path} cannot be read ({error.strerror}): the next training makes it again")


def _document(document: DocumentRef, kept: Path) -> Link:
    name, source, known = Path(document.name).name, Path(document.source), f"SHA-256 {document.sha256[:16]}…"
    if kept.is_dir():
        if document.sha256 in map(sha256_of, kept.glob("*.md")):
            return Link(name, "ok", known)
        return Link(name, "broken", f"{kept}: changed or missing: no file has its SHA-256")
    if source.is_file() and sha256_of(source) == document.sha256:
        return Link(name, "ok", f"{known}, in {source}")
    return Link(name, "unchecked", f"no copy of it is kept, and {source} is missing or another version")


def _parent(artifacts: Artifacts, m: Manifest, recorded: Parent) -> Iterator[Link]:
    """Yield the links to the parent and to the verdict that allowed training to start from it."""
    directory, link = _directory(artifacts, recorded), f"parent {recorded.name}"
    if not directory.is_dir():
        yield Link(link, "unchecked", f"{directory} is missing")
        return
    try:
        parent = read_manifest(directory)
    except CheckpointError as error:
        yield Link(link, "broken", str(error))
        return
    found, expected = parent.weights_sha256[:16], recorded.weights_sha256[:16]
    if parent.weights_sha256 != recorded.weights_sha256:
        yield Link(link, "broken", f"{directory}: swapped: its weights are {found}…, expected {expected}…")
    elif parent.ungated != m.ungated[: len(parent.ungated)]:
        yield Link(link, "broken", f"{directory}: its --ungated is not on record here")
    else:
        yield Link(link, "ok", f"weights {found}…")
    if recorded.verdict is not None:
        then, report = recorded.verdict, artifacts.report(directory)
        yield Link(f"verdict on {recorded.name}", *_parent_verdict(then.outcome, then.digest, report))


def _parent_verdict(then: str, digest: str, report: Path) -> tuple[LinkStatus, str]:
    """Compare the verdict that allowed training to start from the parent with the parent's verdict now."""
    started = f"{then} when training started from it"
    try:
        now = Verdict.read(report)
    except GateClosed as error:
        return "unchecked", f"{started}; now {error}"
    if digest == now.digest and then == now.outcome:
        return "ok", f"{then}, unchanged since training started from it"
    if digest == now.digest:
        return "broken", f"forged: {MANIFEST} records {then}, that verdict is {now.outcome}"
    if (then == "fail") != (now.outcome == "fail"):
        return "broken", f"{started}, {now.outcome} in its report now"
    return "ok", f"{started}, {now.outcome} in its report now: evaluated again since"
