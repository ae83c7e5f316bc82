"""What every asset of the graph shares: owner, groups, how a gate becomes a check, how a user's error ends a step."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg

from hlx_model.verdicts import GateResult

OWNERS = ["team:hlx"]
CORPUS_GROUP, CURRICULUM_GROUP, VALIDATION_GROUP, LINEAGE_GROUP = "corpus", "curriculum", "validation", "lineage"


@contextmanager
def user_errors() -> Iterator[None]:
    """End the step without retries if the block raises `ValueError`: bad input, one line that says what to do."""
    try:
        yield
    except ValueError as error:
        raise dg.Failure(" ".join(str(error).split()), allow_retries=False) from None


def failure_reason(event: dg.DagsterEvent) -> str | None:
    """Return why a step failed, in one line; None if one of its checks failed, which is reported by itself."""
    failure = event.step_failure_data
    error = failure.error.cause or failure.error if failure.error else None
    if error and error.cls_name == "DagsterAssetCheckFailedError":
        return None
    if error and error.cls_name == "DagsterExecutionInterruptedError":
        return "interrupted: materialize again, or repeat the command, to resume"
    description = failure.user_failure_data.description if failure.user_failure_data else None
    return " ".join((description or (error.message if error else "") or "it failed: see the run's log").split())


def check_result(asset: dg.AssetKey, gate: GateResult, extra: Mapping[str, Any] | None = None) -> dg.AssetCheckResult:
    """Return the check of an asset that shows a gate: whether it passed, its severity, reason, figures and `extra`."""
    metadata: dict[str, str | float] = {"outcome": gate.outcome, "samples": gate.samples}
    if gate.value is not None:
        metadata["value"] = gate.value
    if gate.threshold is not None:
        metadata["threshold"] = gate.threshold
    if gate.interval is not None:
        metadata["interval"] = f"{gate.interval[0]:.1%} to {gate.interval[1]:.1%}"
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=gate.name,
        passed=gate.outcome == "pass",
        severity=dg.AssetCheckSeverity.WARN if gate.outcome == "warn" else dg.AssetCheckSeverity.ERROR,
        description=gate.reason,
        metadata={**metadata, **(extra or {})},
    )
