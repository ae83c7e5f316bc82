"""The guard: what did not pass is not handed on, by whichever way a run was started."""

from collections.abc import Iterable
from pathlib import Path

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.verdict import require_passed

_COMPLETED = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
_HISTORY = 20


def gate_map(checks: Iterable[dg.AssetChecksDefinition]) -> dict[str, list[str]]:
    """The names of the blocking checks of each asset, in the order in which they are defined."""
    gates: dict[str, list[str]] = {}
    for spec in (spec for definition in checks for spec in definition.check_specs if spec.blocking):
        gates.setdefault(spec.asset_key.to_user_string(), []).append(spec.name)
    return gates


def latest_evaluation(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> dg.AssetCheckEvaluation | None:
    """The last completed evaluation of a check on its asset's latest materialization, or None.

    Completed rows only: a cancelled run leaves a planned one on top, which
    `get_latest_asset_check_evaluation_record` would return.
    """
    records = instance.get_asset_records([check.asset_key])
    latest = records[0].asset_entry.last_materialization_record if records else None
    if latest is None:
        return None
    history = instance.event_log_storage.get_asset_check_execution_history(check, limit=_HISTORY, status=_COMPLETED)
    for record in history:
        evaluation = record.evaluation
        target = evaluation.target_materialization_data if evaluation else None
        if target is not None and target.storage_id == latest.storage_id:
            return evaluation
    return None


def require_checks(instance: dg.DagsterInstance, asset_key: dg.AssetKey, names: Iterable[str]) -> None:
    """Raise `dg.Failure` unless each named check passed, or warned, on the latest materialization."""
    closed, missing = [], []
    for name in names:
        evaluation = latest_evaluation(instance, dg.AssetCheckKey(asset_key, name))
        if evaluation is None:
            missing.append(name)
        elif not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
            closed.append((name, evaluation.description or "failed"))
    asset = asset_key.to_user_string()
    if closed:
        name, figure = closed[0]
        more = f" (and {len(closed) - 1} more)" if len(closed) > 1 else ""
        raise dg.Failure(
            f"the gate of {asset} is closed: {name}{more}: {figure}: look at its checks and report in the UI",
            metadata=dict(closed),
            allow_retries=False,
        )
    if missing:
        raise dg.Failure(
            f"the gate of {asset} is closed: {', '.join(missing)} did not judge its latest materialization: "
            f"run the checks of {asset}, or materialize it again",
            allow_retries=False,
        )


def require_verdict(checkpoint: Path) -> None:
    """Raise `dg.Failure` unless `verdict.json` lets the next phase build on this checkpoint."""
    try:
        require_passed(verify_checkpoint(checkpoint))
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
