"""Sessions as the Center shows them: each is read anew from its run, its tags and its trainer's heartbeat.

    queue(center)           # what runs, what waits in its order, what ended last
    session(center, run)    # one of them

A run whose process is gone is shown as failed at once, although Dagster has it as running until the watchdog closes it.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import dagster as dg

from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.facts import Facts, facts, heartbeats_by_run, verdict
from hlx_assets.center.models import TARGETS, Links, State, Status, TrainingSession
from hlx_assets.center.places import WAITING, Places, waits_for
from hlx_assets.center.requests import SessionSettings
from hlx_assets.curriculum import session as tags
from hlx_assets.curriculum.session import PHASES_OF
from hlx_assets.io_manager import CHECKPOINTS
from hlx_assets.waiting import described, trains_elsewhere
from hlx_assets.watchdog.runs import GONE, UNFINISHED, is_gone
from hlx_model.phases import PHASES
from hlx_model.profiles import profile
from hlx_model.reporting.numbers import finite
from hlx_model.runs.heartbeat import Heartbeat

LIVE = [*UNFINISHED, *WAITING]
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_IS_SESSION: Mapping[str, Any] = {tags.SESSION: list(PHASES_OF)}
_ID = re.compile(r"[0-9a-f-]{1,40}")
_NOT_STARTED = "its trainer has not started yet; if it waits for a place in a cluster, the log says for what"
_TARGET_OF = {size: target for target, size in TARGETS.items()}


class _View(NamedTuple):
    """What is read once for all sessions of an answer."""

    beats: Mapping[str, Sequence[Heartbeat]]
    """By run."""
    places: Places

    def of_trainings(self, ids: Sequence[str]) -> Sequence[Heartbeat]:
        """Return the heartbeats of trainings that other runs trained, in the order of their ids."""
        known = {beat.training_id: beat for beats in self.beats.values() for beat in beats} if ids else {}
        return [known[one] for one in ids if one in known]


def queue(center: Center, ended: int = 10) -> list[TrainingSession]:
    """Return the running sessions, the queued ones in their order, and so many of those that ended last."""
    live = _live(center)
    view = _view(center, live)
    order = {run_id: place for place, run_id in enumerate(view.places.order)}
    live = sorted(live, key=lambda record: (order.get(record.dagster_run.run_id, -1), record.create_timestamp))
    past = _ended(center, ended) if ended else []
    return [_session(center, record, view) for record in (*live, *past)]


def history(center: Center, limit: int) -> list[TrainingSession]:
    """Return at most so many sessions that have ended, the newest first."""
    view = _view(center, [])
    return [_session(center, record, view) for record in _ended(center, limit)]


def session(center: Center, run_id: str) -> TrainingSession:
    """Return one session; `CenterError` 404 if there is none of this id."""
    wanted = record(center, run_id)
    return _session(center, wanted, _view(center, _live(center)))


def places(center: Center) -> Places:
    """Return the sessions that run and wait, in their order."""
    return Places.of(_live(center))


def record(center: Center, run_id: str) -> dg.RunRecord:
    """Return the run of a session; `CenterError` 404 if there is none of this id."""
    found = center.instance.get_run_record_by_id(run_id) if _ID.fullmatch(run_id) else None
    if found is None or tags.SESSION not in found.dagster_run.tags:
        raise CenterError(404, f"no session {run_id[:50]!a}: GET /api/training/queue and /history list them")
    return found


def _live(center: Center) -> Sequence[dg.RunRecord]:
    return center.instance.get_run_records(dg.RunsFilter(statuses=LIVE, tags=_IS_SESSION))


def _ended(center: Center, limit: int) -> Sequence[dg.RunRecord]:
    return center.instance.get_run_records(dg.RunsFilter(statuses=ENDED, tags=_IS_SESSION), limit=limit)


def _view(center: Center, live: Sequence[dg.RunRecord]) -> _View:
    return _View(heartbeats_by_run(center.artifacts.training), Places.of(live))


class _Now(NamedTuple):
    """How a session stands."""

    status: Status
    state: State
    reason: str | None = None


def _session(center: Center, record: dg.RunRecord, view: _View) -> TrainingSession:
    run, found = record.dagster_run, facts(center.instance, record.dagster_run)
    beats = view.beats.get(run.run_id) or view.of_trainings(found.trainings)
    beat = beats[-1] if beats else None
    now = _now(center, record, found, beat, view)
    corpus, phases = run.tags[tags.SESSION], PHASES_OF[run.tags[tags.SESSION]]
    phase = beat.phase if beat else phases[0] if len(phases) == 1 else None
    trainings = list(dict.fromkeys((*found.trainings, *(one.training_id for one in beats))))
    training = now.state == "training"
    return TrainingSession(
        id=run.run_id,
        provider=run.tags.get(tags.PROVIDER, ""),
        unsupervised=run.tags.get(tags.UNSUPERVISED),
        model=run.tags.get(tags.MODEL, ""),
        targetModel=_TARGET_OF.get(run.tags.get(tags.SIZE, ""), run.tags.get(tags.SIZE, "")),
        corpus=corpus,  # type: ignore[arg-type]  # a key of PHASES_OF
        epochs=beat.epochs if beat else planned_epochs(run)[-1],
        status=now.status,
        progress=100.0 if now.state == "completed" else _progress(run, phases, found, beat),
        startTime=_time(record.start_time),
        endTime=_time(record.end_time),
        state=now.state,
        reason=now.reason,
        position=view.places.position(run.run_id),
        created=record.create_timestamp.replace(tzinfo=UTC),
        profile=profile_of(run),
        settings=_named(run, "epochs"),
        key_id=run.tags.get(tags.KEY) or None,
        chain=run.tags.get(tags.CHAIN) or None,
        after=run.tags.get(tags.AFTER) or None,
        resumes=run.tags.get(tags.RESUMES) or None,
        parent=run.tags.get(tags.PARENT) or None,
        trainings=trainings,
        phase=phase,
        epoch=beat.epoch if beat else None,
        total_epochs=beat.epochs if beat else planned_epochs(run)[0] if run.tags.get(tags.EPOCHS) else None,
        step=beat.step if beat else None,
        steps=beat.steps if beat else None,
        train_loss=finite(beat.train_loss) if beat else None,
        val_loss=finite(beat.held_out_loss) if beat else None,
        learning_rate=finite(beat.learning_rate) if beat else None,
        tokens_per_second=finite(beat.tokens_per_second) if beat and training else None,
        eta_hours=_hours(beat.eta_seconds) if beat and training else None,
        verdict=found.verdict,  # type: ignore[arg-type]  # as the report's metadata has it
        grade=found.grade,
        links=_links(center, run, found),
    )  # fmt: skip


def _now(center: Center, record: dg.RunRecord, found: Facts, beat: Heartbeat | None, view: _View) -> _Now:
    run = record.dagster_run
    if run.is_finished:
        ended = verdict(center.instance, run)
        if ended.outcome == "passed":
            before = f"nothing was trained: training {found.found} had ended before" if found.found else None
            if before and run.tags.get(tags.PROVIDER):
                before += ", so its supervisor was not asked"
            return _Now("completed", "completed", before)
        return _Now("failed", ended.outcome, ended.reason and ended.reason.removeprefix("withdrawn: "))
    if run.status in WAITING:
        return _Now("queued", "waiting", waits_for(center, run, view.places, view.beats))
    if is_gone(run):
        return _Now("failed", "failed", f"{GONE}: resume it")
    if run.status == dg.DagsterRunStatus.CANCELING:
        return _Now("running", "canceling", "its trainer writes a checkpoint first" if beat else "it ends")
    if run.status == dg.DagsterRunStatus.STARTING:
        return _Now("running", "preparing", "its process starts")
    return _Now("running", *_working(center, run, found, beat))


def _working(center: Center, run: dg.DagsterRun, found: Facts, beat: Heartbeat | None) -> tuple[State, str | None]:
    """Return what a run does in its step, and a line on it; between two steps it may wait for a slot."""
    step = found.step
    if step is None and (other := trains_elsewhere(center.instance, run.run_id)):
        return "waiting", described(center.instance, [other])
    if step in CHECKPOINTS:
        trains = beat is not None and beat.run_id == run.run_id and beat.training_id not in found.trainings
        return ("training", None) if trains else ("preparing", _NOT_STARTED)
    if step is not None and step.startswith("phase"):
        return "judging", f"step {step}"
    if step is None and found.trainings:
        return "judging", None
    return "preparing", f"its corpora are made: step {step}" if step else None


def planned_epochs(run: dg.DagsterRun) -> list[int]:
    """Return the epochs of each phase of a session as they were given or estimated, else the most of the profile."""
    try:
        return [int(word) for word in run.tags[tags.EPOCHS].split()]
    except (KeyError, ValueError):
        schedules = profile(profile_of(run)).schedules
        return [schedules[phase].epochs for phase in PHASES_OF[run.tags[tags.SESSION]]]


def profile_of(run: dg.DagsterRun) -> str:
    """Return the profile of a session."""
    return str(_configured(run).get("profile") or profile().name)


def _named(run: dg.DagsterRun, *more: str) -> dict[str, Any]:
    """Return the settings that a session's request named, and `more` fields of the request, if they were given."""
    names = (*SessionSettings.model_fields, *more)
    return {name: value for name, value in _configured(run).items() if name in names}


def request_of(run: dg.DagsterRun) -> dict[str, Any]:
    """Return the request, as the fields of `StartRequest`, that starts a session as this one, in no chain."""
    own = _configured(run)
    return {
        "corpus": run.tags[tags.SESSION], "provider": run.tags.get(tags.PROVIDER, ""),
        "model": run.tags.get(tags.MODEL, ""), "key_id": run.tags.get(tags.KEY),
        "target_model": _TARGET_OF.get(run.tags.get(tags.SIZE, "")), "epochs": own.get("epochs"),
        "profile": own.get("profile"), "settings": _named(run), "confirmed": True,
    }  # fmt: skip


def _configured(run: dg.DagsterRun) -> Mapping[str, Any]:
    """Return the run configuration of a session's first training; those of the others are the same but the parent."""
    ops: Any = run.run_config.get("ops", {})
    first = PHASES[PHASES_OF[run.tags[tags.SESSION]][0]].checkpoint_asset
    config: Mapping[str, Any] = ops.get(first, {}).get("config", {})
    return config


def _progress(run: dg.DagsterRun, phases: Sequence[int], found: Facts, beat: Heartbeat | None) -> float | None:
    """Return the share of all steps that are done, 0 to 100; phases are weighed by the tokens that they are given."""
    schedules = profile(profile_of(run)).schedules
    weights = [float(schedules[phase].tokens or 1.0) for phase in phases]
    done = sum(weights[: len(found.trainings)])
    if beat and beat.training_id not in found.trainings and beat.steps:
        done += weights[min(len(found.trainings), len(weights) - 1)] * min(1.0, beat.step / beat.steps)
    return round(100 * done / sum(weights), 1)


def _links(center: Center, run: dg.DagsterRun, found: Facts) -> Links:
    return Links(
        page=f"/center/sessions/{run.run_id}",
        run=f"{center.ui_url}/runs/{run.run_id}",
        report=_page(found.reported, "report"),
        card=_page(found.described, "card"),
        lineage=_page(next(reversed(found.trainings), None), "lineage"),
    )


def _page(training: str | None, name: str) -> str | None:
    return f"/center/checkpoints/{training}/{name}" if training else None


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _hours(seconds: float | None) -> float | None:
    found = finite(seconds)
    return None if found is None else round(found / 3600, 4)
