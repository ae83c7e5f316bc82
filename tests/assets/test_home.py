"""A home gets the settings of this version; a storage that the environment contradicts is refused by every entry."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._utils.tags import TagConcurrencyLimitsCounter

from hlx_assets.curriculum.session import CHAIN, SESSION
from hlx_assets.dagster_internals import pool_limit, tag_limit
from hlx_assets.home import POSTGRES, SHIPPED, open_home, prepare, require_storage, shipped_settings, with_limits
from hlx_assets.settings import POSTGRES_URL, TRAINER
from tests.support.dagster_home import REPOSITORY, Home

URL = "postgresql://hlx:secret@127.0.0.1:1/hlx"
OLDER = "older: settings\n"
WITH_STORAGE = """
storage:
  custom:
    module: hlx_assets.storage
    class: Storage
    config:
      base_dir: {env: DAGSTER_HOME}
"""


@pytest.fixture
def settings(empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The `dagster.yaml` of a home, as an older version left it."""
    for text in (OLDER, OLDER + WITH_STORAGE):
        monkeypatch.setitem(SHIPPED, hashlib.sha256(text.encode()).hexdigest(), "0.0.1")
    path = empty_home.path / "dagster.yaml"
    path.write_text(OLDER + WITH_STORAGE, encoding="utf-8")
    return path


def test_every_version_that_was_ever_shipped_is_known() -> None:
    def git(*arguments: str) -> bytes:
        return subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, check=True).stdout

    file = "dagster_home/dagster.yaml"
    commits = git("log", "--format=%H", "--", file).decode().split()
    versions = {hashlib.sha256(git("show", f"{commit}:{file}")).hexdigest() for commit in commits}
    current = hashlib.sha256((REPOSITORY / file).read_bytes()).hexdigest()
    assert versions - {current} <= SHIPPED.keys() and current not in SHIPPED


@pytest.mark.parametrize("url", [None, URL])
def test_a_new_home_gets_the_settings_that_the_environment_means(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url:
        monkeypatch.setenv(POSTGRES_URL, url)
    assert prepare(tmp_path / "new" / "home") == []
    written = (tmp_path / "new" / "home" / "dagster.yaml").read_text(encoding="utf-8")
    assert written == shipped_settings(postgres=url is not None)
    assert ("storage" in yaml.safe_load(written)) == (url is not None)


def test_a_home_runs_one_session_at_a_time_and_beside_it_what_is_none(empty_home: Home) -> None:
    english = dg.DagsterRun(job_name="curriculum", tags={SESSION: "English", CHAIN: "a"})
    with empty_home.instance() as instance:
        limits = instance.get_concurrency_config().run_queue_config
    assert limits is not None
    counter = TagConcurrencyLimitsCounter(limits.tag_concurrency_limits, [english])
    tags: list[dict[str, str]] = [{SESSION: "HLX"}, {CHAIN: "a"}, {CHAIN: "b"}, {}]
    blocked = [counter.is_blocked(dg.DagsterRun(job_name="curriculum", tags=tag)) for tag in tags]
    assert blocked == [True, True, False, False]


def limits(home: Home) -> tuple[int | None, int | None, int | None]:
    """The sessions, runs and trainings that may run at once."""
    with open_home(report=False) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None and tag_limit(instance, CHAIN) == 1
        return tag_limit(instance, SESSION), queue.max_concurrent_runs, pool_limit(instance, "training")


@pytest.mark.parametrize(
    "trainer",
    ["local gpus=3", "slurm gpus=1 trainings=3", "kubernetes namespace=hlx image=hlx:1 claim=home trainings=3"],
)
def test_a_home_has_the_limits_that_the_trainer_means(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch, trainer: str
) -> None:
    settings = empty_home.path / "dagster.yaml"
    assert limits(empty_home) == (1, 3, 1)
    monkeypatch.setenv(TRAINER, trainer)
    assert prepare(empty_home.path) == [f"{settings}: trainings at once are 3 now, and were 1"]
    assert limits(empty_home) == (3, 5, 3) and prepare(empty_home.path) == []
    monkeypatch.setenv(TRAINER, "slurm gpus=1")
    assert prepare(empty_home.path) == [] and limits(empty_home) == (3, 5, 3), "it does not say, so they stay"
    monkeypatch.setenv(TRAINER, "local gpus=1")
    assert limits(empty_home) == (1, 3, 1)
    assert settings.read_text(encoding="utf-8") == shipped_settings(postgres=False)
    assert [path.name for path in empty_home.path.glob("dagster.yaml*")] == ["dagster.yaml"]


@pytest.mark.parametrize("url", [None, URL])
def test_a_new_home_has_the_limits_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str | None) -> None:
    monkeypatch.setenv(TRAINER, "local gpus=2")
    if url:
        monkeypatch.setenv(POSTGRES_URL, url)
    assert prepare(tmp_path) == prepare(tmp_path) == []
    written = (tmp_path / "dagster.yaml").read_text(encoding="utf-8")
    assert written == with_limits(shipped_settings(postgres=url is not None), 2) and "session, limit: 2}" in written


def test_an_older_file_keeps_its_number_of_trainings(empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    older = shipped_settings(postgres=False) + "# older\n"
    monkeypatch.setitem(SHIPPED, hashlib.sha256(older.encode()).hexdigest(), "0.0.1")
    settings = empty_home.path / "dagster.yaml"
    settings.write_text(with_limits(older, 4), encoding="utf-8")
    (line,) = prepare(empty_home.path)
    assert "was of version 0.0.1 and is replaced" in line
    assert settings.read_text(encoding="utf-8") == with_limits(shipped_settings(postgres=False), 4)


@pytest.mark.parametrize("edit", [("limit: 1}      #", "limit: 2}      #"), ("enabled: true   ", "enabled: false  ")])
def test_an_edited_file_keeps_its_limits_and_one_line_says_what_to_write(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch, edit: tuple[str, str]
) -> None:
    settings = empty_home.path / "dagster.yaml"
    edited = shipped_settings(postgres=False).replace(*edit)
    assert edited != shipped_settings(postgres=False)
    settings.write_text(edited, encoding="utf-8")
    assert prepare(empty_home.path) == []
    monkeypatch.setenv(TRAINER, "local gpus=3")
    (line,) = prepare(empty_home.path)
    assert (
        "was edited, and does not let as many trainings run at once as HLX_TRAINER" in line
        and "max_concurrent_runs: 5" in line
    )
    assert settings.read_text(encoding="utf-8") == edited


@pytest.mark.parametrize("url", [None, URL])
def test_an_older_file_that_nobody_edited_is_replaced_and_a_copy_stays(
    settings: Path, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    before = settings.read_text(encoding="utf-8")
    if url:
        monkeypatch.setenv(POSTGRES_URL, url)
    (line,) = prepare(settings.parent)
    assert "was of version 0.0.1 and is replaced" in line
    assert settings.read_text(encoding="utf-8") == shipped_settings(postgres=url is not None)
    assert settings.with_name("dagster.yaml.0.0.1").read_text(encoding="utf-8") == before
    assert prepare(settings.parent) == []


def test_an_edited_file_stays_and_one_line_names_what_it_lacks(settings: Path) -> None:
    edited = yaml.safe_load(shipped_settings(postgres=False))
    del edited["freshness"], edited["concurrency"]["pools"]["default_limit"]
    settings.write_text(yaml.safe_dump(edited) + WITH_STORAGE, encoding="utf-8")
    before = settings.read_text(encoding="utf-8")
    (line,) = prepare(settings.parent)
    assert line.startswith(f"{settings} was edited, and lacks concurrency.pools.default_limit, freshness: see")
    assert settings.read_text(encoding="utf-8") == before and len(list(settings.parent.glob("dagster.yaml*"))) == 1


def test_the_line_on_an_edited_file_is_written_once(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings.write_text("telemetry: {enabled: false}\n", encoding="utf-8")
    with open_home():
        assert "was edited, and lacks" in capsys.readouterr().err
    with open_home(report=False):  # as the webserver that `make ui` starts
        assert capsys.readouterr().err == ""


def test_a_file_that_cannot_be_replaced_is_used_as_it_is(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, text: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("hlx_assets.home.write_text", refuse)
    (line,) = prepare(settings.parent)
    assert line.endswith("cannot be replaced (Permission denied): it is used as it is")


def test_postgres_in_the_environment_needs_it_in_the_file(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.write_text(OLDER, encoding="utf-8")  # of SQLite: its history must not disappear
    monkeypatch.setenv(POSTGRES_URL, URL)
    with pytest.raises(ValueError, match="is not for Postgres") as raised:
        prepare(settings.parent)
    assert POSTGRES in str(raised.value) and "secret" not in str(raised.value)
    assert settings.read_text(encoding="utf-8") == OLDER
    settings.write_text(f"{shipped_settings(postgres=False)}{POSTGRES}\n", encoding="utf-8")
    assert prepare(settings.parent) == []


def test_postgres_in_the_file_needs_it_in_the_environment(settings: Path) -> None:
    settings.write_text(shipped_settings(postgres=True), encoding="utf-8")
    with pytest.raises(ValueError, match=f"is for Postgres, and {POSTGRES_URL} is not set"):
        require_storage(settings.parent)


@pytest.mark.parametrize("content", ["[1, 2]", "a: {", "text"])
def test_a_file_that_is_no_settings_is_one_line(settings: Path, content: str) -> None:
    settings.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=str(settings)) as raised:
        prepare(settings.parent)
    assert "\n" not in str(raised.value)


ENTRIES = {
    "make curriculum": ["-m", "hlx_assets.curriculum"],
    "make ui": ["-m", "hlx_assets.ui"],
    "webserver": ["-m", "hlx_assets.webserver", "-w", str(REPOSITORY / "workspace.yaml")],
    "container": ["-m", "hlx_assets.home", "true"],
    "code location": ["-m", "dagster", "definitions", "validate", "-m", "hlx_assets.definitions"],
}


@pytest.mark.parametrize("program", ENTRIES.values(), ids=ENTRIES)
def test_every_entry_refuses_a_home_of_another_storage(empty_home: Home, program: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", *program],
        cwd=empty_home.path, env={**os.environ, POSTGRES_URL: URL}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 1
    (line,) = [line for line in (ran.stdout + ran.stderr).splitlines() if "is not for Postgres" in line]
    assert str(empty_home.path / "dagster.yaml") in line
    if "dagster" not in program:
        assert ran.stderr == f"{line}\n" and line.startswith(f"error: {POSTGRES_URL} is set, and ")


def test_a_container_prepares_its_home_and_becomes_its_program(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "hlx_assets.home", sys.executable, "-c", "print('here')"]
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path / "home")}
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60)
    assert ran.stdout == "here\n" and (tmp_path / "home" / "dagster.yaml").exists(), ran.stderr


@pytest.mark.parametrize(("home", "said"), [("", "DAGSTER_HOME is not set"), ("here", "must be an absolute path")])
def test_a_home_that_is_missing_or_relative_is_one_line(tmp_path: Path, home: str, said: str) -> None:
    environment = {**os.environ, "DAGSTER_HOME": home}
    program = [sys.executable, "-m", "hlx_assets.home"]
    ran = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 1 and said in ran.stderr and len(ran.stderr.splitlines()) == 1


def test_a_home_keeps_its_runs_when_its_settings_are_replaced(settings: Path, empty_home: Home) -> None:
    settings.write_text(shipped_settings(postgres=False) + WITH_STORAGE, encoding="utf-8")
    run_id = empty_home.materialize("corpus_document").id
    databases = sorted(empty_home.path.rglob("*.db"))
    settings.write_text(OLDER + WITH_STORAGE, encoding="utf-8")
    assert prepare(empty_home.path)
    with dg.DagsterInstance.get() as instance:
        assert [run.run_id for run in instance.get_runs()] == [run_id]
    assert sorted(empty_home.path.rglob("*.db")) == databases != []
