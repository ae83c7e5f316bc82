"""The executor of every run: Dagster's in-process one, which first records the process that executes the run.

All steps of a run share one process: they are light, except for training, which has a child process. The executor has
no configuration, so that a launchpad shows the settings of a training and nothing else.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from hlx_assets.watchdog.runs import record_worker


class _RecordingExecutor(dg.Executor):
    """Dagster's executor, after a record of the process that executes."""

    def __init__(self, inner: dg.Executor) -> None:
        self._inner = inner

    @property
    def retries(self) -> Any:
        """Return the retry mode of the inner executor."""
        return self._inner.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
        """Record this process on the run, then execute the steps of the plan one after the other."""
        record_worker(plan_context.instance, plan_context.dagster_run)
        yield from self._inner.execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema={})
def in_process_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """Return the executor that runs all steps in this process and records it as the run's worker."""
    create: Any = dg.in_process_executor.executor_creation_fn
    return _RecordingExecutor(create(context._replace(executor_config={"retries": {"disabled": {}}})))
