"""Which evaluation examples the next report uses, and which reports are stale because they used others.

A stale report is not void: its verdict is valid until the checkpoint is evaluated again.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hlx_model.checkpoints.manifest import Manifest
from hlx_model.corpus import store
from hlx_model.corpus.verdict import require_corpus_passed
from hlx_model.evaluation.documents import KeptExamples, is_for
from hlx_model.evaluation.verdict import Verdict
from hlx_model.layout import CHECKPOINTS, EVALUATION, REPORT_FOLDER, Artifacts
from hlx_model.phases import PHASES
from hlx_model.provenance.events import read_events
from hlx_model.provenance.lookup import readable_manifest
from hlx_model.verdicts import GateClosed


class StaleReport(NamedTuple):
    """A report that was made with other evaluation examples than the next one would be."""

    checkpoint: str
    """`<training id>/<name>`."""
    reason: str
    """One line."""


def current_examples(root: Path) -> KeptExamples:
    """Return the evaluation examples that were materialized last and passed their gates.

    Args:
        root: of the artifacts.
    """
    problem = None
    events = reversed(read_events(root))
    for artifact in dict.fromkeys(event.artifact for event in events if event.asset == EVALUATION):
        directory = root / artifact
        try:
            require_corpus_passed(directory)
            store.verify(directory)
        except ValueError as error:
            problem = problem or str(error)
        else:
            return KeptExamples(directory, problem)
    return KeptExamples(None, problem or f"{EVALUATION} was never materialized")


def stale_reports(training: Path) -> Iterator[StaleReport]:
    """Yield the reports on checkpoints that are stale, by path.

    Args:
        training: the folder of the trainings.
    """
    artifacts = Artifacts(training)
    current = current_examples(artifacts.root).directory
    for report in REPORT_FOLDER.find(artifacts.root) if current else ():
        manifest = readable_manifest(artifacts.training / report.parent.name / CHECKPOINTS / report.name)
        if manifest is not None and (reason := stale_reason(current, manifest, report)):
            yield StaleReport(f"{report.parent.name}/{report.name}", reason)


def stale_reason(current: Path | None, manifest: Manifest, report: Path) -> str | None:
    """Return why a report is stale, as one line; None if it is not, or its verdict cannot be read.

    Args:
        current: the directory of `current_examples`.
        manifest: of the checkpoint.
        report: the directory of the report.
    """
    if current is None or PHASES[manifest.phase].writes != "translations":
        return None
    try:
        used = Verdict.read(report).evaluation
    except GateClosed:
        return None
    learned = [document for version in manifest.corpora.values() for document in version.documents]
    expected = current.name if is_for(store.sources_of(current), learned) else None
    if expected is None or used == expected:
        return None  # if the newest are not for this model, those that were named for it stay
    then = used[:12] if used else "none"
    return f"evaluated on {EVALUATION} {then}, the newest are {expected[:12]}: evaluate it again"
