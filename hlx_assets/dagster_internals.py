"""What hlx uses of Dagster without a public form: the one module that names `dagster._…` or unpublished methods.

Each use has its reason. If Dagster is updated, check this module first.
"""

import asyncio
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

# A run waits outside of its steps.
from dagster._core.errors import raise_execution_interrupts

# The place in a run's log; Dagster publishes the cursor of all runs' records.
from dagster._core.event_api import EventLogCursor

# Whether a sensor is switched off.
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

# `hlx_assets.storage.Storage` must be a storage; Dagster publishes no base class.
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage as DagsterSqliteStorage
from dagster._core.storage.tags import GRPC_INFO_TAG

from hlx_model.shown import one_line

if TYPE_CHECKING:
    from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
    from starlette.applications import Starlette

    from hlx_assets.center.context import Launch

DAEMON = "dagster._daemon"
"""The module of `dagster-daemon`: the published script of that name may be missing from PATH."""
CODE_LOCATION = "hlx"
"""The name of the code location in the workspaces of hlx."""


def tag_run(instance: dg.DagsterInstance, run_id: str, tags: dict[str, str]) -> None:
    """Add tags to a run. Published are only the tags of a new run."""
    instance.add_run_tags(run_id, tags)


def note_on_run(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """Write a line into a run's log. Published is only the log of a running step."""
    instance.report_engine_event(message, run)


def event_log(instance: dg.DagsterInstance, run_id: str, types: set[dg.DagsterEventType]) -> list[dg.DagsterEvent]:
    """Return a run's events of some types, in order. Published are only an asset's events and a run's status."""
    logged = instance.all_logs(run_id, of_type=types)
    return [entry.dagster_event for entry in logged if entry.dagster_event is not None]


def log_records(
    instance: dg.DagsterInstance, run_id: str, cursor: int | None, limit: int, *, newest_first: bool
) -> list[tuple[int, dg.EventLogEntry]]:  # fmt: skip
    """Return at most `limit` records of a run's log with their ids. Published are only an asset's records.

    Args:
        instance: of the run, which must be on record.
        run_id: of the run.
        cursor: the id of a record: those after it, or before it if the newest come first; None: from the first one.
        limit: how many at most.
        newest_first: their order.
    """
    place = None if cursor is None else EventLogCursor.from_storage_id(cursor).to_string()
    found = instance.get_records_for_run(run_id, place, limit=limit, ascending=not newest_first)
    return [(record.storage_id, record.event_log_entry) for record in found.records]


def fail_run(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """End a run that no process works on any more, as failed. Dagster publishes no way to end such a run."""
    instance.report_run_failed(run, message)


def request_termination(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Request what the UI's *Terminate* does; whether the run's process received it. Published is only the button.

    Raises:
        Exception: of many types, if the server of the run's process is gone.
    """
    return bool(instance.run_coordinator.cancel_run(run_id))


def code_server_socket(run: dg.DagsterRun) -> Path | None:
    """Return the Unix socket of the code server that was to execute a run; None if it is unknown, or is a port.

    Published is only the run's end. The tag is hidden in the UI, and the launcher ends a run by it.
    """
    with suppress(ValueError):
        address = json.loads(run.tags.get(GRPC_INFO_TAG, "null"))
        if isinstance(address, dict) and isinstance(address.get("socket"), str):
            return Path(address["socket"])
    return None


def pool_holders(instance: dg.DagsterInstance) -> set[str]:
    """Return the ids of the runs that have a slot of a pool. Published is only the number of a pool's slots."""
    return set(instance.event_log_storage.get_concurrency_run_ids())


def pool_slots(instance: dg.DagsterInstance, pool: str) -> dict[str, str]:
    """Return the steps that have a slot of a pool, by the ids of their runs. Published is only their number."""
    slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    return {slot.run_id: slot.step_key for slot in slots}


def limit_pool(instance: dg.DagsterInstance, pool: str, slots: int) -> None:
    """Give a pool so many slots. Published are only the UI and the command line."""
    if instance.event_log_storage.get_concurrency_info(pool).slot_count != slots:
        instance.event_log_storage.set_concurrency_slots(pool, slots)


def pool_limit(instance: dg.DagsterInstance, pool: str) -> int | None:
    """Return the number of slots of a pool; None without a limit. Published is only the UI."""
    limit: int | None = instance.event_log_storage.get_concurrency_info(pool).limit
    return instance.global_op_concurrency_default_limit if limit is None else limit


def may_claim(instance: dg.DagsterInstance, pool: str, run_id: str, step: str) -> bool:
    """Return whether a step that waits may have a slot of a pool now. Published is only the executor that waits."""
    storage = instance.event_log_storage
    info = storage.get_concurrency_info(pool)
    is_assigned: bool = storage.check_concurrency_claim(pool, run_id, step).is_assigned
    return is_assigned or info.limit is None or info.active_slot_count < info.limit


def blocked_step(event: dg.DagsterEvent) -> tuple[str, str] | None:
    """Return the pool that a step waits for and the step's key, of the event that says so; None for any other event.

    Dagster's executor then tries again without a pause, and takes no signal (1.13).
    """
    if event.event_type != dg.DagsterEventType.ENGINE_EVENT or event.step_key is None:
        return None
    pool = event.engine_event_data.metadata.get("pool")
    return (str(pool.value), event.step_key) if pool else None


def sleep(seconds: float) -> None:
    """Sleep in a run's process, where a signal that ends the run ends the sleep. Published is only a step's body."""
    with raise_execution_interrupts():
        time.sleep(seconds)


def evaluation_before(
    instance: dg.DagsterInstance, check: dg.AssetCheckKey, run_id: str
) -> dg.AssetCheckEvaluation | None:
    """Return the result of a check before a run planned it; None if it had none. Published is only the last result."""
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=20)
    before = next((record for record in records if record.run_id != run_id), None)
    # Of a check that was planned and not evaluated, it is the plan.
    found = before.evaluation if before else None
    return found if isinstance(found, dg.AssetCheckEvaluation) else None


def stopped_sensors(instance: dg.DagsterInstance) -> set[str]:
    """Return the names of the sensors that somebody has switched off. Published is only the UI."""
    states = instance.all_instigator_state(
        instigator_type=InstigatorType.SENSOR, instigator_statuses={InstigatorStatus.STOPPED}
    )
    return {state.name for state in states}


def tag_limit(instance: dg.DagsterInstance, tag: str) -> int | None:
    """Return how many runs with a tag the queue runs at once; None without a limit. Published is only the setting."""
    queue = instance.get_concurrency_config().run_queue_config
    limits = queue.tag_concurrency_limits if queue else []
    return next((int(limit["limit"]) for limit in limits if limit["key"] == tag), None)


def queue_heartbeat(instance: dg.DagsterInstance) -> float | None:
    """Return when the daemon last looked at the queue, in Unix seconds; None if never. Published is only the UI."""
    beat = instance.get_daemon_heartbeats().get("QUEUED_RUN_COORDINATOR")
    return beat.timestamp if beat else None


def free_pool_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Free the slots of a run that has ended. Published is only the daemon's own timer, a minute or more later."""
    instance.event_log_storage.free_concurrency_slots_for_run(run_id)


def runs_of_latest_checks(instance: dg.DagsterInstance) -> set[str]:
    """Return the ids of the runs with the latest result of each check. Published is only the UI."""
    from hlx_assets.definitions import defs

    keys = list(defs.resolve_asset_graph().asset_check_keys)
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return {record.run_id for record in found.values()}


def delete_run(instance: dg.DagsterInstance, home: Path, run_id: str) -> None:
    """Delete a run with its events and logs. Dagster's own leaves the files: a database a run, and its output."""
    instance.delete_run(run_id)
    instance.compute_log_manager.delete_logs(prefix=[run_id])
    for path in (home / "history" / "runs").glob(f"{run_id}.db*"):
        path.unlink()
    shutil.rmtree(home / "storage" / run_id, ignore_errors=True)


def write_to_terminal_alone(instance: dg.DagsterInstance) -> None:
    """Let the runs of this process write to the terminal, with no copy for the UI. Published is only a home's setting.

    Dagster copies by helper processes. Ctrl-C ends them too, with stack traces, and takes the last lines with them.
    """
    manager = NoOpComputeLogManager()
    manager.register_instance(instance)
    instance._compute_log_manager = manager


@contextmanager
def _workspace(
    instance: dg.DagsterInstance, workspace: Path, *, read_only: bool
) -> Iterator["WorkspaceProcessContext"]:
    # The webserver's part is imported here: the code location and the run worker do without it.
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    # The database is used as by `dagster-webserver`: by several threads, and no statement is waited for longer (in ms).
    instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3_600, max_overflow=20)
    target = WorkspaceFileTarget([str(workspace)])
    with WorkspaceProcessContext(
        instance, target, version=dg.__version__, read_only=read_only, code_server_log_level="warning"
    ) as context:
        yield context


@contextmanager
def webserver(instance: dg.DagsterInstance, workspace: Path, *, read_only: bool) -> Iterator["Starlette"]:
    """Yield the ASGI application of the UI. Published is only a program that serves it without the request guard."""
    from dagster_webserver.app import create_app_from_workspace_process_context

    with _workspace(instance, workspace, read_only=read_only) as context:
        # A page requests news every two seconds, as by `dagster-webserver`.
        yield create_app_from_workspace_process_context(context, live_data_poll_rate=2_000)


_LAUNCH = """mutation($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on RunConfigValidationInvalid { errors { message } }
  ... on Error { message }
} }"""
_START_CODE_SERVER = "start its code server again (`make ui`, or the container code)"


@contextmanager
def launcher(instance: dg.DagsterInstance, workspace: Path) -> Iterator["Launch"]:
    """Yield the function that queues a run of the workspace's code location, as the launchpad does.

    It may be called in any thread without an event loop. It raises `ValueError`, one line, if Dagster refuses the run.
    Published are only the webserver's GraphQL, which needs a port and a request for each run, and runs of a job in the
    caller's own process.

    Raises:
        ValueError: the workspace has no code location of hlx.
    """
    from dagster_graphql.schema import create_schema

    schema, lock = create_schema(), threading.Lock()
    with _workspace(instance, workspace, read_only=False) as context:
        if CODE_LOCATION not in context.code_location_names:
            raise ValueError(f"{workspace}: it has no code location {CODE_LOCATION}")

        def launch(job: str, assets: tuple[str, ...], run_config: Mapping[str, Any], tags: Mapping[str, str]) -> str:
            selector: dict[str, Any] = {
                "repositoryLocationName": CODE_LOCATION, "repositoryName": "__repository__", "jobName": job,
            }  # fmt: skip
            if assets:
                selector["assetSelection"] = [{"path": [asset]} for asset in assets]
            parameters = {
                "selector": selector, "runConfigData": run_config, "mode": "default",
                "executionMetadata": {"tags": [{"key": name, "value": value} for name, value in tags.items()]},
            }  # fmt: skip
            with lock:
                request = _loaded(context)
                done = asyncio.run(
                    schema.execute_async(_LAUNCH, variable_values={"p": parameters}, context_value=request)
                )
            if done.errors:
                raise ValueError(_said(done.errors[0].message))
            answer = done.data["launchRun"]
            if answer["__typename"] == "LaunchRunSuccess":
                return str(answer["run"]["runId"])
            if errors := answer.get("errors"):
                # What else is allowed there, which Dagster lists, is hundreds of words.
                raise ValueError("; ".join(one_line(error["message"].split(" Expected: ")[0]) for error in errors))
            message = answer.get("message", answer["__typename"])
            if "DagsterUserCodeUnreachableError" in message:  # with any selection it is an error of the selection
                raise ValueError(f"the code location {CODE_LOCATION} does not answer: {_START_CODE_SERVER}")
            raise ValueError(_said(message))

        yield launch


def _loaded(context: "WorkspaceProcessContext") -> "WorkspaceRequestContext":
    """Return a request's view of a workspace whose code location is loaded; if it is not, it is loaded again."""
    if not context.has_code_location(CODE_LOCATION):
        context.refresh_code_location(CODE_LOCATION)
    request = context.create_request_context()
    entry = request.get_location_entry(CODE_LOCATION)
    if entry is None or entry.code_location is None:
        said = _said(entry.load_error.message if entry is not None and entry.load_error is not None else "no answer")
        raise ValueError(f"the code location {CODE_LOCATION} cannot be loaded ({said}): {_START_CODE_SERVER}")
    return request


def _said(message: str) -> str:
    """Return the message of an error of Dagster as one line, without the name of its class."""
    return one_line(re.sub(r"^dagster\.\S+: ", "", message))
