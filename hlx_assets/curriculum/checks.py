"""Whether a checkpoint is whole, and what its gates said during training. They run before its report is made."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import torch

from hlx_assets.common import shown
from hlx_assets.curriculum.assets import assets
from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.manifest import CheckpointError, read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.gates import COMPLETED, GATES, MILESTONE_GATES
from hlx_model.evaluation.gates.checkpoint_size import checkpoint_gates
from hlx_model.evaluation.gates.training_record import training_completed
from hlx_model.evaluation.milestones import MILESTONES, gate_name, recorded_milestone_gate
from hlx_model.verdicts import GateResult, Milestone

INTEGRITY = {
    "verifies": "Every file is as the manifest says, and the weights load.",
    **{name: MILESTONE_GATES[name].description for name in ("parameter_count", "file_size")},
    "finite": "No weight is NaN or infinite.",
}
MILESTONE = "The gates at epoch {}, as recorded during training; a failure ended it there."


def _checks(asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    key = asset.key
    specs = [dg.AssetCheckSpec(name, asset=key, blocking=True, description=text) for name, text in INTEGRITY.items()]
    # A stop, or a failed milestone, does not block the report: a bad model gets one too, and its gate blocks.
    specs += [dg.AssetCheckSpec(COMPLETED, asset=key, description=GATES[COMPLETED].documentation)]
    specs += [dg.AssetCheckSpec(gate_name(e), asset=key, description=MILESTONE.format(e)) for e in MILESTONES]

    @dg.multi_asset_check(
        specs=specs,
        name=f"{key.to_user_string()}_integrity",
        ins={"checkpoint": dg.AssetIn(key)},
        can_subset=True,
    )
    def integrity(context: dg.AssetCheckExecutionContext, checkpoint: Path) -> Iterator[dg.AssetCheckResult]:
        for gate in examine(checkpoint):
            if dg.AssetCheckKey(key, gate.name) in context.selected_asset_check_keys:
                yield dg.AssetCheckResult(asset_key=key, check_name=gate.name, **shown(gate))

    return integrity


def examine(checkpoint: Path) -> Iterator[GateResult]:
    """Yield the result of each check; all fail if the checkpoint does not verify."""
    try:
        manifest = verify_checkpoint(checkpoint)
        model = checkpoints.load_model(checkpoint, only=())  # verified above
    except CheckpointError as error:
        yield from (
            GateResult(name, "fail", str(error)) for name in (*INTEGRITY, COMPLETED, *map(gate_name, MILESTONES))
        )
        return
    yield GateResult("verifies", "pass", f"{len(manifest.files)} files are as they were written")
    yield from checkpoint_gates(checkpoint, manifest.settings["size"])
    broken = [name for name, p in model.named_parameters() if not bool(torch.isfinite(p).all())]
    finite = f"not finite: {', '.join(broken)}" if broken else "every weight is finite"
    yield GateResult("finite", "fail" if broken else "pass", finite)
    yield training_completed(manifest.kind, manifest.epoch, manifest.epochs, manifest.stopped)
    milestones = [Milestone.from_json(milestone) for milestone in read_state(checkpoint)["milestones"]]
    yield from (recorded_milestone_gate(milestones, epoch, manifest.epochs) for epoch in MILESTONES)


checks = [_checks(asset) for asset in assets]
