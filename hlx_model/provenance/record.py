"""All that is recorded of one checkpoint: its manifest, its verdict and report, and its ancestors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest
from hlx_model.evaluation.verdict import Verdict
from hlx_model.layout import REPORT, VERDICT, Artifacts
from hlx_model.provenance.tree import CheckpointNode, of_checkpoint
from hlx_model.provenance.verify import verify_report
from hlx_model.reporting.models import Report


@dataclass(frozen=True)
class CheckpointRecord:
    """One checkpoint with all that is recorded of it."""

    checkpoint: Path
    manifest: Manifest
    directory: Path
    """The folder of its report and verdict, which is missing if it was not evaluated."""
    verdict: Verdict | None
    """None if it was not evaluated."""
    report: Report | None
    """None if there is no verdict, or the report has another schema."""
    tree: CheckpointNode
    """What it was made from."""

    @property
    def ancestors(self) -> Iterator[tuple[CheckpointNode, str]]:
        """The checkpoints that it was made from, the nearest first, each with what allowed training to start there."""
        node = self.tree
        while parents := [parent for parent in node.made_from if isinstance(parent, CheckpointNode)]:
            yield parents[0], str(node.started_by)
            node = parents[0]

    @property
    def by_hand(self) -> str | None:
        """The checkpoint of its own phase that it was resumed from by hand; None if it was not."""
        parent = self.manifest.parent
        return None if parent is None or parent.phase != self.manifest.phase else f"{parent.training_id}/{parent.name}"

    @property
    def not_passed(self) -> str | None:
        """Why it is exported only if it is named itself: it did not pass its gates, or was never evaluated."""
        if failed := ", ".join(self.tree.failed_gates):
            return f"did not pass its gates ({failed})"
        return "was never evaluated" if self.tree.verdict is None else None

    def objections(self) -> Iterator[str]:
        """Yield each reason not to use it, as one line; nothing if its training ended and its gates passed."""
        m, v = self.manifest, self.verdict
        if m.stopped:
            yield f"its training was stopped: {m.stopped}"
        if v is None:
            yield "it was never evaluated"
        elif v.outcome == "fail":
            yield f"it did not pass its gates: {', '.join(self.tree.failed_gates)}"
        if v is not None and v.void:
            yield v.void
        for name in m.ungated:
            yield f"it was made from {name} although its gate was closed (--ungated)"


def record_of(checkpoint: Path) -> CheckpointRecord:
    """Read what is recorded of a checkpoint. Its weights are not read.

    Raises:
        CheckpointError: it has no manifest, or its report is changed or on another checkpoint.
    """
    checkpoint = checkpoint.absolute()
    tree = of_checkpoint(checkpoint)
    manifest = tree.manifest
    assert manifest is not None
    directory = Artifacts.of_checkpoint(checkpoint).report(checkpoint)
    report = None
    if (directory / VERDICT).is_file():
        again = f"evaluate it again: `hlx validate --checkpoint {checkpoint}`"
        for link in verify_report(manifest, directory):
            if link.outcome == "broken" and link.link in (VERDICT, REPORT):
                raise CheckpointError(f"{link.reason}: {again}")
        try:
            report = Report.read_current(directory / REPORT)
        except ValueError as error:
            raise CheckpointError(f"{error}: {again}") from None
    return CheckpointRecord(checkpoint, manifest, directory, tree.verdict, report, tree)
