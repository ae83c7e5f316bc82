"""Runs and events in a real Postgres, by `dagster.yaml` and `HLX_POSTGRES_URL`. (SQLite: every other test.)"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from hlx_assets.home import open_home, prepare, shipped_settings
from hlx_assets.settings import POSTGRES_URL
from hlx_assets.ui import free_port
from tests.support.dagster_home import Home
from tests.support.postgres import PASSWORD, postgres

FOUND_AGAIN = """
import json, dagster as dg
with dg.DagsterInstance.get() as instance:
    event = instance.get_latest_materialization_event(dg.AssetKey("corpus_examples"))
    runs = {run.run_id: run.status.value for run in instance.get_runs()}
    print(json.dumps({"runs": runs, "made_by": event and event.run_id}))
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a Postgres of these tests' own, which requires a password."""
    with postgres() as address:
        yield address


def postgres_home(home: Home, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a home be one on Postgres."""
    monkeypatch.setenv(POSTGRES_URL, server)
    (home.path / "dagster.yaml").write_text(shipped_settings(postgres=True), encoding="utf-8")
    assert prepare(home.path) == []


def found_again(home: Home) -> dict[str, object]:
    """Return what another process finds in the storage of a home."""
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
    postgres_home(empty_home, server, monkeypatch)
    run = empty_home.materialize("corpus_document", "corpus_examples")
    assert run.success, run.failures

    run_id = run.id
    assert found_again(empty_home) == {"runs": {run_id: "SUCCESS"}, "made_by": run_id}
    assert not list(empty_home.path.rglob("*.db"))
    assert list((empty_home.path / "artifacts").iterdir())
    with empty_home.instance() as instance:
        assert PASSWORD not in instance.info_str() and quote(PASSWORD, safe="") not in instance.info_str()


@pytest.mark.system
def test_a_pool_in_postgres_is_a_mutex_whose_slot_is_freed(
    empty_home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_home(empty_home, server, monkeypatch)
    with empty_home.instance() as instance:
        log = instance.event_log_storage
        log.initialize_concurrency_limit_to_default("training")
        assert log.claim_concurrency_slot("training", "one", "step").is_claimed
        assert not log.claim_concurrency_slot("training", "two", "step").is_claimed
        log.free_concurrency_slots_for_run("one")
        assert log.claim_concurrency_slot("training", "two", "step").is_claimed


@pytest.mark.system
def test_the_storage_of_version_0_1_0_is_postgres_if_its_url_is_set(
    empty_home: Home, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    custom = {"module": "hlx_assets.storage", "class": "Storage", "config": {"base_dir": {"env": "DAGSTER_HOME"}}}
    (empty_home.path / "dagster.yaml").write_text(yaml.safe_dump({"storage": {"custom": custom}}), encoding="utf-8")
    monkeypatch.setenv(POSTGRES_URL, server)
    assert empty_home.materialize("corpus_document").success
    assert not list(empty_home.path.rglob("*.db"))


def test_a_server_that_does_not_answer_is_one_line_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_URL, f"postgresql+psycopg2://hlx:secret@127.0.0.1:{free_port(0)}/hlx")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    with pytest.raises(SystemExit) as ended, open_home():
        pass
    line = str(ended.value.code)
    assert line.startswith(f"error: {POSTGRES_URL}: ") and "refused" in line and line.endswith("correct the address")
    assert "\n" not in line and "secret" not in line


def test_without_dagster_postgres_the_line_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(POSTGRES_URL, "postgresql://hlx:secret@127.0.0.1/hlx")
    monkeypatch.setattr("hlx_assets.home.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install .* -e '.\[assets,postgres\]'"):
        prepare(tmp_path)
