"""Checks of a checkpoint before its report is made: is it intact, and what did its gates find in training?"""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from hlx_assets.common import check_result
from hlx_assets.curriculum.assets import assets
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.checkpoints.progress import read_state
from hlx_model.evaluation.gates import COMPLETED, GATES
from hlx_model.evaluation.gates.training_record import training_completed
from hlx_model.evaluation.integrity import INTEGRITY, integrity_gates
from hlx_model.evaluation.milestones import MILESTONES, gate_name, recorded_milestone_gate
from hlx_model.verdicts import GateResult

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
                yield check_result(key, gate)

    return integrity


def examine(checkpoint: Path) -> Iterator[GateResult]:
    """Yield what each check finds; all fail if the checkpoint does not verify."""
    integrity = integrity_gates(checkpoint)
    yield from integrity
    if integrity[0].outcome == "fail":
        reason = integrity[0].reason
        yield from (GateResult(name, "fail", reason) for name in (COMPLETED, *map(gate_name, MILESTONES)))
        return
    manifest = read_manifest(checkpoint)
    yield training_completed(manifest.kind, manifest.epoch, manifest.epochs, manifest.stopped)
    milestones = read_state(checkpoint).milestones
    yield from (recorded_milestone_gate(milestones, epoch, manifest.epochs) for epoch in MILESTONES)


checks = [_checks(asset) for asset in assets]
