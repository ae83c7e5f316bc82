"""What hlx uses of Dagster without a public form: the one module that names `dagster._…` or unpublished methods.

Each use has its reason. If Dagster is updated, check this module first.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

# A run waits outside of its steps.
from dagster._core.errors import raise_execution_interrupts
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager

# `hlx_assets.storage.Storage` must be a storage; Dagster publishes no base class.
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage as DagsterSqliteStorage

if TYPE_CHECKING:
    from starlette.applications import Starlette

DAEMON = "dagster._daemon"
"""The module of `dagster-daemon`: the published script of that name may be missing from PATH."""


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


def fail_run(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """End a run that no process works on any more, as failed. Dagster publishes no way to end such a run."""
    instance.report_run_failed(run, message)


def request_termination(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Request what the UI's *Terminate* does; whether the run's process received it. Published is only the button.

    Raises:
        Exception: of many types, if the server of the run's process is gone.
    """
    return bool(instance.run_coordinator.cancel_run(run_id))


def pool_holders(instance: dg.DagsterInstance) -> set[str]:
    """Return the ids of the runs that have a slot of a pool. Published is only the number of a pool's slots."""
    return set(instance.event_log_storage.get_concurrency_run_ids())


def pool_slots(instance: dg.DagsterInstance, pool: str) -> dict[str, str]:
    """Return the steps that have a slot of a pool, by the ids of their runs. Published is only their number."""
    slots = instance.event_log_storage.get_concurrency_info(pool).claimed_slots
    return {slot.run_id: slot.step_key for slot in slots}


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
def webserver(instance: dg.DagsterInstance, workspace: Path, *, read_only: bool) -> Iterator["Starlette"]:
    """Yield the ASGI application of the UI. Published is only a program that serves it without the request guard."""
    # The webserver is imported here: the code location and the run worker do without it.
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster_webserver.app import create_app_from_workspace_process_context

    # The database is used, and a page requests news (in ms), as by `dagster-webserver`.
    instance.optimize_for_webserver(statement_timeout=15_000, pool_recycle=3_600, max_overflow=20)
    target = WorkspaceFileTarget([str(workspace)])
    with WorkspaceProcessContext(
        instance, target, version=dg.__version__, read_only=read_only, code_server_log_level="warning"
    ) as context:
        yield create_app_from_workspace_process_context(context, live_data_poll_rate=2_000)
