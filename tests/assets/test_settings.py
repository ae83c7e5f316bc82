"""Settings of the environment are checked before anything starts; a wrong one is refused in one line."""

import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from hlx_assets import ui
from hlx_assets.curriculum.run import run_configuration
from hlx_assets.settings import DagsterEnvironment
from hlx_model.environment import GRAPH_VARIABLES, Environment
from hlx_model.profiles import PROFILES
from tests.support.command import Hlx, runner
from tests.support.dagster_home import REPOSITORY, Home

WRONG = [
    ("HLX_WATCHDOG_SECONDS", "soon", "is 'soon': it must be seconds"),
    ("HLX_WATCHDOG_SECONDS", "0", "is '0': it must be seconds"),
    ("HLX_WATCHDOG_SECONDS", "0.5", "is '0.5': it must be seconds, a whole number above 0"),
    ("HLX_STALL_SECONDS", "inf", "is 'inf': it must be seconds"),
    ("HLX_REVALIDATION_CRON", "nonsense", "is 'nonsense': it must be a cron schedule"),
    ("HLX_TIMEZONE", "Atlantis", "is 'Atlantis': it must be a time zone"),
    ("HLX_REVALIDATION_DEVICE", "tpu", "is 'tpu': it must be cpu or cuda"),
    ("HLX_SAVE_SECONDS", "-3", "is '-3': it must be seconds, 0 or more"),
    ("HLX_PROFILE", "foo", "is 'foo': choose one of quick, production"),
    ("HLX_ENTRIES", "abc", "is 'abc': it must be a number of entries"),
    ("HLX_MOST_QUARANTINED", "2", "is '2': it must be a share from 0 to 1"),
    ("HLX_UI_URL", "https:/me:secret@host", "HLX_UI_URL: it must be an address"),
    ("HLX_ALERTS", "json://127.0.0.1/ nonsense://secret", "address 2 is none that Apprise knows"),
    ("HLX_POSTGRES_URL", "secret", "it must be an address of a Postgres"),
    ("HLX_POSTGRES_URL", "mysql://hlx:secret@127.0.0.1/hlx", "it must be an address of a Postgres"),
    ("HLX_POSTGRES_URL", "postgresql://hlx:secret@127.0.0.1", "it must be an address of a Postgres"),
    ("HLX_POSTGRES_URL", "postgresql://hlx:p@secret@127.0.0.1:1/d", "it must be an address of a Postgres"),
    ("HLX_POSTGRES_URL", "postgresql://hlx:p@secret:x@127.0.0.1/d", "it must be an address of a Postgres"),
    ("HLX_POSTGRES_URL", "postgresql://hlx:p@127.0.0.1:secret/d", "it must be an address of a Postgres"),
    ("HLX_POSTGRES_URL", "postgresql://hlx:secret@[::1/d", "it must be an address of a Postgres"),
    ("HLX_SITE", "https://hlx.example.org", "it must be host names, such as hlx.example.org"),
    ("HLX_API_TOKEN", "secret with spaces", "it must consist of printable ASCII characters without spaces"),
    ("HLX_BEHIND_PROXY", "yes", "is 'yes': it must be 1, 0 or empty"),
    ("HLX_ALLOWED_ORIGINS", "*", "is '*': it must be origins, with commas between, such as http://localhost:3000"),
    ("HLX_CENTER_PORT", "0", "is '0': it must be a port, from 1 to 65535"),
    ("HLX_CENTER_PORT", "65536", "is '65536': it must be a port"),
    ("HLX_CENTER_PORT", "5000x", "is '5000x': it must be a port"),
    ("HLX_BASELINES", "claude", "is 'claude': it must be models, with commas between them, such as claude/"),
    ("HLX_BASELINES", "qwen/a, /b", "is 'qwen/a, /b': it must be models"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    DagsterEnvironment.check()
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name) as raised:
        DagsterEnvironment.check()
    assert said in str(raised.value) and "secret" not in str(raised.value)
    monkeypatch.setenv(name, "")  # as compose sets a variable that its user does not set
    DagsterEnvironment.check()


def test_a_wrong_variable_does_not_matter_to_those_who_read_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_PROFILE", "foo")
    monkeypatch.setenv("HLX_STALL_SECONDS", "12")
    assert Environment.read("HLX_STALL_SECONDS").stall_seconds == 12
    with pytest.raises(ValueError, match="HLX_PROFILE"):
        Environment.read()


def test_the_profiles_of_the_environment_are_those_that_exist() -> None:
    assert get_args(Environment.model_fields["profile"].annotation) == tuple(PROFILES)


def test_every_variable_that_is_read_is_a_setting_and_documented() -> None:
    read = subprocess.run(
        ["git", "grep", "-ohE", r'"HLX_[A-Z_]+"', "--", "hlx_model", "hlx_assets"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {line.strip('"') for line in read.stdout.splitlines()}
    assert names == set(DagsterEnvironment.names())
    documented = (REPOSITORY / "docs" / "how-it-works.md").read_text(encoding="utf-8")
    assert names - {name for name in names if f"`{name}`" in documented} == {"HLX_RUN_ID"}  # Dagster sets it


@pytest.fixture
def make_ui(empty_home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hlx:
    """The program of `make ui`, run in this process up to the moment at which it would start its parts."""

    def started(*_: object) -> None:
        raise AssertionError("it started")

    monkeypatch.setattr(ui, "run", started)
    monkeypatch.chdir(empty_home.path)
    return runner(ui.main, "make ui", monkeypatch, capsys)


def test_make_ui_and_make_curriculum_name_a_wrong_setting_in_one_line(
    make_ui: Hlx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_REVALIDATION_CRON", "nonsense")
    refused = make_ui()
    assert refused.code == 1 and refused.err.startswith("error: HLX_REVALIDATION_CRON is 'nonsense'")
    # The graph, which this process has loaded, cannot be loaded with this setting.
    program = [sys.executable, "-m", "hlx_assets.curriculum"]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 1 and ran.stderr == refused.err


@pytest.mark.parametrize(
    ("home", "said"),
    [
        ("relative", "DAGSTER_HOME is 'relative': it must be an absolute path"),
        ("~/home", "DAGSTER_HOME is '~/home': it must be an absolute path"),
        ("./~", "DAGSTER_HOME is './~': it must be an absolute path"),
        ("/dev/null", "DAGSTER_HOME is /dev/null: it cannot be used (File exists): name a folder that you can write"),
        ("/dev/null/home", "DAGSTER_HOME is /dev/null/home: it cannot be used (Not a directory): name a folder"),
        ("/proc/home", "DAGSTER_HOME is /proc/home: it cannot be used (No such file or directory): name a folder"),
    ],
)
def test_a_home_that_cannot_be_used_is_one_line(
    make_ui: Hlx, monkeypatch: pytest.MonkeyPatch, home: str, said: str
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", home)
    refused = make_ui()
    assert refused.code == 1 and refused.err.count("\n") == 1 and refused.err.startswith(f"error: {said}")


def test_a_home_has_one_ui_at_a_time(empty_home: Home, make_ui: Hlx) -> None:
    with (empty_home.path / ".ui.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = make_ui()
    assert refused.code == 1
    assert refused.err.splitlines()[-1].startswith(f"error: another `make ui` runs on {empty_home.path}: stop")


def test_a_port_that_is_in_use_is_refused_before_anything_is_started(make_ui: Hlx) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = make_ui("-p", port)
    assert refused.code == 1
    assert refused.err == f"error: port {port} is in use: name another, or leave -p out\n"


def test_a_ui_that_strangers_can_reach_needs_a_token(make_ui: Hlx) -> None:
    refused = make_ui("-h", "0.0.0.0")
    assert refused.code == 1
    (line,) = refused.err.splitlines()
    assert line.startswith("error: to listen on 0.0.0.0 needs HLX_API_TOKEN")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("-h", "no-such-host.invalid"),
            "no free port on no-such-host.invalid: name an address of this machine with -h",
        ),
        (("-p", "70000"), "--port is 70000: it must be from 1 to 65535"),
        (("--read-only",), "unrecognized arguments: --read-only"),
    ],
)
def test_an_impossible_address_is_refused_in_one_line(
    make_ui: Hlx, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("HLX_API_TOKEN", "secret")
    refused = make_ui(*arguments)
    assert refused.code in (1, 2) and refused.err.splitlines()[-1].endswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("resources: {io_manager: {config: {gates: {}, judged: {}}}}", "unexpected config entries"),
        ("ops: {phase1_checkpoint: {config: {ungated: true}}}", 'unexpected config entry "ungated"'),
        ("execution: {config: {retries: {enabled: {}}}}", 'unexpected config entry "retries"'),
        ("[1, 2]", "it must be a mapping"),
        ("just text", "it must be a mapping"),
        ("ops: {", "expected the node content"),
        ("loggers: [1]", "Value at path root:loggers must be dict"),
        ("ops: {phase1_checkpoint: {config: {larning_rate: 1}}}", 'unexpected config entry "larning_rate"'),
        ("opps: {}", 'unexpected config entry "opps"'),
        ("ops: {phase1_checkpoint: {config: {lr: 1e-4x}}}", "1e-4x"),
        ("!!python/object:os.system {}", "could not determine a constructor"),
        ("a: " + "[" * 5000, "run.yaml"),
        ("\0", "unacceptable character"),
        (None, "it cannot be read (No such file or directory)"),
    ],
)
def test_run_configuration_that_is_refused_is_one_line(empty_home: Home, content: str | None, said: str) -> None:
    path = empty_home.path / "run.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        run_configuration(path)
    line = str(ended.value.code)
    assert line.startswith(f"error: --config {path}: ") and said in line and "\n" not in line and len(line) < 700


def test_run_configuration_may_come_from_a_pipe_and_not_from_a_device(empty_home: Home) -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        file.write("\ufeffops: {phase1_checkpoint: {config: {epochs: 3}}}")
    assert run_configuration(Path(f"/dev/fd/{read}"))["ops"]["phase1_checkpoint"]["config"] == {"epochs": 3}
    os.close(read)
    with pytest.raises(SystemExit, match=r"--config /dev/zero: it cannot be read \(a device, not a file\)"):
        run_configuration(Path("/dev/zero"))


@pytest.mark.parametrize("number", ["1e-4", "1E-4", "1.0e-4", ".1e-3", "+1e-4", "0.0001"])
def test_a_number_of_the_run_configuration_is_a_number(empty_home: Home, number: str) -> None:
    path = empty_home.path / "run.yaml"
    path.write_text(f"ops: {{phase1_checkpoint: {{config: {{lr: {number}}}}}}}")
    assert run_configuration(path)["ops"]["phase1_checkpoint"]["config"]["lr"] == 0.0001


def test_run_configuration_keeps_the_short_lines(empty_home: Home) -> None:
    path = empty_home.path / "run.yaml"
    path.write_text("execution: {config: {}}\nops: {phase1_checkpoint: {config: {epochs: 3}}}")
    assert run_configuration(path)["loggers"] == run_configuration(None)["loggers"] == {"console": {}}


def test_hlx_doctor_knows_the_names_of_all_variables() -> None:
    assert [*Environment.names(), *GRAPH_VARIABLES] == DagsterEnvironment.names()
