"""What a checkpoint was made from, for tools of others: an in-toto statement with SLSA provenance.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and https://slsa.dev/spec/v1.0/provenance.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from hlx_model.checkpoints.manifest import Manifest
from hlx_model.corpus.entries import DocumentRef
from hlx_model.layout import EXAMPLES

STATEMENT_TYPE, PREDICATE_TYPE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:hlx-brain:training:v1"
"""`externalParameters` are the settings of `hlx train`, the dependencies those of a manifest."""
BUILDER = "urn:hlx-brain:trainer"
DATA_VERSION = "hlxDataVersion"
"""The digest of a corpus: the SHA-256 of its rows in order, which is not that of a file's bytes."""


def statement(m: Manifest, files: Mapping[str, str]) -> dict[str, object]:
    """Return the statement on the files of an exported folder.

    Args:
        m: the checkpoint's manifest.
        files: SHA-256 by file name.
    """
    subject = [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in files.items()]
    attempt = {"attempt": m.attempt} if m.attempt > 1 else {}
    build = {
        "buildType": BUILD_TYPE,
        "externalParameters": dict(m.settings),
        "internalParameters": {
            "trainingId": m.training_id, **attempt, "vocabularySha256": m.vocabulary_sha256,
            "packages": dict(m.versions), "device": m.device, "code": dict(m.code), "ungated": list(m.ungated),
        },
        "resolvedDependencies": list(_dependencies(m)),
    }  # fmt: skip
    started = {"startedOn": m.started} if m.started else {}
    run = {
        "builder": {"id": BUILDER, "version": {"hlx": m.versions.get("hlx", "")}},
        "metadata": {"invocationId": m.run_id or m.training_id, **started, "finishedOn": m.created},
    }
    predicate = {"buildDefinition": build, "runDetails": run}
    return {"_type": STATEMENT_TYPE, "subject": subject, "predicateType": PREDICATE_TYPE, "predicate": predicate}


def inputs_of(m: Manifest) -> tuple[list[DocumentRef], list[str]]:
    """Return the documents of a checkpoint's corpora, and the data versions of their examples, each once."""
    versions = m.corpora.values()
    documents = {document.sha256: document for version in versions for document in version.documents}
    return list(documents.values()), sorted({version.examples for version in versions if version.examples})


def _dependencies(m: Manifest) -> Iterator[dict[str, object]]:
    documents, examples = inputs_of(m)
    for document in documents:
        name = Path(document.name).name
        yield _dependency(name, "sha256", document.sha256, kind="document", bytes=document.bytes)
    for data_version in examples:
        yield _dependency(EXAMPLES, DATA_VERSION, data_version, kind="corpus")
    for asset, version in m.corpora.items():
        yield _dependency(asset, DATA_VERSION, version.data_version, kind="corpus")
    if m.parent is not None:
        name, verdict = f"{m.parent.training_id}/{m.parent.name}", m.parent.verdict
        outcome = verdict.outcome if verdict else None
        yield _dependency(name, "sha256", m.parent.weights_sha256, kind="weights", verdict=outcome)
    if m.code.get("commit"):
        yield _dependency("hlx-brain", "gitCommit", m.code["commit"], kind="code", dirty=m.code.get("dirty"))


def _dependency(name: str, algorithm: str, digest: str, **annotations: object) -> dict[str, object]:
    return {"name": name, "digest": {algorithm: digest}, "annotations": annotations}
