"""phaseN_validation_report: what a checkpoint can do, measured on the corpora that its manifest names.

Its checks mirror the verdict beside the report.
"""

import math
import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import dagster as dg
from pydantic import ConfigDict, Field

from hlx_assets.common import OWNERS, VALIDATION_GROUP, gate_checks, user_errors
from hlx_model.evaluation.evaluate import EvaluationResult, evaluate
from hlx_model.evaluation.gates import GATES, GATES_OF_PHASE
from hlx_model.evaluation.verdict import GATES_VERSION, Verdict
from hlx_model.layout import PAGE
from hlx_model.model.device import device_of
from hlx_model.phases import PHASES, Phase
from hlx_model.verdicts import GateClosed, GateResult

VALIDATION_POOL = "validation"
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
"""Reports are made again every night (`nightly_revalidation`); one night may be missed."""


class ReportConfig(dg.Config):
    """How a checkpoint is evaluated."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    device: str | None = None
    """cpu or cuda. Default: cuda if there is a GPU."""
    nice: int = Field(default=0, ge=0, le=19)
    """Lower the priority below other processes, 0 to 19."""


def _report(phase: Phase) -> dg.AssetsDefinition:
    @dg.asset(
        name=phase.report_asset,
        ins={"checkpoint": dg.AssetIn(phase.checkpoint_asset)},
        group_name=VALIDATION_GROUP,
        owners=OWNERS,
        kinds={"json", "html"},
        pool=VALIDATION_POOL,
        freshness_policy=FRESH,
        code_version=GATES_VERSION,
        description=f"The gates' figures and the verdict on phase {phase.number}'s checkpoint, good or bad.",
    )
    def report(config: ReportConfig, checkpoint: Path) -> dg.MaterializeResult[Path]:
        os.nice(config.nice)
        with user_errors():
            result = evaluate(checkpoint, device_of(config.device))
        return dg.MaterializeResult(
            value=result.directory,
            # The digest contains no times: the same results make nothing stale.
            data_version=dg.DataVersion(result.verdict.digest),
            metadata=_metadata(result, phase),
        )

    return report


def _metadata(result: EvaluationResult, phase: Phase) -> dict[str, dg.MetadataValue | str | float]:
    """Return what Dagster shows of a report: grade, comparison, links, and its metrics as plots."""
    report, verdict = result.report, result.verdict
    numbers = {name: value for name, value in report.figures.numbers().items() if math.isfinite(value)}
    if metrics := report.translation:
        numbers |= {
            "exact_match_to_hlx": metrics.all_to_hlx.exact_match,
            "exact_match_to_english": metrics.all_to_english.exact_match,
            "training_pairs_reproduced": metrics.training_pairs.exact_match,
        }
    return {
        "report": dg.MetadataValue.md(result.markdown),
        "page": dg.MetadataValue.path(result.directory / PAGE),
        "grade": report.grade.letter,
        "points": report.grade.points,
        "than_before": report.comparison.outcome if report.comparison else "nothing to compare with",
        "outcome": verdict.outcome,
        "checkpoint": verdict.checkpoint,
        "judged": dg.MetadataValue.asset(dg.AssetKey(phase.checkpoint_asset)),
        "judged_on": dg.MetadataValue.asset(dg.AssetKey(phase.corpus)),
        **numbers,
    }


def _checks(phase: Phase) -> dg.AssetChecksDefinition:
    """Return the checks of a phase's report: one for each gate of the phase, all of them blocking."""
    described = {name: GATES[name].documentation for name in GATES_OF_PHASE[phase.number]}
    return gate_checks(
        f"phase{phase.number}_gates", phase.report_asset, partial(_recorded, phase.number), described, {}
    )


def _recorded(phase: int, report: Path) -> Iterator[GateResult]:
    """Yield every gate of the phase as the verdict records it; a gate that is missing there fails."""
    try:
        found = {gate.name: gate for gate in Verdict.read(report).gates}
        missing = "the verdict does not contain this gate: materialize the report again"
    except GateClosed as error:
        found, missing = {}, str(error)
    for name in GATES_OF_PHASE[phase]:
        yield found.get(name, GateResult(name, "fail", missing))


assets = [_report(phase) for phase in PHASES.values()]
checks = [_checks(phase) for phase in PHASES.values()]
