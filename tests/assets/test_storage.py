"""Runs and events are kept where the environment says: SQLite in DAGSTER_HOME, or a real Postgres."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import click
import pytest
import yaml

from hlx_assets.storage import POSTGRES_URL, postgres
from hlx_assets.ui import free_port
from tests.assets.conftest import Home
from tests.system import program

PASSWORD = "a/b@c:d%e"
"""Of what an address has to escape."""
FOUND_AGAIN = """
import json, dagster as dg
with dg.DagsterInstance.get() as instance:
    event = instance.get_latest_materialization_event(dg.AssetKey("corpus_examples"))
    runs = {run.run_id: run.status.value for run in instance.get_runs()}
    print(json.dumps({"runs": runs, "made_by": event and event.run_id}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a Postgres of this test's own, which asks for a password."""
    binaries, port = Path(program("initdb")).parent, free_port(0)
    # It refuses to be run by root, and pytest's own folders are shut to others.
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="hlx-postgres-") as folder:
        data, secret = Path(folder) / "data", Path(folder) / "password"
        secret.write_text(PASSWORD)
        if become:
            for path in (folder, secret):
                shutil.chown(path, "postgres")

        def run(name: str, *arguments: str) -> None:
            command = [*become, str(binaries / name), "--pgdata", str(data), *arguments]
            with (Path(folder) / "output").open("ab") as output:
                subprocess.run(command, cwd="/", stdout=output, stderr=output, check=True)

        run("initdb", "--username=hlx", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-locale", "--encoding=UTF8")
        run("pg_ctl", "start", "--wait", "--options", f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -F")
        try:
            yield f"postgresql://hlx:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=fast")


def found_again(home: Home) -> dict[str, object]:
    """What another process finds in the storage of a home."""
    # Not in the project's folder, whose `.env` names another home.
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FOUND_AGAIN], cwd=home.path, capture_output=True, text=True, check=True
    )
    found: dict[str, object] = json.loads(result.stdout)
    return found


@pytest.mark.system
def test_runs_and_materializations_are_kept_in_postgres(
    empty_home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_URL, server)
    run = empty_home.materialize("corpus_document", "corpus_examples")
    assert run.success, run.failures

    run_id = run.result.run_id
    assert found_again(empty_home) == {"runs": {run_id: "SUCCESS"}, "made_by": run_id}
    assert not list(empty_home.path.rglob("*.db"))
    assert list((empty_home.path / "artifacts").iterdir())
    with empty_home.instance() as instance:
        assert PASSWORD not in instance.info_str() and quote(PASSWORD, safe="") not in instance.info_str()

    monkeypatch.delenv(POSTGRES_URL)
    assert found_again(empty_home) == {"runs": {}, "made_by": None}


@pytest.mark.system
def test_a_pool_in_postgres_is_a_mutex_whose_slot_is_freed(
    empty_home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_URL, server)
    with empty_home.instance() as instance:
        log = instance.event_log_storage
        log.initialize_concurrency_limit_to_default("training")
        assert log.claim_concurrency_slot("training", "one", "step").is_claimed
        assert not log.claim_concurrency_slot("training", "two", "step").is_claimed
        log.free_concurrency_slots_for_run("one")
        assert log.claim_concurrency_slot("training", "two", "step").is_claimed


@pytest.mark.parametrize("url", [None, " "])
def test_without_an_address_an_older_home_goes_on_in_its_own_files(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    settings = empty_home.path / "dagster.yaml"
    now = settings.read_text(encoding="utf-8")
    older = {key: value for key, value in yaml.safe_load(now).items() if key != "storage"}
    settings.write_text(yaml.safe_dump(older), encoding="utf-8")
    if url is None:
        monkeypatch.delenv(POSTGRES_URL, raising=False)
    else:
        monkeypatch.setenv(POSTGRES_URL, url)
    run_id = empty_home.materialize("corpus_document").result.run_id
    before = sorted(empty_home.path.rglob("*.db"))

    settings.write_text(now, encoding="utf-8")
    with empty_home.instance() as instance:
        assert [run.run_id for run in instance.get_runs()] == [run_id]
    assert sorted(empty_home.path.rglob("*.db")) == before != []


@pytest.mark.parametrize("url", ["secret", "mysql://hlx:secret@127.0.0.1/hlx", "postgresql://hlx:secret@127.0.0.1"])
def test_what_is_no_address_of_a_postgres_is_told_in_one_line_without_its_password(empty_home: Home, url: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "dagster", "instance", "info"],
        cwd=empty_home.path,
        env={**os.environ, POSTGRES_URL: url},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"Error: {POSTGRES_URL} is no address of a Postgres") and "secret" not in line


def test_without_dagster_postgres_the_line_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dagster_postgres", None)
    with pytest.raises(click.ClickException, match=r"pip install .* -e '.\[assets,postgres\]'"):
        postgres("postgresql://hlx:secret@127.0.0.1/hlx")


def test_a_server_that_is_not_there_is_one_line_without_its_password() -> None:
    with pytest.raises(click.ClickException, match=f"{POSTGRES_URL}: .*refused.*: start the server") as raised:
        postgres(f"postgresql://hlx:secret@127.0.0.1:{free_port(0)}/hlx")
    assert "\n" not in raised.value.message and "secret" not in raised.value.message
