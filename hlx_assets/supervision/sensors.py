"""The sensor `training_supervisor` and its job `supervise`: when a session with a provider is asked about, and how.

The sensor calls no provider: a slow answer would keep other sensors waiting. It requests a run of the job, which waits
for the pool `providers`. An opinion stops nothing. A home without providers has nothing to do here.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import dagster as dg
from pydantic import Field

from hlx_assets.common import PROVIDERS_POOL, user_errors
from hlx_assets.curriculum.session import KEY, MODEL, PROVIDER
from hlx_assets.home import home_directory
from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.supervision.look import look_at
from hlx_assets.watchdog.alert_record import RecordedAlert, recorded_alerts
from hlx_assets.watchdog.alerts import Alert, Notifier
from hlx_assets.watchdog.runs import UNFINISHED
from hlx_model.layout import TRAINING_ID, Artifacts
from hlx_model.money import dollars
from hlx_model.monitoring.snapshots import read_milestones
from hlx_model.phases import PHASES
from hlx_model.providers.catalogue import PROVIDERS, resolve
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.providers.question import Choice, Client
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.shown import one_line
from hlx_model.supervision.opinions import Opinion, Trigger, read_opinions, record_opinion
from hlx_model.supervision.schedule import Moment, due
from hlx_model.supervision.supervisor import ask_opinion

SUPERVISES = "hlx/supervises"
"""The tag of a run of the job: the id of the training that it asks about."""
INTERVAL = 30
ENDED_SECONDS = 3600.0
"""A training that has ended is asked about for so long: its last gates are evaluated at its end."""
_ALERTS = 200
"""Alerts on record that are looked through."""
_WAITING = [*UNFINISHED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED]


class SuperviseConfig(dg.Config):
    """Which training to ask about."""

    training: str = Field(pattern=f"^{TRAINING_ID}$", description="The id of a training of a session.")
    trigger: str = Field(default="time", pattern="^(time|gates|watchdog)$", description="Why it is asked about.")


@dg.op(pool=PROVIDERS_POOL, description="Asks the provider of a session what it thinks of a training, and records it.")
def ask_supervisor(context: dg.OpExecutionContext, config: SuperviseConfig) -> None:
    """Ask once, and record what came of it: an opinion, or why there is none."""
    from hlx_model.providers.client import ProviderClient

    with user_errors():
        client = ProviderClient(ProviderFiles.of_home(home_directory()))
        supervise(context, config.training, cast("Trigger", config.trigger), client)


@dg.job(
    name="supervise",
    description="Ask the provider of a session for a second opinion on one of its trainings. It stops nothing.",
)
def supervise_job() -> None:
    """Ask about one training."""
    ask_supervisor()


def supervise(context: dg.OpExecutionContext, training_id: str, trigger: Trigger, client: Client) -> Opinion:
    """Ask the supervisor of a training's session, and record its opinion: beside the training, in Dagster, as an alert.

    Raises:
        ValueError: the training is of no session that has a provider, or its heartbeat is damaged.
        OSError: it cannot be read, or the opinion cannot be written.
    """
    artifacts = artifacts_at_home()
    training = artifacts.training / training_id
    beat = Heartbeat.load(training)
    run = context.instance.get_run_by_id(beat.run_id) if beat.run_id else None
    choice = _choice(run)
    if run is None or choice is None:
        raise ValueError(f"training {training_id} is of no session that has a provider")
    warned = [alert.problem for alert in _warnings(artifacts, beat) if alert.problem]
    briefing = look_at(training, context.log, warned[:3])
    opinion = ask_opinion(client, choice, briefing, trigger=trigger, session=run.run_id)
    answered_before = [one for one in read_opinions(training) if one.verdict]
    record_opinion(training, opinion)
    said = _said(opinion)
    context.log.info(f"{choice}: {said} ({dollars(opinion.cost_nanodollars)})")
    asset = PHASES[beat.phase].checkpoint_asset
    context.log_event(dg.AssetObservation(asset, metadata=_metadata(opinion, training_id)))
    if _is_urgent(opinion) and not any(map(_is_urgent, answered_before[-1:])):
        why = (opinion.note or opinion.advice).rstrip(".")
        problem = f"the supervisor {choice} advises to stop: {why}. It stops nothing itself"
        alert = Alert(f"{asset} ({choice})", one_line(problem), run.run_id, training_id)
        Notifier({}, context.log, artifacts.root).notify(alert)
    return opinion


@dg.sensor(
    job_name=supervise_job.name,  # the job itself would make Dagster copy the sensor, with a warning
    minimum_interval_seconds=INTERVAL,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a second opinion on a training of a session that has a provider: every half hour, after each "
    "evaluation of gates, and when the watchdog warns. Sends the alerts on spending. Asks nobody itself.",
)
def training_supervisor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request what is due, and send the alerts of the ledger."""
    artifacts = artifacts_at_home()
    unreadable = ""
    try:
        news = Ledger(ProviderFiles.of_home(home_directory())).take_alerts()
    except (ValueError, OSError) as error:
        unreadable = f"the ledger cannot be read: {one_line(error)}"
        news = [unreadable] if unreadable != context.cursor else []
    context.update_cursor(unreadable)  # an alert once, not at each check
    for line in news:  # each is news; one notifier takes those that differ in figures for the same
        Notifier({}, context.log, artifacts.root).notify(Alert("providers", line))
    requests = list(_requests(context.instance, artifacts))
    if not requests:
        return dg.SkipReason("no supervisor is due")
    return dg.SensorResult(run_requests=requests)


def _requests(instance: dg.DagsterInstance, artifacts: Artifacts) -> Iterator[dg.RunRequest]:
    sessions = _sessions(instance)
    if not sessions:
        return
    waiting = instance.get_runs(dg.RunsFilter(job_name="supervise", statuses=_WAITING))
    asked_now = {run.tags.get(SUPERVISES) for run in waiting}
    for training in artifacts.training.glob("[!.]*/"):
        beat = Heartbeat.read(training)
        if beat is None or beat.run_id not in sessions or training.name in asked_now or beat.phase not in PHASES:
            continue
        if not beat.running and time.time() - beat.time > ENDED_SECONDS:
            continue
        if found := due(read_opinions(training), _moment(training, beat, artifacts)):
            config = {"training": training.name, "trigger": found.trigger}
            yield dg.RunRequest(
                run_key=f"{training.name}-{found.key}",
                run_config={"ops": {ask_supervisor.name: {"config": config}}},
                tags={SUPERVISES: training.name},
            )


def _sessions(instance: dg.DagsterInstance) -> set[str]:
    """Return the ids of the runs with a provider that have not ended, or ended a short time ago."""
    since = datetime.fromtimestamp(time.time() - ENDED_SECONDS, UTC)
    of_providers = {PROVIDER: list(PROVIDERS)}
    running = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED, tags=of_providers))
    ended = instance.get_run_records(dg.RunsFilter(updated_after=since, tags=of_providers))
    return {run.run_id for run in (*running, *(record.dagster_run for record in ended))}


def _moment(training: Path, beat: Heartbeat, artifacts: Artifacts) -> Moment:
    gates, warnings = read_milestones(training), _warnings(artifacts, beat)
    warned = warnings[0].time if warnings and beat.running else None
    return Moment(beat.started, beat.time, gates[-1].epoch if gates else None, warned)


def _warnings(artifacts: Artifacts, beat: Heartbeat) -> list[RecordedAlert]:
    """Return what the watchdog reported on a training since it began or was resumed, the newest first."""
    asset = PHASES[beat.phase].checkpoint_asset
    return [
        alert for alert in recorded_alerts(artifacts.root, _ALERTS)
        if alert.training_id == beat.training_id and alert.subject == asset and alert.time > beat.started
        and alert.problem
    ]  # fmt: skip


def _choice(run: dg.DagsterRun | None) -> Choice | None:
    """Return who supervises a session; None if nobody does. `ValueError` if its provider is not known."""
    if run is None or not run.tags.get(PROVIDER):
        return None
    return resolve(run.tags[PROVIDER], run.tags.get(MODEL), run.tags.get(KEY) or None)


def _is_urgent(opinion: Opinion) -> bool:
    """Whether a person is told at once, unless the opinion before said the same."""
    return (opinion.verdict, opinion.confidence) == ("stop", "high")


def _said(opinion: Opinion) -> str:
    if opinion.verdict is None:
        return opinion.outcome
    return f"{opinion.verdict} ({opinion.confidence} confidence): {opinion.note}"


def _metadata(opinion: Opinion, training_id: str) -> dict[str, str]:
    """Return an opinion for the page of the checkpoint in Dagster, all as text."""
    evidence = "; ".join(f"step {one.step}: {one.figure}" for one in opinion.evidence)
    shown = {
        "supervisor": f"{opinion.provider}/{opinion.model}", "opinion": _said(opinion), "asked at": opinion.trigger,
        "step": str(opinion.step), "signs": "; ".join(opinion.signs), "evidence": evidence, "advice": opinion.advice,
        "cost": dollars(opinion.cost_nanodollars), "training_id": training_id,
    }  # fmt: skip
    return {name: text for name, text in shown.items() if text}
