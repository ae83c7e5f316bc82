"""The quality gates as asset checks: they mirror the verdict beside the report."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from hlx_assets.common import check_result
from hlx_assets.validation.assets import assets
from hlx_model.evaluation.gates import GATES, GATES_OF_PHASE
from hlx_model.evaluation.verdict import Verdict
from hlx_model.phases import PHASES
from hlx_model.verdicts import GateClosed, GateResult


def gate_checks(phase: int, asset: dg.AssetsDefinition) -> dg.AssetChecksDefinition:
    """Return the checks of a phase's report: one for each gate of the phase, all of them blocking."""
    key = asset.key
    specs = [
        dg.AssetCheckSpec(name, asset=key, blocking=True, description=GATES[name].documentation)
        for name in GATES_OF_PHASE[phase]
    ]

    @dg.multi_asset_check(specs=specs, name=f"phase{phase}_gates", ins={"report": dg.AssetIn(key)}, can_subset=True)
    def gates(context: dg.AssetCheckExecutionContext, report: Path) -> Iterator[dg.AssetCheckResult]:
        for gate in _recorded(report, phase):
            if dg.AssetCheckKey(key, gate.name) in context.selected_asset_check_keys:
                yield check_result(key, gate)

    return gates


def _recorded(report: Path, phase: int) -> Iterator[GateResult]:
    """Yield every gate of the phase as the verdict records it; a gate that is missing there fails."""
    try:
        found = {gate.name: gate for gate in Verdict.read(report).gates}
        missing = "the verdict does not contain this gate: materialize the report again"
    except GateClosed as error:
        found, missing = {}, str(error)
    for name in GATES_OF_PHASE[phase]:
        yield found.get(name, GateResult(name, "fail", missing))


checks = [gate_checks(phase, asset) for phase, asset in zip(PHASES, assets, strict=True)]
