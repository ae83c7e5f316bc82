"""The executor of every run: Dagster's in-process one, and what it lacks.

It records the process that executes the run. A session whose predecessor did not pass is withdrawn before its first
step. A step that waits for a slot says for which run, sleeps, and is ended by one signal. The checks that a run planned
and did not evaluate keep the result that they had. A run in which a training was stopped fails.

All steps of a run share one process: they are light, except for training, which has a child process. The executor has
no configuration, so that a launchpad shows the settings of a training and nothing else.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.curriculum.outcome import stop_reason, withdrawal
from hlx_assets.curriculum.session import WITHDRAWN
from hlx_assets.waiting import wait_for_slot
from hlx_assets.watchdog.runs import STOPPED_TAG, as_tag, record_worker, restore_checks


class _Executor(dg.Executor):
    """Dagster's executor with what it lacks."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """Return the retry mode of the inner executor."""
        return self._inner.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        """Execute the steps of the plan one after the other.

        Raises:
            dg.Failure: a training was stopped, or the run is withdrawn.
        """
        instance, run = plan_context.instance, plan_context.dagster_run
        record_worker(instance, run)
        stopped: list[str] = []
        try:
            if line := withdrawal(instance, run):
                internals.tag_run(instance, run.run_id, {WITHDRAWN: as_tag(line)})
                plan_context.log.error(line)
                raise dg.Failure(line, allow_retries=False)
            for event in self._inner.execute(plan_context, execution_plan):
                yield event
                if blocked := internals.blocked_step(event):
                    wait_for_slot(plan_context, *blocked)
                if reason := stop_reason(event):
                    stopped.append(f"{event.step_key}: the training was stopped: {reason}")
        finally:
            restore_checks(instance, run.run_id)
        if stopped:
            internals.tag_run(instance, run.run_id, {STOPPED_TAG: as_tag("; ".join(stopped))})
            raise dg.Failure("; ".join(stopped), allow_retries=False)


@dg.executor(name="in_process", config_schema={})
def in_process_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """Return the executor that runs all steps in this process and records it as the run's worker."""
    create: Any = dg.in_process_executor.executor_creation_fn
    return _Executor(create(context._replace(executor_config={"retries": {"disabled": {}}})))
