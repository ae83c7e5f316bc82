"""The home remembers its corpus: the button, the sensor, the jobs and the command line use the same."""

from pathlib import Path

import dagster as dg
import pytest

from hlx_assets.corpus.setting import apply_environment, setting_of_home
from hlx_assets.definitions import defs
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.corpus.documents import kept_documents
from hlx_model.corpus.setting import CorpusSetting, remember, remembered
from tests.support.dagster_home import Home, Run
from tests.support.documents import small_text


def press(home: Home, asset: str = "corpus_document") -> Run:
    """Press *Materialize*: no configuration at all."""
    job = defs.resolve_implicit_global_asset_job_def()
    with home.instance() as instance:
        result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(asset)], raise_on_error=False)
        return Run.of(instance, result.run_id)


def warnings(home: Home, run: Run) -> list[str]:
    with home.instance() as instance:
        return [entry.user_message for entry in instance.all_logs(run.id) if entry.level == 30]


def test_the_button_uses_what_the_home_was_set_to(empty_home: Home) -> None:
    document = str(empty_home.path / "small.md")
    assert empty_home.materialize("corpus_document", corpus_document={"entries": 20, "seed": 5}).success
    again = press(empty_home)
    copied, composed = kept_documents(empty_home.latest("corpus_document"))
    assert (copied.source, composed.entries, composed.seed) == (document, 20, 5)
    assert again.materialization("corpus_document").metadata["setting"].value == (
        "small.md and 20 composed entries of seed 5"
    )
    assert warnings(empty_home, again) == []


def test_a_change_of_the_corpus_is_said(empty_home: Home) -> None:
    empty_home.materialize("corpus_document")
    changed = empty_home.materialize("corpus_document", corpus_document={"corpus": "composed", "entries": 30})
    assert warnings(empty_home, changed) == [
        "the corpus of this home has changed: it was small.md; it is 30 composed entries"
    ]


def test_a_run_that_fails_changes_no_setting(empty_home: Home) -> None:
    empty_home.materialize("corpus_document")
    missing = str(empty_home.path / "none.md")
    assert not empty_home.materialize("corpus_document", corpus_document={"corpus": missing}).success
    assert press(empty_home).success


def test_make_ui_applies_the_environment_once(empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty_home.path)
    (empty_home.path / "other.md").write_text(small_text(), encoding="utf-8")
    with empty_home.instance() as instance:
        assert apply_environment(instance) is None and setting_of_home(instance) is None
        monkeypatch.setenv("HLX_CORPUS", "small.md")
        assert apply_environment(instance) == "the corpus of this home was composed entries; it is small.md"
        # Another terminal names another one: the button of this UI uses it too.
        remember(artifacts_at_home(), CorpusSetting().changed(corpus="other.md"))
    assert press(empty_home).success
    (kept,) = kept_documents(empty_home.latest("corpus_document"))
    assert kept.name == "other.md"


def test_make_ui_refuses_a_document_that_cannot_be_used(empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_CORPUS", "/nowhere/none.md")
    with empty_home.instance() as instance, pytest.raises(ValueError, match=r"/nowhere/none\.md"):
        apply_environment(instance)
    assert remembered(artifacts_at_home()) is None


def test_a_home_without_a_setting_has_what_it_was_made_from(home: Home) -> None:
    (home.path / "artifacts" / "corpus.json").unlink()
    with home.instance() as instance:
        found = setting_of_home(instance)
        # The home is a copy: its document lies where the first one was.
        assert found is not None and [Path(path).name for path in found.documents] == ["small.md"]
        assert (found.entries, found.evaluation) == (None, ())


def test_evaluation_documents_are_remembered_too(empty_home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = empty_home.path / "exam.md"
    exam.write_text(small_text(), encoding="utf-8")
    empty_home.materialize("corpus_document")
    monkeypatch.setenv("HLX_EVAL", str(exam))
    changed = press(empty_home, "evaluation_document")
    assert warnings(empty_home, changed) == [
        "the corpus of this home has changed: it was small.md; it is small.md; evaluated on exam.md"
    ]
    monkeypatch.delenv("HLX_EVAL")
    assert press(empty_home, "evaluation_document").success
    (kept,) = kept_documents(empty_home.latest("evaluation_document"))
    assert kept.source == str(exam)
