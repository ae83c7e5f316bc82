"""All that changes sessions: start, cancel, resume, clone, delete, move. Each change is one of a Dagster run."""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.center import estimate as estimates
from hlx_assets.center import providers, sessions
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.facts import verdict
from hlx_assets.center.forms import checked
from hlx_assets.center.models import Estimate, StartAnswer, TrainingSession
from hlx_assets.center.places import Places, name_of, priority
from hlx_assets.center.requests import CloneRequest, MoveRequest, StartRequest
from hlx_assets.curriculum import session as tags
from hlx_assets.curriculum.outcome import latest_resumption
from hlx_assets.curriculum.session import PHASES_OF
from hlx_assets.io_manager import latest_path
from hlx_assets.watchdog.runs import GONE, STOPPED_TAG, as_tag, close, is_gone
from hlx_model.files import lock
from hlx_model.layout import DOCUMENT, EVALUATION, EVALUATION_DOCUMENT, EXAMPLES
from hlx_model.phases import PHASES
from hlx_model.providers.question import Choice

JOB = "curriculum"
LOCK = ".center.lock"
"""In a home: locked while a session is made or moved."""
_COPIED = (tags.SESSION, tags.SIZE, tags.EPOCHS, tags.PROVIDER, tags.MODEL, tags.KEY, tags.CHAIN, tags.AFTER)
"""The tags that a session has in common with the one that resumes it."""


def start(center: Center, request: StartRequest, idempotency_key: str | None = None) -> StartAnswer:
    """Queue a session.

    Args:
        center: of the home.
        request: what to train.
        idempotency_key: a repeated request with the same key starts nothing, and gets the same session.

    Raises:
        CenterError: 422 if a setting is wrong or the machine cannot train it; 409 if it must be confirmed, if the
            session before it in the chain did not pass, or if the key was used for another request; and as
            `providers.supervisor` if it has a provider that cannot supervise it.
    """
    found, choice, without = estimates.estimate(center, request), None, None
    if not (idempotency_key and _of_key(center, idempotency_key)):
        _require_possible(found, request)
        choice, without = _supervisor(center, request)  # not under the lock: a provider may take seconds to answer
    if without:
        found = estimates.estimate(center, request.model_copy(update={"provider": None}))
    with _changing(center):
        if idempotency_key and (known := _of_key(center, idempotency_key)):
            if not _is_of(known, request):
                raise CenterError(409, f"Idempotency-Key {idempotency_key} was used for {name_of(known)}: use another")
            return _answer(center, known.run_id, found)
        own = {
            tags.SESSION: request.corpus, tags.SIZE: estimates.size_of(request), tags.IDEMPOTENCY: idempotency_key,
            tags.UNSUPERVISED: without and as_tag(without), **_chained(center, request.after),
        }  # fmt: skip
        if choice:
            own |= {tags.PROVIDER: choice.provider, tags.MODEL: choice.model, tags.KEY: choice.key_id}
        if all(phase.epochs for phase in found.phases):
            own[tags.EPOCHS] = " ".join(str(phase.epochs) for phase in found.phases)
        run_id = _launch(center, request.corpus, _run_config(request), own)
    return _answer(center, run_id, found)


def _require_possible(found: Estimate, request: StartRequest) -> None:
    if found.refusal:
        raise CenterError(422, found.refusal)
    if found.must_confirm and not request.confirmed:
        raise CenterError(409, f"{found.must_confirm}; send confirmed: true to start it all the same")


def _is_of(run: dg.DagsterRun, request: StartRequest) -> bool:
    """Return whether a request is the one that a session was started by; its provider may have been left out then."""
    provider = run.tags.get(tags.PROVIDER)
    same = provider == providers.name_of(request.provider) if provider else not request.provider
    return (
        run.tags[tags.SESSION] == request.corpus
        and run.run_config == _run_config(request)
        and (same or (provider is None and request.without_provider))
    )


def _supervisor(center: Center, request: StartRequest) -> tuple[Choice | None, str | None]:
    """Return who supervises a session, and why nobody does although one is named.

    Raises:
        CenterError: as for `providers.supervisor`, unless the session may start without.
    """
    if not request.provider:
        return None, None
    try:
        return providers.supervisor(center, request.provider, request.model, request.key_id), None
    except CenterError as error:
        if request.without_provider:
            return None, error.detail.partition(providers.WITHOUT)[0].rstrip(" ,;")
        raise


def clone(center: Center, run_id: str, changes: CloneRequest) -> StartAnswer:
    """Queue a copy of a session, with these changes; errors as for `start`."""
    run = sessions.record(center, run_id).dagster_run
    given = changes.model_dump(exclude_none=True, by_alias=False)
    own = sessions.request_of(run)
    if "provider" in given:  # the model and the key of another provider are not meant
        own = {**own, "model": None, "key_id": None}
    merged = {**own, **given, "settings": {**own["settings"], **given["settings"]}}
    if given["settings"].get("tokens"):
        merged["epochs"] = given.get("epochs")
    elif given.get("epochs"):
        merged["settings"].pop("tokens", None)
    return start(center, checked(StartRequest, merged))


def resume(center: Center, run_id: str) -> StartAnswer:
    """Queue what was cut of a session: the same settings, corpus and parent, from its last checkpoint.

    Raises:
        CenterError: 409 if it has not ended, has passed, was stopped by a gate or an abort rule, is resumed already, or
            the session before it in its chain did not pass.
    """
    with _changing(center):
        run = sessions.record(center, run_id).dagster_run
        if not run.is_finished and is_gone(run):
            close(center.instance, run, GONE)
            run = sessions.record(center, run_id).dagster_run
        if not run.is_finished:
            raise CenterError(409, f"{name_of(run)} has not ended: cancel it first, or wait")
        if (last := latest_resumption(center.instance, run_id)) and last.run_id != run_id:
            raise CenterError(409, f"{name_of(run)} is resumed already, by {name_of(last)}")
        outcome = verdict(center.instance, run).outcome
        if outcome == "passed":
            raise CenterError(409, f"{name_of(run)} has completed: clone it with other settings")
        if outcome == "quality_failed" or run.tags.get(STOPPED_TAG):
            raise CenterError(
                409, f"{name_of(run)} was stopped for its quality, and the same settings give the same: clone it with "
                "other settings, or with retry_stopped",
            )  # fmt: skip
        own = {tag: run.tags[tag] for tag in _COPIED if tag in run.tags}
        own |= _chained(center, run.tags.get(tags.AFTER) or None)
        found = estimates.estimate(center, StartRequest(**sessions.request_of(run)))
        corpus = run.tags[tags.SESSION]
        resumed = _launch(center, corpus, _pinned(run), {**own, tags.RESUMES: run_id})
    return _answer(center, resumed, found)


def cancel(center: Center, run_id: str) -> TrainingSession:
    """End a session: a queued one at once, a running one after its trainer has written a checkpoint.

    Raises:
        CenterError: 409 if it has ended, or if its process cannot be reached.
    """
    run = sessions.record(center, run_id).dagster_run
    if run.is_finished:
        raise CenterError(409, f"{name_of(run)} has ended: there is nothing to cancel")
    if is_gone(run):
        close(center.instance, run, GONE)
    elif run.status != dg.DagsterRunStatus.CANCELING:
        received = False
        with suppress(Exception):  # of many types, if the server of the run's process is gone
            received = internals.request_termination(center.instance, run_id)
        if not received and not sessions.record(center, run_id).dagster_run.is_finished:
            raise CenterError(409, f"{name_of(run)} cannot be reached: the watchdog closes it if its process is gone")
    return sessions.session(center, run_id)


def delete(center: Center, run_id: str) -> None:
    """Remove a queued session, which leaves nothing.

    Raises:
        CenterError: 409 if it is not queued.
    """
    with _changing(center):
        run = sessions.record(center, run_id).dagster_run
        if run.status != dg.DagsterRunStatus.QUEUED:
            raise CenterError(409, f"{name_of(run)} is not queued: cancel it if it runs; an ended one stays on record")
        internals.request_termination(center.instance, run_id)
        if sessions.record(center, run_id).dagster_run.status != dg.DagsterRunStatus.CANCELED:
            raise CenterError(409, f"{name_of(run)} had just started: it is cancelled, and stays on record")
        internals.delete_run(center.instance, center.home, run_id)


def move(center: Center, run_id: str, request: MoveRequest) -> TrainingSession:
    """Give a queued session another place, and with it its chain.

    Raises:
        CenterError: 409 if it is not queued; 422 if not exactly one of priority and position is given.
    """
    if (request.priority is None) == (request.position is None):
        raise CenterError(422, "give either priority or position")
    with _changing(center):
        places = sessions.places(center)
        run = sessions.record(center, run_id).dagster_run
        unit = next((unit for unit in places.units() if run_id in [one.run_id for one in unit]), None)
        if unit is None:
            raise CenterError(409, f"{name_of(run)} is not queued: only queued sessions have a place")
        if request.priority is not None:
            wanted = {one.run_id: request.priority for one in unit}
        else:
            wanted = reordered(places, unit, run_id, request.position or 1)
        for one in places.waiting:
            if one.run_id in wanted and wanted[one.run_id] != priority(one):
                internals.tag_run(center.instance, one.run_id, {tags.PRIORITY: str(wanted[one.run_id])})
    return sessions.session(center, run_id)


def reordered(places: Places, unit: list[dg.DagsterRun], run_id: str, position: int) -> dict[str, int]:
    """Return the priorities that give a session a place in the queue; the other sessions of its chain come along."""
    others = [one for one in places.units() if one is not unit and one[0].run_id != unit[0].run_id]
    offset = [one.run_id for one in unit].index(run_id)
    before, count = 0, offset
    while before < len(others) and count + len(others[before]) < position:
        count += len(others[before])
        before += 1
    order = [*others[:before], unit, *others[before:]]
    return {run.run_id: len(order) - place for place, one in enumerate(order) for run in one}


@contextmanager
def _changing(center: Center) -> Iterator[None]:
    """Let only one request change sessions while the block runs."""
    with (center.home / LOCK).open("a") as file:
        lock(file.fileno(), fcntl.LOCK_EX, center.home)
        yield


def _of_key(center: Center, key: str) -> dg.DagsterRun | None:
    return next(iter(center.instance.get_runs(dg.RunsFilter(tags={tags.IDEMPOTENCY: key}), limit=1)), None)


def _answer(center: Center, run_id: str, found: Estimate) -> StartAnswer:
    made = sessions.session(center, run_id)
    return StartAnswer(
        id=run_id, status=made.status, position=made.position, estimate=found, unsupervised=made.unsupervised
    )


def _chained(center: Center, after: str | None) -> dict[str, str]:
    """Return the tags of a session that comes after another one, whose chain begins with it if it had none."""
    if after is None:
        return {}
    run = latest_resumption(center.instance, sessions.record(center, after).dagster_run.run_id)
    assert run is not None
    if (run.is_finished and verdict(center.instance, run).outcome != "passed") or is_gone(run):
        raise CenterError(409, f"{name_of(run)} did not pass: nothing can come after it; resume or clone it first")
    chain = run.tags.get(tags.CHAIN) or run.run_id
    if tags.CHAIN not in run.tags:
        internals.tag_run(center.instance, run.run_id, {tags.CHAIN: chain})
    waiting = run.status == dg.DagsterRunStatus.QUEUED and tags.PRIORITY in run.tags
    return {tags.CHAIN: chain, tags.AFTER: run.run_id, **({tags.PRIORITY: run.tags[tags.PRIORITY]} if waiting else {})}


def _launch(center: Center, corpus: str, config: Mapping[str, Any], own: Mapping[str, str | None]) -> str:
    given = {tag: value for tag, value in own.items() if value}
    try:
        return center.launch(JOB, _assets(center, corpus), config, given)
    except ValueError as error:
        raise CenterError(422, str(error)) from None


def _assets(center: Center, corpus: str) -> tuple[str, ...]:
    """Return the assets of a session: those of its phases, and the corpora that they need and that do not exist."""
    phases = [PHASES[number] for number in PHASES_OF[corpus]]
    needed = [phase.corpus for phase in phases]
    missing = [asset for asset in needed if not _exists(center, asset)]
    if missing:
        missing = [DOCUMENT, EXAMPLES, *missing]
    if any(phase.writes == "translations" for phase in phases) and not _exists(center, EVALUATION):
        missing += [EVALUATION_DOCUMENT, EVALUATION]
    stages = [(phase.checkpoint_asset, phase.report_asset, phase.card_asset) for phase in phases]
    return (*missing, *(asset for stage in stages for asset in stage))


def _exists(center: Center, asset: str) -> bool:
    try:
        latest_path(center.instance, dg.AssetKey(asset))
    except dg.Failure:
        return False
    return True


def _run_config(request: StartRequest) -> dict[str, Any]:
    """Return the run configuration of a session: the same settings for each of its phases."""
    own = {"size": estimates.size_of(request), "epochs": request.epochs, "profile": request.profile}
    given = {name: value for name, value in {**own, **request.settings.given()}.items() if value is not None}
    ops: dict[str, Any] = {}
    for number in PHASES_OF[request.corpus]:
        phase = PHASES[number]
        ops[phase.checkpoint_asset] = {"config": {**given, **({"parent": "passed"} if number > 1 else {})}}
        if request.profile:
            ops[phase.report_asset] = {"config": {"profile": request.profile}}
    return {"ops": ops}


def _pinned(run: dg.DagsterRun) -> Mapping[str, Any]:
    """Return a session's run configuration with the parent that its training started from."""
    phases = PHASES_OF[run.tags[tags.SESSION]]
    if len(phases) > 1 or not (parent := run.tags.get(tags.PARENT)):
        return run.run_config
    asset = PHASES[phases[0]].checkpoint_asset
    ops: dict[str, Any] = {**run.run_config.get("ops", {})}  # type: ignore[dict-item]
    ops[asset] = {"config": {**ops[asset]["config"], "parent": parent}}
    return {**run.run_config, "ops": ops}
