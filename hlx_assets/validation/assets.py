"""phaseN_validation_report: what a checkpoint can do, measured on the corpora that its manifest names.

Its checks mirror the verdict beside the report. Every night the evaluation documents are read again and the reports on
the existing checkpoints are made again, beside a running training.
"""

import math
import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import dagster as dg
from pydantic import ConfigDict, Field

from hlx_assets.common import OWNERS, VALIDATION_GROUP, gate_checks, markdown_metadata, user_errors
from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.settings import DagsterEnvironment
from hlx_assets.validation import evaluation
from hlx_model.evaluation.evaluate import EvaluationResult, evaluate
from hlx_model.evaluation.fitness import Requirements
from hlx_model.evaluation.gates import GATES, GATES_OF_PHASE
from hlx_model.evaluation.verdict import GATES_VERSION, Verdict
from hlx_model.layout import PAGE
from hlx_model.model.device import device_of
from hlx_model.phases import PHASES, Phase
from hlx_model.provenance.evaluations import current_examples
from hlx_model.reporting.conclusion import conclusion
from hlx_model.verdicts import GateClosed, GateResult

FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
"""Reports are made again every night (`nightly_revalidation`); one night may be missed."""

NICE = 10
"""A running training comes first."""


class ReportConfig(dg.Config):
    """How a checkpoint is evaluated."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    device: str | None = None
    """cpu or cuda. Default: cuda if there is a GPU."""
    profile: str | None = None
    """Whose limits apply: quick or production. Default: $HLX_PROFILE, or quick."""
    require: dict[str, float] = Field(default={})
    """The rate that a gate requires, from 0 to 1, by gate. One below the profile's makes the verdict warn at best."""
    nice: int = Field(default=0, ge=0, le=19)
    """Lower the priority below other processes, 0 to 19."""


def _report(phase: Phase) -> dg.AssetsDefinition:
    translates = phase.writes == "translations"

    @dg.asset(
        name=phase.report_asset,
        ins={"checkpoint": dg.AssetIn(phase.checkpoint_asset)},
        # Not loaded: a report is made without evaluation examples too, and uses the latest that passed.
        deps=[evaluation.evaluation_examples] if translates else [],
        group_name=VALIDATION_GROUP,
        owners=OWNERS,
        kinds={"json", "html"},
        pool="validation",
        freshness_policy=FRESH,
        code_version=GATES_VERSION,
        description=f"The gates' figures and the verdict on phase {phase.number}'s checkpoint, good or bad.",
    )
    def report(context: dg.AssetExecutionContext, config: ReportConfig, checkpoint: Path) -> dg.MaterializeResult[Path]:
        os.nice(config.nice)
        with user_errors():
            examples = current_examples(artifacts_at_home().root) if translates else None
            requirements = Requirements(config.profile, config.require)
            result = evaluate(checkpoint, device_of(config.device), examples=examples, requirements=requirements)
        if result.judged_anew:
            context.log.warning(result.judged_anew)
        # The digest contains no times: the same results make nothing stale.
        version = dg.DataVersion(result.verdict.digest)
        return dg.MaterializeResult(value=result.directory, data_version=version, metadata=_metadata(result, phase))

    return report


def _metadata(result: EvaluationResult, phase: Phase) -> dict[str, dg.MetadataValue | str | float]:
    """Return what Dagster shows of a report: its conclusion, grade, comparison, links, and the figures that it plots.

    Dagster plots every number, so that one that stays the same is text.
    """
    report, verdict, f = result.report, result.verdict, result.report.figures
    plotted = {
        "test loss (nats per token)": f.held_out_loss,
        "loss on training text (nats per token)": f.training_loss,
        "perplexity (equally likely symbols)": f.perplexity,
        "copy rate (share)": f.copy_rate,
        "grade (points of 100)": report.grade.points,
    }
    notes = {"grade_capped": report.grade.capped, "judged_anew": result.judged_anew, "note": report.evaluation_note}
    if found := report.evaluation:
        plotted["right on evaluation documents (share)"] = found.all_to_hlx.exact_match
        notes["evaluation"] = found.data_version
    if metrics := report.translation:
        plotted |= {
            "exact match English→HLX (share)": metrics.all_to_hlx.exact_match,
            "exact match HLX→English (share)": metrics.all_to_english.exact_match,
            "training pairs reproduced (share)": metrics.training_pairs.exact_match,
        }
    return {
        "conclusion": conclusion(report),
        "report": markdown_metadata(result.markdown, result.directory / PAGE),
        "page": dg.MetadataValue.path(result.directory / PAGE),
        "grade": report.grade.letter or "no grade",
        "than_before": report.comparison.outcome if report.comparison else "nothing to compare with",
        "outcome": verdict.outcome,
        **{name: note for name, note in notes.items() if note},
        "checkpoint": verdict.checkpoint,
        "judged": dg.MetadataValue.asset(dg.AssetKey(phase.checkpoint_asset)),
        "judged_on": dg.MetadataValue.asset(dg.AssetKey(phase.corpus)),
        **{name: value for name, value in plotted.items() if math.isfinite(value)},
    }


def _checks(phase: Phase) -> dg.AssetChecksDefinition:
    """Return the checks of a phase's report: one for each gate of the phase, all of them blocking."""
    described = {name: GATES[name].documentation for name in GATES_OF_PHASE[phase.number]}
    recorded = partial(_recorded, phase.number)
    return gate_checks(f"phase{phase.number}_gates", phase.report_asset, recorded, described, {})


def _recorded(phase: int, report: Path) -> Iterator[GateResult]:
    """Yield every gate of the phase as the verdict records it; a gate that is missing there fails."""
    try:
        found = {gate.name: gate for gate in Verdict.read(report).gates}
        missing = "the verdict does not contain this gate: materialize the report again"
    except GateClosed as error:
        found, missing = {}, str(error)
    for name in GATES_OF_PHASE[phase]:
        yield found.get(name, GateResult(name, "fail", missing))


reports = [_report(phase) for phase in PHASES.values()]
assets = [*evaluation.assets, *reports]
checks = [*evaluation.checks, *(_checks(phase) for phase in PHASES.values())]


def revalidation_schedule(environment: DagsterEnvironment) -> dg.ScheduleDefinition:
    """Return the schedule `nightly_revalidation` with its job `revalidation`; the environment sets time and device."""
    config = {"device": environment.revalidation_device, "nice": NICE}
    job = dg.define_asset_job(
        "revalidation",
        dg.AssetSelection.assets(*assets),
        {"ops": {report.op.name: {"config": config} for report in reports}},
        description="Read the evaluation documents and judge the checkpoints again, with their gates; trains nothing. "
        "If you start it by hand, select the phases that were trained; the schedule does.",
    )

    @dg.schedule(
        job=job,
        cron_schedule=environment.revalidation_cron,
        execution_timezone=environment.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Every night at three (`HLX_REVALIDATION_CRON`, `HLX_TIMEZONE`); a gate that fails closes again.",
    )
    def nightly_revalidation(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        """Request the evaluation examples, and then the reports on the checkpoints that exist."""
        made = context.instance.get_latest_materialization_event
        phases = [phase for phase in PHASES.values() if made(dg.AssetKey(phase.checkpoint_asset))]
        if not phases:
            return dg.SkipReason("there is no checkpoint yet")
        examples = [asset.key for asset in evaluation.assets]
        return dg.RunRequest(asset_selection=[*examples, *(dg.AssetKey(phase.report_asset) for phase in phases)])

    return nightly_revalidation
