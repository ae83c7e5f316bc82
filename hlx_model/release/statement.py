"""What a checkpoint was made from, as others' tools read it: an in-toto statement with SLSA provenance.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and https://slsa.dev/spec/v1.0/provenance.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.manifest import Manifest
from hlx_model.layout import EXAMPLES

STATEMENT_TYPE, PREDICATE_TYPE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:hlx-brain:training:v1"
"""`externalParameters` are the settings of `hlx train`, the dependencies those of a manifest."""
BUILDER = "urn:hlx-brain:trainer"
DATA_VERSION = "hlxDataVersion"
"""The digest of a corpus: the SHA-256 of its rows in order, which is not that of a file's bytes."""


def statement(manifest: Manifest, files: Mapping[str, str]) -> dict[str, Any]:
    """The statement on these files (SHA-256 by name) of a checkpoint with this manifest."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in files.items()],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"buildDefinition": _definition(manifest), "runDetails": _run(manifest)},
    }


def _definition(m: Manifest) -> dict[str, Any]:
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": dict(m.settings),
        "internalParameters": {
            "trainingId": m.training_id,
            "vocabularySha256": m.vocabulary_sha256,
            "packages": dict(m.versions),
            "device": m.device,
            "code": dict(m.code),
            "ungated": list(m.ungated),
        },
        "resolvedDependencies": list(_dependencies(m)),
    }


def _dependencies(m: Manifest) -> Iterator[dict[str, Any]]:
    documents = {d.sha256: d for version in m.corpora.values() for d in version.documents}
    for document in documents.values():
        yield {
            "name": Path(document.name).name,
            "digest": {"sha256": document.sha256},
            "annotations": {"kind": "document", "bytes": document.bytes},
        }
    for examples in sorted({version.examples for version in m.corpora.values() if version.examples}):
        yield {"name": EXAMPLES, "digest": {DATA_VERSION: examples}, "annotations": {"kind": "corpus"}}
    for asset, version in m.corpora.items():
        yield {"name": asset, "digest": {DATA_VERSION: version.data_version}, "annotations": {"kind": "corpus"}}
    if m.parent is not None:
        verdict = m.parent.verdict
        yield {
            "name": f"{m.parent.training_id}/{m.parent.name}",
            "digest": {"sha256": m.parent.weights_sha256},
            "annotations": {"kind": "weights", "verdict": verdict.outcome if verdict else None},
        }
    if m.code.get("commit"):
        yield {
            "name": "hlx-brain",
            "digest": {"gitCommit": m.code["commit"]},
            "annotations": {"kind": "code", "dirty": m.code.get("dirty")},
        }


def _run(m: Manifest) -> dict[str, Any]:
    times = {"startedOn": m.started, "finishedOn": m.created}
    metadata = {"invocationId": m.run_id or m.training_id, **{name: time for name, time in times.items() if time}}
    return {"builder": {"id": BUILDER, "version": {"hlx": m.versions.get("hlx", "")}}, "metadata": metadata}
