"""The integrity gates: what is required of a checkpoint before a report is made or anything is built on it."""

from pathlib import Path

import torch

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.evaluation.gates import MILESTONE_GATES
from hlx_model.evaluation.gates.checkpoint_size import checkpoint_gates
from hlx_model.verdicts import GateClosed, GateResult

INTEGRITY = {
    "verifies": "Every file is as the manifest says, and the weights load.",
    **{name: MILESTONE_GATES[name].description for name in ("parameter_count", "file_size")},
    "finite": "No weight is NaN or infinite.",
}
"""The integrity gates, each with its description."""


def integrity_gates(checkpoint: Path, *, hashes: bool = True) -> list[GateResult]:
    """Return the result of each integrity gate; if the checkpoint does not verify, all fail.

    Args:
        checkpoint: its directory.
        hashes: whether to compute the hash of every file again.
    """
    try:
        verified = verify_checkpoint(checkpoint, only=None if hashes else ())
        model = load_model(verified)
    except CheckpointError as error:
        return [GateResult(name, "fail", str(error)) for name in INTEGRITY]
    manifest = verified.manifest
    broken = [name for name, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    finite = f"not finite: {', '.join(broken)}" if broken else "every weight is finite"
    return [
        GateResult("verifies", "pass", f"{len(manifest.files)} files are unchanged"),
        *checkpoint_gates(checkpoint, manifest.settings["size"]),
        GateResult("finite", "fail" if broken else "pass", finite),
    ]


def require_intact(checkpoint: Path) -> None:
    """Require that a checkpoint passes the integrity gates, without computing hashes: who loads it does.

    Raises:
        GateClosed: a gate failed; the message names it.
    """
    for gate in integrity_gates(checkpoint, hashes=False):
        if gate.outcome == "fail":
            raise GateClosed(f"the gate of {checkpoint.name} is closed: {gate.name}: {gate.reason}")
