"""A supervisor in the graph: the sensor requests, the job asks and records, and nothing else happens."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hlx_assets.curriculum.session import MODEL, PROVIDER
from hlx_assets.definitions import defs
from hlx_assets.supervision.look import prompts_of
from hlx_assets.supervision.sensors import SUPERVISES, supervise_job, training_supervisor
from hlx_assets.watchdog.alert_record import RecordedAlert, record_alert, recorded_alerts
from hlx_model.layout import CHECKPOINTS, MILESTONE_RESULTS
from hlx_model.money import NANO
from hlx_model.monitoring.snapshots import read_milestones
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.ledger import Ledger
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.supervision.opinions import read_opinions, record_opinion
from tests.support.dagster_home import Home
from tests.support.fake_provider import FakeProvider, status
from tests.support.providers import a_question
from tests.support.supervision import an_answer, an_opinion


class Session:
    """A session of the home, whose last training (phase 3) is running."""

    def __init__(self, home: Home, instance: dg.DagsterInstance) -> None:
        self.home, self.instance = home, instance
        self.artifacts = home.path / "artifacts"
        self.training = home.latest("phase3_checkpoint").parents[1]
        self.beat = replace(Heartbeat.load(self.training), status="training")
        fresh = Heartbeat("0" * 16, 3, "tiny", 1)
        self.beat = replace(self.beat, pid=fresh.pid, process=fresh.process, host=fresh.host, started=fresh.started)
        self.beat.write(self.training)
        assert self.beat.run_id
        self.run_id = self.beat.run_id
        for other in self.training.parent.iterdir():  # the same run trained them, long ago
            if other != self.training and (beat := Heartbeat.read(other)):
                replace(beat, time=beat.time - 7200)._write(other)

    def supervised(self, provider: str = "qwen", model: str = "qwen3:1.7b") -> "Session":
        """Name a supervisor."""
        self.instance.add_run_tags(self.run_id, {PROVIDER: provider, MODEL: model})
        return self

    def due(self) -> list[dg.RunRequest]:
        """Return what the sensor requests."""
        with dg.build_sensor_context(instance=self.instance) as context:
            found = training_supervisor(context)
        if isinstance(found, dg.SkipReason):
            return []
        assert isinstance(found, dg.SensorResult) and found.run_requests
        return list(found.run_requests)

    def ask(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """Run the job that was requested."""
        job = defs.resolve_job_def(supervise_job.name)
        return job.execute_in_process(
            instance=self.instance, run_config=dict(request.run_config), tags=dict(request.tags), raise_on_error=False
        )


@pytest.fixture
def session(home: Home) -> Iterator[Session]:
    with home.instance() as instance:
        yield Session(home, instance)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """A server that all providers are; the opinion cites the first point of the curve."""

    def answer(system: str, user: str, schema: Any) -> dict[str, Any]:
        step = int(user.split("learning rate:\n")[1].splitlines()[1].split(",")[0])
        evidence = [{"step": step, "figure": "training loss 4.8"}]
        return an_answer(verdict="stop", confidence="high", evidence=evidence, note="It learned by heart.")

    with FakeProvider(answer=answer) as server:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", server.hosts)
        yield server


def test_without_a_provider_nothing_is_due_and_nothing_is_made(session: Session) -> None:
    assert session.due() == []
    session.instance.add_run_tags(session.run_id, {PROVIDER: ""})
    assert session.due() == [] and not (session.home.path / "providers").exists()


def test_gates_are_asked_about_once_and_the_opinion_is_recorded_shown_and_an_alert(
    session: Session, fake: FakeProvider
) -> None:
    before = {path: path.read_bytes() for path in (session.training / CHECKPOINTS).rglob("*") if path.is_file()}
    (request,) = session.supervised().due()
    assert request.tags == {SUPERVISES: session.training.name}
    assert request.run_config["ops"]["ask_supervisor"]["config"]["trigger"] == "gates"
    assert not fake.asked  # the sensor asks nobody
    result = session.ask(request)
    assert result.success
    (asked,) = fake.asked
    for prompt in prompts_of(3):
        assert json.dumps(prompt, ensure_ascii=False)[1:-1] in asked.body["messages"][1]["content"]
    (opinion,) = read_opinions(session.training)
    assert (opinion.verdict, opinion.confidence, opinion.trigger) == ("stop", "high", "gates")
    assert opinion.epoch == read_milestones(session.training)[-1].epoch

    (record,) = session.instance.fetch_observations(dg.AssetKey("phase3_checkpoint"), limit=1).records
    assert record.asset_observation is not None
    shown = {name: value.value for name, value in record.asset_observation.metadata.items()}
    assert shown["opinion"] == "stop (high confidence): It learned by heart."
    assert "training loss 4.8" in str(shown["evidence"])
    assert shown["supervisor"] == "qwen/qwen3:1.7b" and shown["training_id"] == session.training.name
    (alert,) = recorded_alerts(session.artifacts, 9)
    assert alert.problem and "advises to stop: It learned by heart. It stops" in alert.problem

    assert session.due() == []  # not even for its own alert
    assert Heartbeat.load(session.training) == session.beat
    after = {path: path.read_bytes() for path in (session.training / CHECKPOINTS).rglob("*") if path.is_file()}
    assert after == before
    (found,) = Ledger(ProviderFiles.of_home(session.home.path)).spending().by_session or {session.run_id: 0}
    assert found == session.run_id


def test_an_outage_is_recorded_and_the_job_succeeds(session: Session, fake: FakeProvider) -> None:
    fake.script(status(529))
    (request,) = session.supervised().due()
    assert session.ask(request).success
    (opinion,) = read_opinions(session.training)
    assert opinion.outcome.startswith("unavailable: ") and opinion.verdict is None
    assert recorded_alerts(session.artifacts, 9) == [] and session.due() == []


def test_a_key_that_is_missing_is_recorded_with_what_to_do(session: Session, fake: FakeProvider) -> None:
    (request,) = session.supervised("claude", "claude-haiku-4-5").due()
    assert session.ask(request).success and not fake.asked
    (opinion,) = read_opinions(session.training)
    assert opinion.outcome.startswith("refused: ")


def test_a_warning_of_the_watchdog_is_asked_about(session: Session, fake: FakeProvider) -> None:
    session.supervised()
    session.ask(session.due()[0])
    problem = "validation loss 1.93 at epoch 2 is 0.5 nats or more above its best"
    alert = RecordedAlert(
        time=session.beat.time + 60, subject="phase3_checkpoint", problem=problem, run_id=session.run_id,
        training_id=session.training.name,
    )  # fmt: skip
    record_alert(session.artifacts, alert)
    (request,) = session.due()
    assert request.run_config["ops"]["ask_supervisor"]["config"]["trigger"] == "watchdog"
    session.ask(request)
    assert problem in fake.asked[-1].body["messages"][1]["content"]
    assert [one.trigger for one in read_opinions(session.training)] == ["gates", "watchdog"]

    def advised() -> int:
        said = [alert.problem or "" for alert in recorded_alerts(session.artifacts, 9)]
        return sum("advises to stop" in problem for problem in said)

    assert advised() == 1  # both say to stop: one alert is enough
    record_opinion(session.training, an_opinion(time.time(), verdict="continue"))
    session.ask(request)
    assert advised() == 2


def test_a_question_that_waits_is_not_requested_again(session: Session) -> None:
    (request,) = session.supervised().due()
    waiting = dg.DagsterRun(job_name="supervise", status=dg.DagsterRunStatus.STARTED, tags=dict(request.tags))
    session.instance.add_run(waiting)
    assert session.due() == []
    session.instance.report_run_canceled(waiting)
    assert [again.run_key for again in session.due()] == [request.run_key]


def test_the_last_gates_of_a_training_that_has_just_ended_are_asked_about(session: Session) -> None:
    session.beat.status = "completed"
    session.beat.write(session.training)
    assert len(session.supervised().due()) == 1
    replace(session.beat, time=session.beat.time - 7200)._write(session.training)
    assert session.due() == []


def test_a_training_that_is_damaged_is_no_obstacle_for_others(session: Session) -> None:
    session.supervised()
    (session.training / MILESTONE_RESULTS).write_text("{")
    broken = session.training.parent / ("f" * 16)
    broken.mkdir()
    (broken / "heartbeat.json").write_text("{")
    assert session.due() == []  # without gates, and before half an hour
    session.beat.started -= 3600
    session.beat.write(session.training)
    (request,) = session.due()
    assert request.run_config["ops"]["ask_supervisor"]["config"]["trigger"] == "time"


def test_a_training_without_a_supervisor_is_refused_by_the_job(session: Session, fake: FakeProvider) -> None:
    config = {"ops": {"ask_supervisor": {"config": {"training": session.training.name}}}}
    result = session.ask(dg.RunRequest(run_config=config))
    assert not result.success and not fake.asked and not read_opinions(session.training)


def test_alerts_on_spending_are_sent_once(session: Session) -> None:
    ledger = Ledger(ProviderFiles.of_home(session.home.path))
    ledger.set_cap("day", NANO)
    ledger.settle(ledger.reserve(a_question("qwen"), NANO // 5), NANO * 6 // 10)
    session.due()
    said = [alert.problem or "" for alert in recorded_alerts(session.artifacts, 9)]
    assert len(said) == 2 and any("60" in line and "%" in line for line in said)
    assert any("qwen is closed" in line for line in said)
    session.due()
    assert len(recorded_alerts(session.artifacts, 9)) == 2


def test_a_ledger_that_cannot_be_read_is_one_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    files, cursor = ProviderFiles.of_home(tmp_path), None
    files.make()

    def alerts() -> int:
        nonlocal cursor
        with dg.DagsterInstance.ephemeral() as instance, dg.build_sensor_context(instance, cursor) as context:
            training_supervisor(context)
            cursor = context.cursor
        return len(recorded_alerts(tmp_path / "artifacts", 9))

    files.ledger.write_text("not a database " * 99)
    assert [alerts(), alerts()] == [1, 1]
    files.ledger.unlink()
    assert alerts() == 1
    files.ledger.write_text("not a database " * 99)
    assert alerts() == 2  # it was readable in between


def test_two_alerts_on_spending_at_once_are_both_sent(session: Session) -> None:
    ledger = Ledger(ProviderFiles.of_home(session.home.path))
    for cap in ("call", "day"):
        ledger.set_cap(cap, NANO)
    for _ in range(3):
        ledger.settle(ledger.reserve(a_question("qwen"), NANO * 3 // 10), NANO * 3 // 10)
    session.due()
    said = [alert.problem or "" for alert in recorded_alerts(session.artifacts, 9)]
    assert len(said) == 2 and "(80%)" in said[0] and "(50%)" in said[1]


@pytest.mark.parametrize("phase", [1, 2, 3])
def test_there_are_five_prompts_for_each_phase(phase: int) -> None:
    prompts = prompts_of(phase)
    assert len(set(prompts)) == 5 and all(prompts)


@pytest.mark.slow
def test_the_graph_names_the_providers_without_loading_them(tmp_path: Path) -> None:
    modules = ("openai", "anthropic", "nacl", "genai_prices")
    program = f"import sys, hlx_assets.definitions; print([name for name in {modules} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert shown.stdout.strip() == "[]"
