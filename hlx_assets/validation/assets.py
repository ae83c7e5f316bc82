"""phaseN_validation_report: what a checkpoint can do, on the corpora that its manifest names."""

from pathlib import Path

import dagster as dg

from hlx_assets.common import OWNERS, VALIDATION_GROUP, user_errors
from hlx_model.artifacts import digest_of
from hlx_model.device import device_of
from hlx_model.profiles import PHASES
from hlx_model.quality.report import PAGE, judge
from hlx_model.quality.verdict import GATES_VERSION


def _report(phase: int) -> dg.AssetsDefinition:
    @dg.asset(
        name=f"phase{phase}_validation_report",
        ins={"checkpoint": dg.AssetIn(f"phase{phase}_checkpoint")},
        group_name=VALIDATION_GROUP,
        owners=OWNERS,
        kinds={"json", "html"},
        code_version=GATES_VERSION,
        description=f"The gates' figures and the verdict on phase {phase}'s checkpoint, made even of a bad model.",
    )
    def report(checkpoint: Path) -> dg.MaterializeResult[Path]:
        with user_errors():
            judgement = judge(checkpoint, device_of())
        figures, grade = judgement.report["figures"], judgement.report["grade"]
        comparison = judgement.report["comparison"]
        numbers = {name: value for name, value in figures.items() if isinstance(value, (int, float))}
        if "all_to_hlx" in figures:
            numbers |= {
                "exact_match_to_hlx": figures["all_to_hlx"]["exact_match"],
                "exact_match_to_english": figures["all_to_english"]["exact_match"],
                "training_pairs_reproduced": figures["training_pairs"]["exact_match"],
            }
        return dg.MaterializeResult(
            value=judgement.directory,
            # No times in it: judging again what did not change makes nothing stale.
            data_version=dg.DataVersion(digest_of(judgement.verdict.to_json())),
            metadata={
                "report": dg.MetadataValue.md(judgement.markdown),
                "page": dg.MetadataValue.path(judgement.directory / PAGE),
                "grade": grade["letter"],
                "points": grade["points"],
                "than_before": comparison["outcome"] if comparison else "nothing to compare with",
                "outcome": judgement.verdict.outcome,
                "checkpoint": judgement.verdict.checkpoint,
                **numbers,
            },
        )

    return report


assets = [_report(phase) for phase in PHASES]
