"""`hlx lineage verify`: check a checkpoint or an exported folder, and its signature.

An exported folder is checked by itself: its statement names every file, its manifest says what it was made from.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, read_manifest
from hlx_model.evaluation.verdict import Verdict
from hlx_model.files import json_text
from hlx_model.layout import CONFIG, MANIFEST, PROVENANCE, REPORT, SIGNATURE, VERDICT, WEIGHTS
from hlx_model.provenance.links import Link, check_files
from hlx_model.provenance.verify import sealed_files, verdict_problem, verify_lineage
from hlx_model.release.signing import BadKey, verify_signature
from hlx_model.release.statement import statement


def verify(directory: Path, key: Path | None = None) -> Iterator[Link]:
    """Yield each link of a checkpoint's lineage, or of an exported folder, after its signature.

    Args:
        directory: a checkpoint's, or an exported folder.
        key: the public key (PEM) that it must be signed with. Without one, a signature is not checked.

    Raises:
        BadKey: the key is not a public key that hlx can use.
    """
    directory = directory.absolute()
    if (directory / SIGNATURE).exists() or key is not None:
        yield _signature(directory, key).prefixed(directory.name)
    if (directory / PROVENANCE).is_file() or (directory / CONFIG).is_file():
        for link in _exported(directory):
            yield link.prefixed(directory.name)
    else:
        yield from verify_lineage(directory)


def _signature(directory: Path, key: Path | None) -> Link:
    if key is None:
        return Link("signature", "unchecked", "name the public key with --key to check it")
    try:
        verify_signature(directory, key)
    except BadKey:
        raise
    except ValueError as error:
        return Link("signature", "broken", str(error))
    return Link("signature", "ok", f"by the key of {key}")


def _exported(directory: Path) -> Iterator[Link]:
    path = directory / PROVENANCE
    try:
        text = path.read_text(encoding="utf-8")
        files = {subject["name"]: subject["digest"]["sha256"] for subject in json.loads(text)["subject"]}
    except (FileNotFoundError, ValueError, TypeError, KeyError) as error:
        yield Link(PROVENANCE, "broken", f"{path}: missing, or changed and not a statement ({error})")
        return
    yield from check_files(directory, files, PROVENANCE, ignore=SIGNATURE)
    try:
        manifest = read_manifest(directory)
    except CheckpointError as error:
        yield Link(MANIFEST, "broken", str(error))
        return
    follows = text == json_text(statement(manifest, files))
    changed = f"{path}: changed: not what follows from {MANIFEST} and the files"
    yield Link(PROVENANCE, "ok", f"agrees with {MANIFEST}") if follows else Link(PROVENANCE, "broken", changed)
    if files.get(WEIGHTS, manifest.weights_sha256) != manifest.weights_sha256:
        yield Link(WEIGHTS, "broken", f"{directory / WEIGHTS}: swapped: {MANIFEST} is on other weights")
    if VERDICT in files:
        problem = verdict_problem(manifest, directory)
        if problem is None and (sealed_files(directory) or files).get(REPORT) != files.get(REPORT):
            problem = f"{directory / VERDICT}: on another {REPORT}"
        found = problem or f"{Verdict.read(directory).outcome}, on these weights and corpora"
        yield Link(VERDICT, "broken" if problem else "ok", found)
    yield Link("corpora and parents", "unchecked", "an exported folder does not contain them")
