"""A supervisor under Dagster's real daemon: its sensor, its job, the pool, in processes of their own."""

import pytest

from hlx_assets.curriculum.session import MODEL, PROVIDER
from hlx_assets.supervision.sensors import SUPERVISES
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.supervision.opinions import read_opinions
from tests.support.dagster_home import Home
from tests.support.fake_provider import FakeProvider, text
from tests.support.live_dagster import daemon_and_webserver


@pytest.mark.system
def test_the_daemon_asks_about_each_training_of_a_session_once(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    trainings = [home.latest(f"phase{phase}_checkpoint").parents[1] for phase in (1, 2, 3)]
    beats = [Heartbeat.load(training) for training in trainings]
    for training, beat in zip(trainings, beats, strict=True):
        beat.write(training)  # it has just ended
    run_id = beats[-1].run_id
    assert run_id
    with home.instance() as instance:
        instance.add_run_tags(run_id, {PROVIDER: "qwen", MODEL: "qwen3:1.7b"})
    with FakeProvider() as fake:
        fake.script(*[text("It looks fine.")] * 9)
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", fake.hosts)
        with daemon_and_webserver(home) as ui:
            status, why = ui.run_with_tag(SUPERVISES)
            assert status == "SUCCESS", why
            runs = [run["runId"] for run in ui.ask("{ runsOrError { ... on Runs { results { runId jobName } } } }")
                    ["runsOrError"]["results"] if run["jobName"] == "supervise"]  # fmt: skip
            assert len(runs) == 3 and {ui.ended(run)[0] for run in runs} == {"SUCCESS"}
        assert len(fake.asked) == 3
    for training in trainings:
        (opinion,) = read_opinions(training)
        assert opinion.outcome.startswith("malformed: the answer is not JSON") and opinion.trigger == "gates"
