"""What an alert contains, and how often it is sent: real runs, and a server that takes the place of the address."""

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hlx_assets.settings import DagsterEnvironment
from hlx_assets.watchdog.alert_record import recorded_alerts
from hlx_assets.watchdog.alerts import Alert, Cursor, Notifier, main
from hlx_assets.watchdog.incidents import incidents
from tests.support.dagster_home import SETTINGS, Home, revalidated

LOST = {**SETTINGS["phase1_checkpoint"], "lr": 10.0}


class Log(logging.Logger):
    """Keeps what was logged."""

    def __init__(self) -> None:
        super().__init__("alerts")
        self.lines: list[str] = []

    def handle(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Server(HTTPServer):
    """Takes what is posted to it."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def address(self) -> str:
        """The address as Apprise writes it."""
        return f"json://127.0.0.1:{self.server_port}/hook"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        assert isinstance(self.server, Server)
        self.server.taken.append(json.loads(content))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose address is in `HLX_ALERTS`."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HLX_ALERTS", server.address)
        yield server
        server.shutdown()
        thread.join()


STALL = Alert("phase1_checkpoint", "no progress for 312 seconds: look at the machine", "0123", "89abcdef")


def test_a_problem_is_sent_once_until_it_has_recovered(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HLX_UI_URL", "http://here:3000/")
    notifier = Notifier({}, Log(), tmp_path)
    again = Alert("phase1_checkpoint", "no progress for 372 seconds: look at the machine", "4567")
    other = Alert("phase1_checkpoint", "somebody cancelled the run", "4567", cancelled=True)
    well = Alert("phase1_checkpoint", None, "89ab")
    assert [notifier.notify(alert) for alert in (STALL, again, other, well, well, again)] == [
        True, False, True, True, False, True,
    ]  # fmt: skip
    assert [message["title"] for message in server.taken] == [
        "HLX Brain: phase1_checkpoint has a problem", "HLX Brain: phase1_checkpoint was cancelled",
        "HLX Brain: phase1_checkpoint has recovered", "HLX Brain: phase1_checkpoint has a problem",
    ]  # fmt: skip
    assert server.taken[0]["message"] == f"{STALL.problem}\ntraining 89abcdef, http://here:3000/runs/0123"


def test_what_was_sent_is_remembered_from_tick_to_tick(tmp_path: Path) -> None:
    first = Notifier({}, Log(), tmp_path)
    assert first.notify(STALL)
    cursor = Cursor.load(Cursor(sent=first.sent, since=12.5).dump(), Log())
    assert not Notifier(cursor.sent, Log(), tmp_path).notify(STALL) and cursor.since == 12.5


def test_a_cursor_of_version_0_1_0_is_understood(tmp_path: Path) -> None:
    cursor = json.dumps({"told": {STALL.subject: STALL.fingerprint}, "since": 12.5})
    loaded = Cursor.load(cursor, Log())
    assert not Notifier(loaded.sent, Log(), tmp_path).notify(STALL) and loaded.since == 12.5


@pytest.mark.parametrize("text", ["{", "[]", '{"told": 1}', '{"since": "yesterday"}', '{"later": 1}', "\0"])
def test_a_damaged_cursor_is_logged_and_begins_anew(text: str) -> None:
    log = Log()
    assert Cursor.load(text, log).sent == {}
    assert "the cursor of the watchdog is damaged" in log.lines[0]


def test_without_an_address_an_alert_is_in_the_log_and_on_record(tmp_path: Path) -> None:
    log = Log()
    assert Notifier({}, log, tmp_path).notify(STALL)
    assert log.lines == [f"HLX Brain: phase1_checkpoint has a problem: {STALL.problem} training 89abcdef, run 0123"]
    (found,) = recorded_alerts(tmp_path, limit=10)
    assert (found.subject, found.problem, found.run_id, found.training_id) == (
        STALL.subject, STALL.problem, "0123", "89abcdef",
    )  # fmt: skip


def test_an_address_that_does_not_answer_is_logged_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HLX_ALERTS", "json://user:secret@127.0.0.1:9/ nonsense://secret")
    log = Log()
    assert Notifier({}, log, tmp_path).notify(STALL)
    assert log.lines[1:] == [
        "HLX_ALERTS: address 1 did not accept the message",
        "HLX_ALERTS: address 2 is none that Apprise knows",
    ]


@pytest.mark.parametrize(
    "address",
    ["https:/hooks.example/secret", "mailto:me:secret@example.org", "secret", "jso://secret", "json:///secret"],
)
def test_no_part_of_an_address_is_shown(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    address: str,
) -> None:
    monkeypatch.setenv("HLX_ALERTS", address)
    log = Log()
    assert Notifier({}, log, tmp_path).notify(STALL)
    try:
        DagsterEnvironment.check()
    except ValueError as error:
        log.lines.append(str(error))
    assert main([]) == 1
    shown = capfd.readouterr()
    assert "secret" not in "".join([*log.lines, caplog.text, shown.out, shown.err])
    assert any("address 1" in line for line in log.lines)


def test_addresses_that_hang_share_one_bound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with ExitStack() as open_ports:
        # They accept connections, and never answer.
        silent = [open_ports.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(5)]
        monkeypatch.setenv("HLX_ALERTS", " ".join(f"json://127.0.0.1:{one.getsockname()[1]}/" for one in silent))
        monkeypatch.setattr("hlx_assets.watchdog.alerts.SECONDS", 0.5)
        log = Log()
        assert Notifier({}, log, tmp_path).notify(STALL)
        assert log.lines[1:] == [f"HLX_ALERTS: address {n} did not answer in time" for n in range(1, 6)]


def test_a_test_alert_says_which_address_accepted_it(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    assert [message["title"] for message in server.taken] == ["HLX Brain: a test"]
    monkeypatch.setenv("HLX_ALERTS", f"{server.address} json://user:secret@127.0.0.1:9/")
    assert main([]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "HLX_ALERTS: address 1 accepted the message",
        "HLX_ALERTS: address 1 accepted the message",
        "HLX_ALERTS: address 2 did not accept the message",
    ]
    monkeypatch.delenv("HLX_ALERTS")
    with pytest.raises(SystemExit, match="HLX_ALERTS names no address"):
        main([])


def test_help_and_a_mistake_send_nothing(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code in ((["--help"], 0), (["-h"], 0), (["somebody@example.org"], 2)):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        assert ended.value.code == code and "usage: python -m hlx_assets.watchdog.alerts [-h]" in out + err
    assert server.taken == []


def found(home: Home, since: float) -> tuple[float, list[Alert]]:
    """The alerts of the runs that have ended since a time, and the end of the last one."""
    with home.instance() as instance:
        alerts = list(incidents(instance, since))
    return max(time for time, _ in alerts), [alert for _, alert in alerts]


def test_a_stopped_training_a_closed_gate_and_a_recovery_are_alerts(home: Home) -> None:
    since, before = found(home, 0.0)
    assert {alert.problem for alert in before} == {None}

    home.materialize("phase1_checkpoint", "phase1_validation_report", phase1_checkpoint=LOST)
    since, (stopped, *others) = found(home, since)
    assert stopped.subject == "phase1_checkpoint"
    assert (stopped.problem or "").startswith("its training was stopped: training loss diverged")
    assert others == [] and stopped.training_id

    assert not home.materialize("phase2_checkpoint").success
    since, (closed,) = found(home, since)
    assert closed.subject == "phase2_checkpoint"
    assert (closed.problem or "").startswith("the gate of phase1_STOPPED_epoch1 is closed: training_completed")

    assert home.materialize("phase1_checkpoint", "phase1_validation_report").success
    since, recovered = found(home, since)
    assert {(alert.subject, alert.problem) for alert in recovered} == {
        ("phase1_checkpoint", None), ("phase1_validation_report", None),
    }  # fmt: skip


def test_a_failed_revalidation_closes_its_gate_again_and_is_an_alert(home: Home) -> None:
    since, _ = found(home, 0.0)
    for weights in home.path.glob("artifacts/training/*/checkpoints/phase[13]_FINAL*/model.safetensors"):
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    with home.instance() as instance:
        assert not revalidated(instance).success
    _, alerts = found(home, since)
    for phase, failed in zip((1, 3), alerts, strict=True):
        assert failed.subject == f"phase{phase}_validation_report"
        assert f"phase{phase}_FINAL" in (failed.problem or "")
    run = home.materialize("phase2_checkpoint")
    assert not run.success


def killed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """As Dagster's own monitoring ends a run whose worker died."""
    instance.report_run_failed(run, "Run worker process was ended by signal 9.")


def test_an_input_that_was_never_made_is_no_alert(empty_home: Home) -> None:
    assert not empty_home.materialize("phase2_validation_report").success
    with empty_home.instance() as instance:
        assert list(incidents(instance, 0.0)) == []


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (dg.DagsterInstance.report_run_canceled, "somebody cancelled the run: materialize again to resume"),
        (killed, "the run ended: Run worker process was ended by signal 9: materialize again to resume"),
    ],
)
def test_a_cancelled_run_and_a_killed_worker_are_alerts(
    empty_home: Home, end: Callable[[dg.DagsterInstance, dg.DagsterRun], object], said: str
) -> None:
    with empty_home.instance() as instance:
        run = dg.DagsterRun(job_name="curriculum", status=dg.DagsterRunStatus.STARTED)
        instance.add_run(run)
        end(instance, run)
    _, (alert,) = found(empty_home, 0.0)
    assert (alert.subject, alert.problem, alert.cancelled) == ("curriculum", said, "cancelled" in said)
