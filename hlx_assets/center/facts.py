"""What a session's run has done so far, from Dagster's event log, and what its trainer reports, from heartbeats."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.center.context import CenterError
from hlx_assets.curriculum.outcome import RunVerdict, verdict_of_run
from hlx_assets.curriculum.session import WITHDRAWN
from hlx_assets.io_manager import CHECKPOINTS, REPORTS
from hlx_assets.watchdog.runs import REASON_TAG, STOPPED_TAG
from hlx_model.phases import PHASES
from hlx_model.runs.heartbeat import Heartbeat, heartbeats

_Type = dg.DagsterEventType
_CARDS = frozenset(phase.card_asset for phase in PHASES.values())
_BEGINS = {_Type.STEP_START}
_ENDS = {_Type.STEP_SUCCESS, _Type.STEP_FAILURE}
_REASONS = (REASON_TAG, STOPPED_TAG, WITHDRAWN)
_RELEVANT = {*_BEGINS, *_ENDS, _Type.ASSET_MATERIALIZATION}


class Facts(NamedTuple):
    """What a run has done so far."""

    step: str | None = None
    """The step in progress."""
    trainings: tuple[str, ...] = ()
    """The ids of the trainings whose checkpoints it materialized, in their order."""
    found: str | None = None
    """The id of its last training, if that had ended before: then nothing was trained."""
    verdict: str | None = None
    """`pass`, `warn` or `fail`, of its last report."""
    grade: str | None = None
    reported: str | None = None
    """The id of the training that the last report is on."""
    described: str | None = None
    """The id of the training that the last model card is on."""


def facts(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Facts:
    """Return what a run has done so far; kept in memory once the run has ended."""
    if run.is_finished:
        return _of_ended(instance, run.run_id, run.status)
    return _read(instance, run.run_id)


@lru_cache(maxsize=4096)
def _of_ended(instance: dg.DagsterInstance, run_id: str, status: dg.DagsterRunStatus) -> Facts:
    return _read(instance, run_id)


def verdict(instance: dg.DagsterInstance, run: dg.DagsterRun) -> RunVerdict:
    """Return how a session's run has ended; kept in memory. The watchdog may still add its reason as a tag."""
    return _verdict(instance, run.run_id, run.status, *(run.tags.get(tag) for tag in _REASONS))


@lru_cache(maxsize=4096)
def _verdict(instance: dg.DagsterInstance, run_id: str, *of: object) -> RunVerdict:
    run = instance.get_run_by_id(run_id)
    if run is None:
        raise CenterError(404, f"session {run_id} was deleted")
    return verdict_of_run(instance, run)


def _read(instance: dg.DagsterInstance, run_id: str) -> Facts:
    found, trainings = Facts(), list[str]()
    for event in internals.event_log(instance, run_id, _RELEVANT):
        if event.event_type in _BEGINS:
            found = found._replace(step=event.step_key)
        elif event.event_type in _ENDS:
            found = found._replace(step=None)
        elif event.asset_key is not None:
            asset = event.asset_key.to_user_string()
            shown = event.step_materialization_data.materialization.metadata
            if asset in CHECKPOINTS and "training_id" in shown:
                trainings.append(str(shown["training_id"].value))
                before = "found" in shown and shown["found"].value
                found = found._replace(found=trainings[-1] if before else None)
            elif asset in REPORTS and "outcome" in shown:
                found = found._replace(
                    verdict=str(shown["outcome"].value), grade=str(shown["grade"].value),
                    reported=trainings[-1] if trainings else None,
                )  # fmt: skip
            elif asset in _CARDS and trainings:
                found = found._replace(described=trainings[-1])
    return found._replace(trainings=tuple(trainings))


def heartbeats_by_run(training: Path) -> dict[str, list[Heartbeat]]:
    """Return the heartbeats of the trainings in a folder by the run that last trained each, the oldest start first."""
    found: dict[str, list[Heartbeat]] = {}
    for beat in heartbeats(training):
        if beat.run_id is not None:
            found.setdefault(beat.run_id, []).append(beat)
    for beats in found.values():
        beats.sort(key=lambda beat: beat.started)
    return found
