"""What every asset of the graph shares: owners, groups, how a gate is shown and a user's error told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg

from hlx_model.verdicts import GateResult

OWNERS = ["team:hlx"]
CORPUS_GROUP, CURRICULUM_GROUP, VALIDATION_GROUP, LINEAGE_GROUP = "corpus", "curriculum", "validation", "lineage"


@contextmanager
def user_errors() -> Iterator[None]:
    """A `ValueError` of `hlx_model` (bad input: one line that says what to do) ends the step without retries."""
    try:
        yield
    except ValueError as error:
        raise dg.Failure(" ".join(str(error).split()), allow_retries=False) from None


def why_failed(event: dg.DagsterEvent) -> str | None:
    """Why a step failed; None where it did because one of its checks failed, which is told by itself."""
    failure = event.step_failure_data
    error = failure.error.cause or failure.error if failure.error else None
    if error and error.cls_name == "DagsterAssetCheckFailedError":
        return None
    if error and error.cls_name == "DagsterExecutionInterruptedError":
        return "interrupted: materialize again, or repeat the command, to resume"
    said = failure.user_failure_data.description if failure.user_failure_data else None
    return " ".join((said or (error.message if error else "") or "it failed: see the run's log").split())


def shown(gate: GateResult) -> dict[str, Any]:
    """What a check says of a gate: whether it passed, how bad that is, why, and its figures."""
    metadata: dict[str, Any] = {"outcome": gate.outcome, "samples": gate.samples}
    if gate.value is not None:
        metadata["value"] = gate.value
    if gate.threshold is not None:
        metadata["threshold"] = gate.threshold
    if gate.interval is not None:
        metadata["interval"] = f"{gate.interval[0]:.1%} to {gate.interval[1]:.1%}"
    return {
        "passed": gate.outcome == "pass",
        "severity": dg.AssetCheckSeverity.WARN if gate.outcome == "warn" else dg.AssetCheckSeverity.ERROR,
        "description": gate.reason,
        "metadata": metadata,
    }
