"""A real Dagster instance in a home of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hlx_assets.curriculum.run import curriculum_job
from hlx_assets.definitions import defs
from hlx_assets.home import prepare
from hlx_assets.io_manager import latest_path
from tests.support.documents import tiny_text

REPOSITORY = Path(__file__).parents[2]
SETTINGS: dict[str, dict[str, Any]] = {
    "phase1_checkpoint": {"epochs": 40, "batch_size": 2},
    "phase2_checkpoint": {"epochs": 20, "batch_size": 2},
    "phase3_checkpoint": {"epochs": 8, "batch_size": 2},
}
"""Settings that teach `tiny_text` by heart in seconds."""


@dataclass
class Home:
    """A DAGSTER_HOME and what a user does in it."""

    path: Path

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        """The instance of this home."""
        with dg.DagsterInstance.get() as instance:
            yield instance

    def write(self, text: str) -> None:
        """Write the corpus document."""
        (self.path / "small.md").write_text(text, encoding="utf-8")

    def latest(self, asset: str) -> Path:
        """Return the directory that an asset was last materialized to."""
        with self.instance() as instance:
            return latest_path(instance, dg.AssetKey(asset))

    def materialize(self, *assets: str, **config: dict[str, Any]) -> "Run":
        """Materialize assets (by default all) with their checks, as one run."""
        settings = {**SETTINGS, "corpus_document": {"corpus": str(self.path / "small.md")}}
        ops = {name: {"config": {**settings.get(name, {}), **config.get(name, {})}} for name in {*settings, *config}}
        job = defs.resolve_implicit_global_asset_job_def()
        selection = [dg.AssetKey(name) for name in assets] or None
        if assets:
            ops = {name: value for name, value in ops.items() if name in assets or name in config}
        with self.instance() as instance:
            result = job.execute_in_process(
                instance=instance, run_config={"ops": ops}, asset_selection=selection, raise_on_error=False
            )
            return Run(result.run_id, result.all_events)


@dataclass
class Run:
    """A run that has ended."""

    id: str
    events: Sequence[dg.DagsterEvent]

    @classmethod
    def of(cls, instance: dg.DagsterInstance, run_id: str) -> "Run":
        """Read a run from the event log."""
        return cls(run_id, [e.dagster_event for e in instance.all_logs(run_id) if e.dagster_event])

    @property
    def success(self) -> bool:
        """Whether every step succeeded."""
        return any(event.event_type == dg.DagsterEventType.RUN_SUCCESS for event in self.events)

    @property
    def materialized(self) -> list[str]:
        """The assets that were materialized."""
        return [str(e.asset_key and e.asset_key.to_user_string()) for e in self.events if e.is_step_materialization]

    @property
    def failures(self) -> dict[str, str]:
        """The reasons of the failed steps, by step."""
        found = {}
        for event in self.events:
            if event.is_step_failure:
                failure = event.step_failure_data
                error = failure.error.cause or failure.error if failure.error else None
                said = failure.user_failure_data.description if failure.user_failure_data else None
                found[str(event.step_key)] = said or (error.message if error else "")
        return found

    @property
    def checks(self) -> list[dg.AssetCheckEvaluation]:
        """The evaluations of checks."""
        evaluated = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        return [event.asset_check_evaluation_data for event in self.events if event.event_type == evaluated]

    def check(self, asset: str, name: str) -> dg.AssetCheckEvaluation:
        """The first evaluation of a check in this run."""
        wanted = dg.AssetCheckKey(dg.AssetKey(asset), name)
        return next(check for check in self.checks if check.asset_check_key == wanted)

    def materialization(self, asset: str) -> dg.AssetMaterialization:
        """The materialization of an asset."""
        of_asset = (event for event in self.events if event.asset_key == dg.AssetKey(asset))
        return next(e.step_materialization_data.materialization for e in of_asset if e.is_step_materialization)


def executed(home: Home, *assets: str, tags: Mapping[str, str] | None = None, **config: dict[str, Any]) -> Run:
    """Materialize assets (by default all) as the UI and `make curriculum` do: with the executor of the graph."""
    ops = {name: {"config": value} for name, value in config.items()}
    selection = [dg.AssetKey(name) for name in assets] or None
    job = dg.reconstructable(curriculum_job)
    with (
        home.instance() as instance,
        dg.execute_job(job, instance, run_config={"ops": ops}, asset_selection=selection, tags=tags) as result,
    ):
        return Run(result.run_id, result.all_events)


@contextmanager
def curriculum_program(*arguments: object, **environment: object) -> Iterator["subprocess.Popen[str]"]:
    """Run the program of `make curriculum` in a process group of its own; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hlx_assets.curriculum", *map(str, arguments)],
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def revalidated(instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    """Run the job `revalidation`; without `nice`, which this process could not undo."""
    config = {"ops": {f"phase{phase}_validation_report": {"config": {"nice": 0}} for phase in (1, 2, 3)}}
    job = defs.resolve_job_def("revalidation")
    return job.execute_in_process(instance=instance, raise_on_error=False, run_config=config)


@contextmanager
def opened(path: Path) -> Iterator[Home]:
    """Set `DAGSTER_HOME` to a home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(path))
        yield Home(path)


def make_home(path: Path) -> None:
    """Make an empty home with the project's settings and a small corpus document."""
    prepare(path)
    Home(path).write(tiny_text())


def make_curriculum_home(folder: Path) -> None:
    """Train the curriculum in a home in a folder: `home`, and the id of its run in `run`."""
    make_home(folder / "home")
    with opened(folder / "home") as home:
        (folder / "run").write_text(home.materialize().id, encoding="utf-8")
