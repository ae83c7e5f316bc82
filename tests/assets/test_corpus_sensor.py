"""A corpus document that changes is read and checked again, and what was trained on the older one is stale."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hlx_assets.corpus.sensors import corpus, corpus_documents_changed
from hlx_assets.definitions import defs
from hlx_model.corpus.documents import kept_documents
from tests.support.dagster_home import Home
from tests.support.live_dagster import Ui, make_ui
from tests.support.waiting import PATIENCE

CORPORA = ("corpus_document", "corpus_examples", "english_corpus", "hlx_corpus", "paired_corpus")
MORE = '\nEnglish: Read the letters\nHLXL: {1000: {@0: "read", @1: &h_letters}}\n'
STALE = """query($keys: [AssetKeyInput!]) { assetNodes(assetKeys: $keys) {
  assetKey { path } staleStatus staleCauses { key { path } reason } } }"""
RUNS = "{ runsOrError { ... on Runs { results { jobName status tags { key value } } } } }"


def edit(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def two_ticks(home: Home, cursor: str | None = None) -> tuple[list[dg.RunRequest], str, str | None]:
    """What the second of two ticks returns: a changed file counts as saved."""
    return tick(home, tick(home, cursor)[2])


def tick(home: Home, cursor: str | None = None) -> tuple[list[dg.RunRequest], str, str | None]:
    """One tick of the sensor: its requests, why there is none, and its cursor."""
    with home.instance() as instance:
        context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs)
        found = corpus_documents_changed(context)
    if isinstance(found, dg.SkipReason):
        return [], found.skip_message or "", cursor
    assert isinstance(found, dg.SensorResult)
    reason = found.skip_reason.skip_message if isinstance(found.skip_reason, dg.SkipReason) else found.skip_reason
    return list(found.run_requests or []), reason or "", found.cursor


def test_nothing_is_requested_before_there_is_a_corpus(empty_home: Home) -> None:
    assert tick(empty_home)[:2] == ([], "corpus_document was never materialized: nothing to compare with")


def test_a_composed_corpus_has_no_file_to_watch(empty_home: Home) -> None:
    empty_home.materialize("corpus_document", corpus_document={"corpus": None, "entries": 50})
    assert tick(empty_home)[:2] == ([], "the corpus is composed: there is no file to watch")


def test_a_changed_document_requests_the_corpora_with_their_settings(empty_home: Home) -> None:
    document = empty_home.path / "small.md"
    edit(document, document.read_text())
    settings: dict[str, dict[str, Any]] = {
        "corpus_document": {"entries": 30, "seed": 4},
        "corpus_examples": {"seq_length": 200},
    }
    assert empty_home.materialize(*CORPORA, **settings).success
    requests, said, cursor = tick(empty_home)
    assert (requests, said) == ([], "1 documents, unchanged")

    edit(document, document.read_text() + MORE)
    (request,), _, cursor = two_ticks(empty_home, cursor)
    assert request.run_config["ops"] == {"corpus_examples": {"config": {"seq_length": 200}}}
    (again,), _, cursor = tick(empty_home, cursor)
    assert again.run_key == request.run_key  # which Dagster does not run twice

    with empty_home.instance() as instance:
        job = defs.resolve_job_def("corpus")
        result = job.execute_in_process(instance=instance, run_config=request.run_config, tags=request.tags)
    made = {event.asset_key.to_user_string() for event in result.get_asset_materialization_events() if event.asset_key}
    assert made == set(CORPORA)
    # The document, beside the entries and the seed that the home was set to.
    copied, composed = kept_documents(empty_home.latest("corpus_document"))
    assert (copied.source, composed.entries, composed.seed) == (str(document), 30, 4)
    checked = {evaluation.asset_key.to_user_string() for evaluation in result.get_asset_check_evaluations()}
    assert checked == set(CORPORA) - {"corpus_document"}
    assert tick(empty_home, cursor)[:2] == ([], f"the documents are unchanged since run {result.run_id[:8]}")

    # Back as it was: another change, and not the request of before.
    edit(document, document.read_text().removesuffix(MORE))
    (back,), _, _ = two_ticks(empty_home, cursor)
    assert back.run_key != request.run_key


def test_a_file_that_is_being_written_or_gone_is_waited_for(empty_home: Home) -> None:
    document = empty_home.path / "small.md"
    assert empty_home.materialize("corpus_document").success
    document.write_text(document.read_text() + MORE, encoding="utf-8")
    requests, said, cursor = tick(empty_home)
    assert requests == [] and said == f"{document} has just changed: waiting until it is written"
    document.write_text(document.read_text() + "\n", encoding="utf-8")
    assert tick(empty_home, cursor)[:2] == ([], said)  # it is still written
    document.unlink()
    requests, said, _ = tick(empty_home)
    assert requests == [] and said.startswith(f"{document} cannot be read (No such file or directory)")


def test_the_corpora_do_not_change_under_a_run_that_trains(empty_home: Home) -> None:
    document = empty_home.path / "small.md"
    assert empty_home.materialize("corpus_document").success
    edit(document, document.read_text() + MORE)
    with empty_home.instance() as instance:
        run = instance.create_run_for_job(defs.resolve_job_def("curriculum"), status=dg.DagsterRunStatus.STARTED)
    requests, said, cursor = two_ticks(empty_home)
    assert requests == [] and said.startswith(f"run {run.run_id[:8]} trains")
    with empty_home.instance() as instance:
        instance.report_run_failed(run)
    assert len(tick(empty_home, cursor)[0]) == 1


def test_a_change_is_seen_whatever_time_the_file_has(empty_home: Home) -> None:
    document = empty_home.path / "small.md"
    os.utime(document, (1.7e9, 1.7e9))
    assert empty_home.materialize("corpus_document").success
    _, said, cursor = tick(empty_home)
    assert said == "1 documents, unchanged"
    text = document.read_bytes()
    document.write_bytes(text.replace(b"search", b"sEarch", 1))
    assert len(document.read_bytes()) == len(text) and document.read_bytes() != text
    for seconds in (-3600, 0, 3600, 10**9):
        os.utime(document, (1.7e9 + seconds, 1.7e9 + seconds))
        assert len(two_ticks(empty_home, cursor)[0]) == 1
    for damaged in ("{", "[]", '{"small.md": 1}', "null"):
        assert len(two_ticks(empty_home, damaged)[0]) == 1


def failed(home: Home, request: dg.RunRequest) -> None:
    """Let the run of a request fail."""
    with home.instance() as instance:
        instance.report_run_failed(instance.create_run_for_job(defs.resolve_job_def("corpus"), tags=request.tags))


def test_a_request_whose_run_failed_is_repeated_three_times(empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    document = empty_home.path / "small.md"
    assert empty_home.materialize("corpus_document").success
    edit(document, document.read_text() + MORE)
    (request,), _, cursor = two_ticks(empty_home)
    keys, now = [request.run_key], time.time()
    for pause in (60, 600, 3600):
        failed(empty_home, request)
        requests, said, _ = tick(empty_home, cursor)
        assert requests == [] and "failed: it is repeated in" in said
        now += pause + 60
        monkeypatch.setattr("hlx_assets.corpus.sensors.time.time", lambda now=now: now)
        (request,), _, _ = tick(empty_home, cursor)
        keys.append(request.run_key)
    assert len(set(keys)) == 4
    failed(empty_home, request)
    monkeypatch.setattr("hlx_assets.corpus.sensors.time.time", lambda: now + 10**6)
    requests, said, _ = tick(empty_home, cursor)
    assert requests == [] and "failed, as 3 before it: see why there" in said


def test_a_request_whose_run_stopped_after_the_documents_is_repeated(
    empty_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = empty_home.path / "small.md"
    assert empty_home.materialize("corpus_document").success
    edit(document, document.read_text() + MORE)
    (request,), _, cursor = two_ticks(empty_home)
    with empty_home.instance() as instance:
        job, key = defs.resolve_job_def("corpus"), dg.AssetKey("corpus_document")
        ran = job.execute_in_process(
            instance=instance, run_config=request.run_config, tags=request.tags, asset_selection=[key]
        )
        run = instance.get_run_by_id(ran.run_id)
        assert ran.success and run is not None
        instance.report_run_failed(run)
    later = time.time() + 61
    monkeypatch.setattr("hlx_assets.corpus.sensors.time.time", lambda: later)
    (again,), _, _ = tick(empty_home, cursor)
    assert again.run_key != request.run_key and again.tags["hlx/request"] == request.tags["hlx/request"]


def test_a_cancelled_request_is_left_to_the_person(empty_home: Home) -> None:
    document = empty_home.path / "small.md"
    assert empty_home.materialize("corpus_document").success
    edit(document, document.read_text() + MORE)
    (request,), _, cursor = two_ticks(empty_home)
    with empty_home.instance() as instance:
        run = instance.create_run_for_job(defs.resolve_job_def("corpus"), tags=request.tags)
        instance.report_run_canceled(run)
    requests, said, _ = tick(empty_home, cursor)
    assert requests == [] and "was cancelled: materialize the corpus yourself" in said


def test_what_cannot_be_looked_up_is_a_skip_with_its_reason(empty_home: Home) -> None:
    document, key = empty_home.path / "small.md", dg.AssetKey("corpus_document")
    assert empty_home.materialize("corpus_document").success
    (kept,) = (path for path in (empty_home.path / "artifacts").rglob("*.md") if "dataset" not in path.parts)

    def said() -> str:
        requests, reason, _ = tick(empty_home)
        assert requests == [] and "\n" not in reason
        return reason

    document.unlink()
    os.mkfifo(document)  # reading it would wait for ever
    assert "it is no regular file" in said()
    document.unlink()
    document.mkdir()
    assert "it is no regular file" in said()
    for record in kept.parent.glob("*.json"):
        record.write_text("{")
    assert "nothing to compare with" in said() and "cannot be read" in said()
    shutil.rmtree(kept.parent)
    assert "is missing: materialize it again" in said()
    with empty_home.instance() as instance:
        for metadata in ({"artifact": "../../etc"}, {"artifact": ""}, {}):
            instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=metadata))
            assert said().startswith("nothing to compare with: ")
        instance.wipe_assets([key])
    assert said() == "corpus_document was never materialized: nothing to compare with"


def test_the_job_trains_nothing() -> None:
    job = defs.resolve_job_def(corpus.name)
    names = {node.name for node in job.nodes}
    assert set(CORPORA) <= names and not any("phase" in name for name in names)


@pytest.mark.slow
def test_an_edit_while_the_instance_runs_makes_the_old_checkpoints_stale(home: Home) -> None:
    document = home.path / "small.md"
    edit(document, document.read_text())
    assert home.materialize(*CORPORA).success  # the same version, now watched in this home
    with make_ui(home) as ui:
        assert stale(ui) == {"phase1_checkpoint": [], "phase2_checkpoint": [], "phase3_checkpoint": []}
        edit(document, document.read_text() + MORE)
        deadline = time.monotonic() + PATIENCE
        while not all(found := stale(ui).values()):
            assert time.monotonic() < deadline, found
            time.sleep(2)
        assert "english_corpus" in {name for name, _ in stale(ui)["phase1_checkpoint"]}
        assert "has a new data version" in str(stale(ui)["phase1_checkpoint"])
        launched = [run for run in ui.ask(RUNS)["runsOrError"]["results"] if run["jobName"] == "corpus"]
        assert len(launched) == 1
        tags = {tag["key"]: tag["value"] for tag in launched[0]["tags"]}
        assert tags["hlx/changed"] == str(document)


def stale(ui: Ui) -> dict[str, list[tuple[str, str]]]:
    """By checkpoint, why the UI shows it as out of date."""
    keys = [{"path": [f"phase{phase}_checkpoint"]} for phase in (1, 2, 3)]
    nodes = ui.ask(STALE, keys=keys)["assetNodes"]
    return {
        node["assetKey"]["path"][0]: [("/".join(c["key"]["path"]), c["reason"]) for c in node["staleCauses"]]
        for node in nodes
    }
