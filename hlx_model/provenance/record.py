"""What is on record of one checkpoint: its manifest, the verdict and the report on it, and its ancestors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hlx_model.checkpoints.manifest import CheckpointError, Manifest, read_manifest
from hlx_model.evaluation.verdict import GATES_VERSION, Verdict
from hlx_model.layout import REPORT, VERDICT, Artifacts
from hlx_model.provenance.tree import Node, of_checkpoint
from hlx_model.provenance.verify import verify_verdict
from hlx_model.reporting.models import Report


@dataclass(frozen=True)
class CheckpointRecord:
    """One checkpoint with all that was written down of it."""

    checkpoint: Path
    manifest: Manifest
    directory: Path
    """Where its report and verdict are kept, if it was judged."""
    verdict: Verdict | None
    """None where nobody judged it."""
    report: Report | None
    """None if there is no verdict, or the report has another schema."""
    tree: Node
    """What it was made from."""

    @property
    def name(self) -> str:
        """`<training id>/<checkpoint>`."""
        return f"{self.manifest.training_id}/{self.checkpoint.name}"

    @property
    def ancestors(self) -> Iterator[tuple[Node, str]]:
        """The checkpoints that it was made from, the nearest first, each with how it was handed on."""
        node = self.tree
        while parents := [made for made in node.made_from if made.kind == "checkpoint"]:
            yield parents[0], str(node.facts["handed_on_by"])
            node = parents[0]

    @property
    def by_hand(self) -> str | None:
        """The checkpoint of its own phase that it was resumed from by hand; None where it was not."""
        parent = self.manifest.parent
        return None if parent is None or parent.phase != self.manifest.phase else f"{parent.training_id}/{parent.name}"

    def objections(self) -> Iterator[str]:
        """What speaks against using it, one line each; nothing where it came to its end and passed."""
        m, v = self.manifest, self.verdict
        if m.stopped:
            yield f"its training was stopped: {m.stopped}"
        if v is None:
            yield "it was never judged"
        elif v.outcome == "fail":
            failed = ", ".join(gate.name for gate in v.gates if gate.outcome == "fail")
            yield f"it did not pass its gates: {failed}"
        if v is not None and v.gates_version != GATES_VERSION:
            yield f"its verdict is void: of version {v.gates_version} of the gates, which now are {GATES_VERSION}"
        for name in m.ungated:
            yield f"it was made from {name} although its gate was closed (--ungated)"


def record_of(checkpoint: Path) -> CheckpointRecord:
    """What is on record of a checkpoint, its weights not looked at.

    Raises `CheckpointError` where it has no manifest, or the report on it is not as it was written or of another one.
    """
    checkpoint = checkpoint.absolute()
    manifest = read_manifest(checkpoint)
    directory = Artifacts.of_checkpoint(checkpoint).report(checkpoint)
    verdict, report = None, None
    if (directory / VERDICT).is_file():
        for finding in verify_verdict(checkpoint, manifest, directory):
            if finding.outcome == "broken" and finding.link.endswith((VERDICT, REPORT)):
                raise CheckpointError(f"{finding.reason}: judge it again with `hlx validate --checkpoint {checkpoint}`")
        verdict = Verdict.read(directory)
        try:
            report = Report.read_current(directory / REPORT)
        except ValueError as error:
            again = f"judge it again with `hlx validate --checkpoint {checkpoint}`"
            raise CheckpointError(f"{error}: {again}") from None
    return CheckpointRecord(checkpoint, manifest, directory, verdict, report, of_checkpoint(checkpoint))
