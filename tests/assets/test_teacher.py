"""The assets of a teacher: off unless one is named, a document at the end, and nothing is sent twice."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from hlx_assets.definitions import definitions, defs
from hlx_model.corpus.documents import read_corpus
from hlx_model.files import read_json
from hlx_model.layout import QUARANTINE, TAUGHT, WRITTEN
from tests.support.command import Hlx
from tests.support.dagster_home import Home, Run
from tests.support.fake_provider import FakeProvider, content, does, status

ASSETS = ["teacher_requests", "teacher_proposals", "teacher_document"]


def answer(system: str, user: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A good sentence for each entry of a teacher's question but the first; a judge that says no to one of them."""
    lines = [json.loads(line) for line in user.splitlines() if line.startswith("{")]
    if "other" in lines[0]:
        return {"entries": [{"id": line["id"], "same": "no" if n == 1 else "yes"} for n, line in enumerate(lines)]}
    other = {"Search for": "Look for the", "Read the": "Have a look into the", "Clear all": "Empty out the"}
    said = [re.sub("|".join(other), lambda found: other[found[0]], line["sentence"]) for line in lines]
    return {"entries": [{"id": line["id"], "english": english if n else f"{english} and 3 more"}
                        for n, (line, english) in enumerate(zip(lines, said, strict=True))]}  # fmt: skip


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    with FakeProvider(answer=answer) as server:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", server.hosts)
        monkeypatch.setenv("HLX_TEACHER", "qwen/qwen3:1.7b")
        monkeypatch.setenv("HLX_TEACHER_ENTRIES", "25")
        yield server


def materialized(*assets: str) -> Run:
    job = definitions().resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.get() as instance:
        keys = [dg.AssetKey(name) for name in assets or ASSETS]
        result = job.execute_in_process(instance=instance, asset_selection=keys, raise_on_error=False)
        return Run(result.run_id, result.all_events)


def test_without_a_teacher_the_graph_is_as_it_was_and_with_one_no_job_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    before = defs.resolve_asset_graph().get_all_asset_keys()
    assert not [key for key in before if "teacher" in key.to_user_string()]
    monkeypatch.setenv("HLX_TEACHER", "claude/claude-haiku-4-5")
    graph = definitions()
    assert graph.resolve_asset_graph().get_all_asset_keys() - before == {dg.AssetKey(name) for name in ASSETS}
    for job in graph.jobs or []:
        keys = graph.resolve_job_def(job.name).asset_layer.executable_asset_keys
        assert keys == defs.resolve_job_def(job.name).asset_layer.executable_asset_keys


def test_a_document_is_made_its_sentences_are_traceable_and_a_rerun_sends_nothing(
    home: Home, fake: FakeProvider, hlx: Hlx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HLX_TEACHER_JUDGE", "qwen/qwen3:1.7b")
    run = materialized()
    assert run.success, run.failures
    assert [check.check_name for check in run.checks if not check.passed] == []
    assert run.materialized == ASSETS and len(run.checks) == 4
    directory = home.latest("teacher_document")
    asked = len(fake.asked)
    assert asked == 4  # 25 values, twenty a question, and as much of a judge
    read = read_corpus([directory / TAUGHT])
    written = read_json(directory / WRITTEN)
    assert {entry.english for entry in read.entries} == {one["english"] for one in written["sentences"]}
    reasons = pq.read_table(directory / QUARANTINE)["reason"].to_pylist()
    assert sorted(set(reasons)) == ["it adds the number 3", "the judge qwen/qwen3:1.7b does not say that it means the "
                                    "same"] and len(read.entries) + len(reasons) == 25  # fmt: skip

    again = materialized()
    assert again.success and len(fake.asked) == asked and home.latest("teacher_document") == directory

    sentence = str(read.entries[0].english)
    shown = hlx("lineage", "uses", "--text", sentence)
    assert "written by qwen/qwen3:1.7b (question " in shown.out and "$0.00 for 20 entries" in shown.out
    (source, *_) = json.loads(hlx("lineage", "uses", "--text", sentence, "--json").out)["written"]
    assert sentence not in source["prompt"] and "Write one other sentence" in source["prompt"]
    unused = hlx("lineage", "uses", str(directory / TAUGHT)).out
    assert "no model saw it" in unused and "written by qwen/qwen3:1.7b, " in unused

    # As one more document of the corpus, with what it adds; and what is asked for stays the same.
    document = f"{home.path / 'small.md'}:{directory / TAUGHT}"
    made = home.materialize("corpus_document", "corpus_examples", corpus_document={"corpus": document})
    assert made.success, made.failures
    requests = home.latest("teacher_requests")
    assert materialized("teacher_requests").success and home.latest("teacher_requests") == requests


def test_an_outage_ends_with_one_line_and_what_was_answered_is_kept(home: Home, fake: FakeProvider) -> None:
    assert materialized("teacher_requests").success
    fake.script(status(529))
    (failure,) = materialized("teacher_proposals").failures.values()
    assert re.search(r"qwen/qwen3:1.7b, after 0 of 25 entries: unavailable: .*529.*; what it answered is kept: "
                     r"materialize again later", failure) and "\n" not in failure  # fmt: skip
    assert materialized("teacher_proposals").success


def test_nonsense_is_in_quarantine_and_a_rerun_sends_nothing(home: Home, fake: FakeProvider) -> None:
    fake.script(does("refusal"), content({"entries": [{"id": "x" * 12, "english": "Read \x1b[31mall"}] * 2}))
    for _ in range(2):
        run = materialized()
        assert len(fake.asked) == 2
        (failure,) = run.failures.values()
        assert (
            "\n" not in failure
            and "nothing that the teacher wrote is admitted, most often because malformed" in failure
        )
        path = re.search(r"all reasons are in (\S+quarantine.parquet)", failure)
        assert path is not None
        refused = pq.read_table(path[1]).to_pylist()
        assert len(refused) == 20 + 2 + 5
        assert {row["reason"].partition(":")[0] for row in refused} == {
            "malformed", "its id is none that was asked", "it was not answered"}  # fmt: skip


@pytest.mark.parametrize(
    ("teacher", "said"),
    [("nobody/model", "HLX_TEACHER: provider is 'nobody'"), ("claude/claude-haiku-4-5", "there is no key of claude")],
)
def test_a_teacher_that_cannot_be_asked_is_named(
    home: Home, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, teacher: str, said: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("HLX_TEACHER", teacher)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert materialized("teacher_requests").success
    (failure,) = materialized("teacher_proposals").failures.values()
    assert said in failure and "\n" not in failure and not fake.asked
