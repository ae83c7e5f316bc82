"""The verdict on a checkpoint, and the rule that nothing is trained from one that did not pass.

`verdict.json` is the truth: Dagster's checks mirror it and the command line reads it. It belongs to one
checkpoint (by the hash of its weights), one set of corpora and one version of the gates; where any of
them is another now, the gate is closed until the checkpoint is judged again.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hlx_model.checkpoints.manifest import Manifest, ParentVerdict
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.corpus import store
from hlx_model.evaluation.gates.registry import GATES_OF_PHASE
from hlx_model.evaluation.thresholds import Thresholds
from hlx_model.files import (
    digest_of,
)
from hlx_model.layout import VERDICT, Artifacts
from hlx_model.verdicts import GateClosed, GateResult, Outcome, read_sealed, worst, write_sealed

GATES_VERSION = f"3-{Thresholds().digest[:8]}"
"""Verdicts of another version are void. The number is raised by hand when a gate changes; the rest is the digest of the
thresholds."""


@dataclass(frozen=True)
class Verdict:
    """What the gates said of a checkpoint. It holds no times, so that judging again changes nothing."""

    outcome: Outcome
    gates: tuple[GateResult, ...]
    checkpoint: str
    """`<training id>/<name>`."""
    weights_sha256: str
    corpora: dict[str, str]
    """Data versions by asset."""
    gates_version: str

    @classmethod
    def on(cls, checkpoint: Path, manifest: Manifest, gates: list[GateResult]) -> "Verdict":
        """The verdict that follows from the gates' outcomes."""
        return cls(
            worst(gates),
            tuple(gates),
            f"{manifest.training_id}/{checkpoint.name}",
            manifest.weights_sha256,
            {asset: version.data_version for asset, version in manifest.corpora.items()},
            GATES_VERSION,
        )

    @property
    def digest(self) -> str:
        """Of what was found: that of another judgement with the same findings is the same."""
        return digest_of(self.to_json())

    @property
    def parent_verdict(self) -> ParentVerdict:
        """What the manifest of a checkpoint that is trained from this one says of it."""
        return ParentVerdict(self.outcome, self.digest, self.gates_version)

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "gates": [gate.to_json() for gate in self.gates]}

    def write(self, directory: Path) -> None:
        """Write `verdict.json` into a report's directory, last: with the hash of each file there, and its digest."""
        write_sealed(directory, self.to_json())

    @classmethod
    def read(cls, directory: Path) -> "Verdict":
        """The verdict in a report's directory; `GateClosed` where there is none, or it cannot be read."""
        content = read_sealed(directory)
        content.pop("files", None)
        try:
            content["gates"] = tuple(GateResult.from_json(gate) for gate in content["gates"])
            return cls(**content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise GateClosed(f"no verdict: {directory / VERDICT} cannot be read ({error})") from None


def require_passed(checkpoint: Path) -> Verdict:
    """The verdict on a checkpoint, if it is one to build on.

    Recomputes the hash of every file of the checkpoint and of the rows of its corpora.

    Raises:
        GateClosed: no verdict, one of something else, or a failed gate; named with its figure.
        ValueError: the checkpoint or a corpus is not as it was (`CheckpointError`, `CorpusError`).
    """
    again = f"judge it with `hlx validate --checkpoint {checkpoint}`"
    manifest = verify_checkpoint(checkpoint)
    artifacts = Artifacts.of_checkpoint(checkpoint)
    for version in manifest.corpora.values():
        store.load(artifacts.root / version.path)
    directory = artifacts.report(checkpoint)
    try:
        verdict = Verdict.read(directory)
    except GateClosed as error:
        stopped = f" (its training was stopped: {manifest.stopped})" if manifest.stopped else ""
        raise GateClosed(f"the gate of {checkpoint.name} is closed{stopped}: {error}: {again}") from None
    expected = Verdict.on(checkpoint, manifest, [])
    for field in ("checkpoint", "weights_sha256", "corpora", "gates_version"):
        if getattr(verdict, field) != getattr(expected, field):
            raise GateClosed(
                f"the gate of {checkpoint.name} is closed: its verdict is of another {field} "
                f"({getattr(verdict, field)}, not {getattr(expected, field)}): {again}"
            )
    missing = set(GATES_OF_PHASE[manifest.phase]) - {gate.name for gate in verdict.gates}
    if missing:
        raise GateClosed(
            f"the gate of {checkpoint.name} is closed: its verdict lacks {', '.join(sorted(missing))}: {again}"
        )
    failed = [gate for gate in verdict.gates if gate.outcome == "fail"]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise GateClosed(
            f"the gate of {checkpoint.name} is closed: {failed[0].name}{more}: {failed[0].reason}: "
            f"see {directory / 'report.html'}"
        )
    return verdict
