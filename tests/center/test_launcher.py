"""The Training Center queues runs as the launchpad does, and what Dagster refuses is one line."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from hlx_assets.center.context import Launch
from hlx_assets.dagster_internals import launcher
from hlx_assets.home import open_home
from tests.support.dagster_home import REPOSITORY, make_home, opened
from tests.support.waiting import wait_for

ASSETS = ("phase1_checkpoint", "phase1_validation_report", "phase1_model_card")


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    path = tmp_path_factory.mktemp("center") / "home"
    make_home(path)
    with opened(path), open_home(report=False) as opened_instance:
        yield opened_instance


@pytest.fixture(scope="module")
def launch(instance: dg.DagsterInstance) -> Iterator[Launch]:
    with launcher(instance, REPOSITORY / "workspace.yaml") as function:
        yield function


def run_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found


def configured(**settings: object) -> dict[str, object]:
    return {"ops": {"phase1_checkpoint": {"config": settings}}}


def test_a_run_is_queued_with_its_assets_configuration_and_tags(instance: dg.DagsterInstance, launch: Launch) -> None:
    tags = {"hlx/session": "English", "dagster/priority": "-3"}
    run = run_of(instance, launch("curriculum", ASSETS, configured(epochs=3, size="tiny"), tags))
    assert run.status == dg.DagsterRunStatus.QUEUED and run.job_name == "curriculum"
    assert run.asset_selection == {dg.AssetKey(asset) for asset in ASSETS}
    assert run.run_config == configured(epochs=3, size="tiny") and tags.items() <= run.tags.items()
    # Its checks belong to it.
    assert run.asset_check_selection is None


def test_without_assets_the_whole_job_is_queued(instance: dg.DagsterInstance, launch: Launch) -> None:
    assert run_of(instance, launch("curriculum", (), {}, {})).asset_selection is None


@pytest.mark.parametrize(
    ("job", "assets", "config", "said"),
    [
        ("curriculum", ASSETS, configured(epoch=3), '"epoch" at path root:ops:phase1_checkpoint:config'),
        ("curriculum", ASSETS, configured(epochs="three"), "phase1_checkpoint:config:epochs"),
        ("curriculum", ASSETS, {"resources": {"io_manager": {"config": {"gates": {}}}}}, "gates"),
        ("curriculum", ("phase4_checkpoint",), {}, "phase4_checkpoint"),
        ("no_job", (), {}, "no_job"),
    ],
)
def test_what_dagster_refuses_is_one_line_and_queues_nothing(
    instance: dg.DagsterInstance,
    launch: Launch,
    job: str,
    assets: tuple[str, ...],
    config: dict[str, object],
    said: str,
) -> None:
    before = instance.get_runs_count()
    with pytest.raises(ValueError) as raised:
        launch(job, assets, config, {})
    line = str(raised.value)
    assert said in line and "\n" not in line and len(line) < 400
    assert "Expected:" not in line and not line.startswith("dagster")
    assert instance.get_runs_count() == before


def test_two_mistakes_are_both_named(launch: Launch) -> None:
    with pytest.raises(ValueError, match=r"lr.*epochs|epochs.*lr"):
        launch("curriculum", ASSETS, configured(lr="high", epochs="many"), {})


def test_runs_may_be_queued_from_several_threads_at_once(instance: dg.DagsterInstance, launch: Launch) -> None:
    def queue(number: int) -> str:
        return launch("curriculum", ASSETS, configured(epochs=number + 1), {"number": str(number)})

    with ThreadPoolExecutor(4) as threads:
        queued = list(threads.map(queue, range(4)))
    assert len(set(queued)) == 4
    for number, run_id in enumerate(queued):
        run = run_of(instance, run_id)
        assert run.tags["number"] == str(number) and run.run_config == configured(epochs=number + 1)


def test_a_workspace_of_something_else_is_refused(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    workspace = tmp_path / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": []}))
    with pytest.raises(ValueError, match="no code location hlx"), launcher(instance, workspace):
        pass


@contextmanager
def code_server(path: Path) -> Iterator[None]:
    """Run a code server at a Unix socket."""
    arguments = ["--module-name=hlx_assets.definitions", "--location-name=hlx", f"--socket={path}"]
    program = [sys.executable, "-m", "dagster", "api", "grpc", *arguments]
    with subprocess.Popen(program, cwd=path.parent, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(path.exists, "for the code server")
            yield
        finally:
            process.kill()  # it ignores SIGTERM where SIGINT is ignored, as in the background of a script


@pytest.mark.system
def test_a_code_server_that_comes_later_is_found(
    instance: dg.DagsterInstance, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("late")
    workspace = folder / "workspace.yaml"
    server = {"socket": str(folder / "code.sock"), "location_name": "hlx"}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    with launcher(instance, workspace) as launch:
        with pytest.raises(
            ValueError, match=r"the code location hlx cannot be loaded .*: start its code server"
        ) as raised:
            launch("curriculum", ASSETS, {}, {})
        assert "\n" not in str(raised.value)
        with code_server(folder / "code.sock"):
            queued: list[str] = []

            def answers() -> bool:
                try:
                    queued.append(launch("curriculum", ASSETS, {}, {}))
                except ValueError:
                    return False
                return True

            wait_for(answers, "for the code location")
            assert run_of(instance, queued[0]).status == dg.DagsterRunStatus.QUEUED
        with pytest.raises(ValueError, match="the code location hlx does not answer: start its code server again"):
            launch("curriculum", ASSETS, {}, {})
