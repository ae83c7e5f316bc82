"""phaseN_validation_report: what a checkpoint can do, on the corpora that its manifest names."""

import math
import os
from datetime import timedelta
from pathlib import Path

import dagster as dg
from pydantic import Field

from hlx_assets.common import OWNERS, VALIDATION_GROUP, user_errors
from hlx_model.evaluation.evaluate import evaluate
from hlx_model.evaluation.verdict import GATES_VERSION
from hlx_model.layout import PAGE
from hlx_model.model.device import device_of
from hlx_model.phases import CORPUS_OF_PHASE, PHASES

VALIDATION_POOL = "validation"
FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=50), warn_window=timedelta(hours=26))
"""A report is judged again every night (`nightly_revalidation`): one night may be missed."""


class ReportConfig(dg.Config):
    """How a checkpoint is judged."""

    device: str | None = Field(default=None, description="cpu or cuda. Default: cuda where there is a GPU.")
    nice: int = Field(default=0, ge=0, le=19, description="How far to stand back for other processes, 0 to 19.")


def _report(phase: int) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"phase{phase}_validation_report",
        ins={"checkpoint": dg.AssetIn(f"phase{phase}_checkpoint")},
        group_name=VALIDATION_GROUP,
        owners=OWNERS,
        kinds={"json", "html"},
        pool=VALIDATION_POOL,
        freshness_policy=FRESH,
        code_version=GATES_VERSION,
        description=f"The gates' figures and the verdict on phase {phase}'s checkpoint, made even of a bad model.",
    )
    def report(config: ReportConfig, checkpoint: Path) -> dg.MaterializeResult[Path]:
        if config.nice:
            os.nice(config.nice)
        with user_errors():
            judgement = evaluate(checkpoint, device_of(config.device))
        found = judgement.report
        numbers = {name: value for name, value in found.figures.numbers().items() if math.isfinite(value)}
        if f := found.translation:
            numbers |= {
                "exact_match_to_hlx": f.all_to_hlx.exact_match,
                "exact_match_to_english": f.all_to_english.exact_match,
                "training_pairs_reproduced": f.training_pairs.exact_match,
            }
        return dg.MaterializeResult(
            value=judgement.directory,
            # No times in it: judging again what did not change makes nothing stale.
            data_version=dg.DataVersion(judgement.verdict.digest),
            metadata={
                "report": dg.MetadataValue.md(judgement.markdown),
                "page": dg.MetadataValue.path(judgement.directory / PAGE),
                "grade": found.grade.letter,
                "points": found.grade.points,
                "than_before": found.comparison.outcome if found.comparison else "nothing to compare with",
                "outcome": judgement.verdict.outcome,
                "checkpoint": judgement.verdict.checkpoint,
                "judged": dg.MetadataValue.asset(dg.AssetKey(f"phase{phase}_checkpoint")),
                "judged_on": dg.MetadataValue.asset(dg.AssetKey(CORPUS_OF_PHASE[phase])),
                **numbers,
            },
        )

    return report


assets = [_report(phase) for phase in PHASES]
