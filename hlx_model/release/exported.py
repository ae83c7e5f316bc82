"""Is an exported folder still what was exported? Its statement names every file; its manifest says what it is of."""

import json
from collections.abc import Iterator
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import read_json, sha256_of
from hlx_model.layout import CONFIG, MANIFEST, PROVENANCE, REPORT, SIGNATURE, VERDICT, WEIGHTS
from hlx_model.provenance.finding import LinkFinding, LinkStatus
from hlx_model.release.statement import statement
from hlx_model.verdicts import GateClosed


def is_exported(directory: Path) -> bool:
    """Whether a folder was written by `hlx export`, and is no checkpoint's own directory."""
    return (directory / PROVENANCE).is_file() or (directory / CONFIG).is_file()


def verify_export(directory: Path) -> Iterator[LinkFinding]:
    """A finding for each file of an exported folder, and for what it says of itself."""

    def finding(link: str, outcome: LinkStatus, reason: str) -> LinkFinding:
        return LinkFinding(f"{directory.name}: {link}", outcome, reason)

    path = directory / PROVENANCE
    if not path.is_file():
        yield finding(PROVENANCE, "broken", f"{path}: missing: nothing says what the files here should be")
        return
    try:
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
        files = {subject["name"]: subject["digest"]["sha256"] for subject in content["subject"]}
    except (ValueError, TypeError, KeyError) as error:
        yield finding(PROVENANCE, "broken", f"{path}: changed: no statement any more ({error})")
        return
    for name, sha256 in files.items():
        if not (directory / name).is_file():
            yield finding(name, "broken", f"{directory / name}: missing")
        elif sha256_of(directory / name) != sha256:
            yield finding(name, "broken", f"{directory / name}: changed: its SHA-256 is not the one in {PROVENANCE}")
        else:
            yield finding(name, "ok", f"SHA-256 {sha256[:16]}…")
    for found in sorted(directory.iterdir()):
        if found.name not in {*files, PROVENANCE, SIGNATURE}:
            yield finding(found.name, "broken", f"{found}: foreign: {PROVENANCE} knows no such file")
    try:
        manifest = read_manifest(directory)
    except CheckpointError as error:
        yield finding(MANIFEST, "broken", str(error))
        return
    if text != json.dumps(statement(manifest, files), indent=2, ensure_ascii=False) + "\n":
        yield finding(PROVENANCE, "broken", f"{path}: changed: not what {MANIFEST} and the files make")
    else:
        yield finding(PROVENANCE, "ok", f"says what {MANIFEST} says")
    if files.get(WEIGHTS, manifest.weights_sha256) != manifest.weights_sha256:
        yield finding(WEIGHTS, "broken", f"{directory / WEIGHTS}: swapped: {MANIFEST} is of other weights")
    if VERDICT in files:
        yield _verdict(directory, manifest, files)
    yield finding("corpora and parents", "unchecked", "an exported folder does not hold them")


def _verdict(directory: Path, m: Manifest, files: dict[str, str]) -> LinkFinding:
    link, path = f"{directory.name}: {VERDICT}", directory / VERDICT
    try:
        verdict, sealed = Verdict.read(directory), read_json(path).get("files") or {}
    except GateClosed as error:
        return LinkFinding(link, "broken", str(error))
    if verdict.weights_sha256 != m.weights_sha256:
        return LinkFinding(link, "broken", f"{path}: of other weights")
    if sealed and sealed.get(REPORT) != files.get(REPORT):
        return LinkFinding(link, "broken", f"{path}: of another {REPORT}")
    return LinkFinding(link, "ok", f"{verdict.outcome}, of these weights")
