"""The verdict on a checkpoint, and the rule that nothing is trained from one that did not pass.

`verdict.json` is the truth: Dagster's checks mirror it and the command line reads it. It is valid for one checkpoint
(the hash of its weights), one set of corpora and one version of the gates. If one of them differs now, the gate is
closed until the checkpoint is evaluated again.
"""

from pathlib import Path
from typing import Any, Self

from hlx_model.checkpoints.manifest import Manifest, ParentVerdict
from hlx_model.checkpoints.seal import VerifiedCheckpoint
from hlx_model.corpus import store
from hlx_model.evaluation.fitness import BY_HEART, LIMITS, MIN_HELD_OUT_SENTENCES, MIN_HELD_OUT_VALUES
from hlx_model.evaluation.gates import GATES, GATES_OF_PHASE
from hlx_model.evaluation.thresholds import T
from hlx_model.files import digest_of
from hlx_model.json_model import JsonModel, PathComponent, RelativePath
from hlx_model.layout import PAGE, VERDICT, Artifacts
from hlx_model.verdicts import Fitness, GateClosed, GateResult, Outcome, read_sealed, write_sealed

_RATES = [{gate: limit.to_json() for gate, limit in limits.items()} for limits in (*LIMITS.values(), BY_HEART)]
_OWN = {spec.name: dict(spec.thresholds) for spec in GATES.values()}
_FEW = [MIN_HELD_OUT_VALUES, MIN_HELD_OUT_SENTENCES]
GATES_VERSION = f"6-{digest_of([T.to_json(), _RATES, _FEW, _OWN])[:8]}"
"""Verdicts of another version are void. The number is raised by hand when a gate changes; the rest is the digest of the
thresholds."""


class Verdict(JsonModel):
    """The results of the gates on a checkpoint. It contains no times, so the same results give the same verdict."""

    outcome: Outcome
    gates: tuple[GateResult, ...]
    checkpoint: RelativePath
    """`<training id>/<name>`."""
    weights_sha256: str
    corpora: dict[str, str]
    """Data versions by asset."""
    gates_version: str
    evaluation: PathComponent | None = None
    """Data version of the evaluation examples; None without them. Other examples do not make the verdict void: the
    report is stale, until the checkpoint is evaluated again."""
    fitness: Fitness | None = None
    """What was required. None in a verdict of gates before version 4."""

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as it is written, without what it does not record: an older one keeps its digest."""
        missing = {name for name in ("evaluation", "fitness") if getattr(self, name) is None}
        return {name: value for name, value in super().to_json().items() if name not in missing}

    @property
    def digest(self) -> str:
        """Return the SHA-256 of what was found: an evaluation with the same results has the same digest."""
        return digest_of(self.to_json())

    @property
    def void(self) -> str | None:
        """Return why nothing may build on it any more; None if it is of the present gates."""
        if self.gates_version == GATES_VERSION:
            return None
        return f"it was not judged by new gates: its verdict is of version {self.gates_version}, now {GATES_VERSION}"

    @property
    def parent_verdict(self) -> ParentVerdict:
        """Return what the manifest of a checkpoint that is trained from this one records of it."""
        return ParentVerdict(outcome=self.outcome, digest=self.digest, gates_version=self.gates_version)

    def write(self, directory: Path) -> None:
        """Write `verdict.json` into the directory of a report, last: with the hash of each file there, and a digest."""
        write_sealed(directory, self.to_json())

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return the verdict in the directory of a report.

        Raises:
            GateClosed: there is none, or it cannot be read.
        """
        content = read_sealed(directory)
        content.pop("files", None)
        try:
            return cls.from_json(content)
        except ValueError as error:
            raise GateClosed(f"no verdict: {directory / VERDICT} cannot be read ({error})") from None


def subject_of(manifest: Manifest, name: str) -> dict[str, object]:
    """Return what a verdict on a checkpoint of this name must record of it, by field."""
    corpora = {asset: version.data_version for asset, version in manifest.corpora.items()}
    ref = f"{manifest.training_id}/{name}"
    return {"checkpoint": ref, "weights_sha256": manifest.weights_sha256, "corpora": corpora}


def require_passed(verified: VerifiedCheckpoint) -> Verdict:
    """Return the verdict on a checkpoint if the next phase may be trained from it.

    Hashes the rows of its corpora.

    Raises:
        GateClosed: there is no verdict, it is for something else, or a gate failed; names the gate and its metric.
        ValueError: a corpus was changed (`CorpusError`).
    """
    checkpoint, manifest = verified
    artifacts = Artifacts.of_checkpoint(checkpoint)
    for version in manifest.corpora.values():
        store.verify(artifacts.root / version.path)
    directory = artifacts.report(checkpoint)
    closed = f"the gate of {checkpoint.name} is closed"
    again = f"evaluate it with `hlx validate --checkpoint {checkpoint}`"
    try:
        verdict = Verdict.read(directory)
    except GateClosed as error:
        stopped = f" (its training was stopped: {manifest.stopped})" if manifest.stopped else ""
        raise GateClosed(f"{closed}{stopped}: {error}", again) from None
    for field, required in subject_of(manifest, checkpoint.name).items():
        if (found := getattr(verdict, field)) != required:
            raise GateClosed(f"{closed}: its verdict is for another {field} ({found}, not {required})", again)
    if verdict.void:
        raise GateClosed(f"{closed}: {verdict.void}", again)
    if missing := set(GATES_OF_PHASE[manifest.phase]) - {gate.name for gate in verdict.gates}:
        raise GateClosed(f"{closed}: its verdict lacks {', '.join(sorted(missing))}", again)
    if failed := [gate for gate in verdict.gates if gate.outcome == "fail"]:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise GateClosed(f"{closed}: {failed[0].name}{more}: {failed[0].reason}", f"see {directory / PAGE}")
    return verdict
