"""What trainings pass on is listed, tried and exported by the id of a training alone."""

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dagster as dg
import pytest

from hlx_assets.center import checkpoints, models, requests
from hlx_assets.center.checkpoints import card, export, export_zip, find, lineage, report_page
from hlx_assets.center.context import Center, CenterError
from hlx_model.files import sha256_of
from hlx_model.layout import HEARTBEAT, Artifacts
from hlx_model.release.verify import verify
from tests.support.calls import calls_of
from tests.support.center import center_of
from tests.support.command import Hlx
from tests.support.dagster_home import Home

UNKNOWN = "0" * 16
BY_ID = (
    find, report_page, card, lineage, partial(checkpoints.test, request=requests.TestRequest(text="x")),
    partial(export, request=requests.ExportRequest()),
    partial(export_zip, request=requests.ExportRequest(download=True)),
)  # fmt: skip


@pytest.fixture
def center(home: Home) -> Iterator[Center]:
    with center_of(home) as made:
        yield made


def training(home: Home, phase: int = 3) -> str:
    return home.latest(f"phase{phase}_checkpoint").parents[1].name


def tried(center: Center, training_id: str, text: str = "Search for documents", to: str = "HLXL") -> models.TestAnswer:
    return checkpoints.test(center, training_id, requests.TestRequest(text=text, to=to))


def refused(status: int, call: object, *arguments: object) -> str:
    with pytest.raises(CenterError) as error:
        call(*arguments)  # type: ignore[operator]
    assert error.value.status == status and "\n" not in error.value.detail
    return error.value.detail


def in_exports(center: Center) -> list[str]:
    return sorted(path.name for path in (center.home / "exports").iterdir())


def test_each_training_shows_what_it_passes_on_the_newest_first(center: Center, home: Home) -> None:
    rows = checkpoints.checkpoints(center, 10)
    assert [(row.id, row.phase, row.kind) for row in rows] == [(training(home, n), n, "FINAL") for n in (3, 2, 1)]
    assert [row.translates for row in rows] == [True, False, False]
    for row in rows:
        assert row.name == home.latest(f"phase{row.phase}_checkpoint").name and row.size == "tiny"
        assert row.verdict in ("pass", "warn") and row.conclusion and row.run_id
        assert row.report == f"/center/checkpoints/{row.id}/report" and row.card and row.lineage
        assert find(center, row.id) == row
    assert rows[0].exact_match_to_hlx is not None and rows[1].exact_match_to_hlx is None


def test_only_the_trainings_that_ended_last_are_read(
    center: Center, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = calls_of(monkeypatch, checkpoints, "_row", lambda center, path: path.name)
    asked = calls_of(monkeypatch, dg.DagsterInstance, "get_runs", lambda self, filters: filters.run_ids)
    newest = [training(home, 3), training(home, 2)]
    assert [row.id for row in checkpoints.checkpoints(center, 2)] == read == newest
    assert len(asked) == 1, "one query for all sessions"
    assert checkpoints.checkpoints(center, 0) == []


def test_a_checkpoint_without_a_heartbeat_is_listed_at_its_time(center: Center, home: Home) -> None:
    """It was imported, or its training is from elsewhere."""
    (center.artifacts.training / training(home, 2) / HEARTBEAT).unlink()
    assert [row.id for row in checkpoints.checkpoints(center, 2)] == [training(home, 3), training(home, 2)]
    assert [row.id for row in checkpoints.checkpoints(center, 1)] == [training(home, 3)]


def test_a_training_that_has_not_ended_passes_nothing_on(center: Center, home: Home) -> None:
    final = home.latest("phase1_checkpoint")
    final.rename(home.path / "moved")
    assert any(final.parent.glob("phase1_epoch*"))
    assert final.parents[1].name not in {row.id for row in checkpoints.checkpoints(center, 10)}
    assert "has not ended with a checkpoint" in refused(404, find, center, final.parents[1].name)


def test_without_a_report_there_is_no_verdict_and_no_link(center: Center, home: Home) -> None:
    checkpoint = home.latest("phase2_checkpoint")
    center.artifacts.report(checkpoint).rename(home.path / "moved")
    row = find(center, training(home, 2))
    assert (row.verdict, row.conclusion, row.report) == (None, None, None) and row.card


def test_only_the_id_of_a_training_names_a_checkpoint(center: Center) -> None:
    for call in BY_ID:
        for name in ("", "..", "../../etc", "a" * 15, "A" * 16, f"{UNKNOWN}\n", "é" * 16):
            assert refused(422, call, center, name).startswith("a training's id has 16 hexadecimal digits")
        assert refused(404, call, center, UNKNOWN).startswith(f"there is no training {UNKNOWN}")


def test_a_text_is_translated_and_is_never_an_option(center: Center, home: Home) -> None:
    answer = tried(center, training(home), text="--help")
    assert answer.to == "HLXL" and answer.text and "Usage" not in answer.text
    assert answer.checkpoint == f"{training(home)}/{home.latest('phase3_checkpoint').name}"
    assert any("learned by heart" in line or "verdict " in line for line in answer.trust)
    assert not any(str(home.path) in line for line in (answer.text, answer.checkpoint))


def test_a_phase_that_does_not_translate_says_so(center: Center, home: Home) -> None:
    said = refused(422, tried, center, training(home, 1))
    name = f"{training(home, 1)}/{home.latest('phase1_checkpoint').name}"
    assert said == f"{name} is of phase 1 (English), which does not translate: name a checkpoint of phase 3"


def test_a_text_that_no_program_can_be_given_is_refused(center: Center, home: Home) -> None:
    for text in ("a\0b", "\ud800"):
        request = requests.TestRequest.model_construct(text=text, to="HLXL")
        assert refused(422, checkpoints.test, center, training(home), request).startswith("the text ")


def test_one_text_is_translated_at_a_time(center: Center, home: Home) -> None:
    with checkpoints._TESTING:
        assert "another text is being translated" in refused(503, tried, center, training(home))


def test_an_answer_that_does_not_come_is_not_waited_for(
    center: Center, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(checkpoints, "TEST_SECONDS", 0.05)
    assert "no answer within" in refused(503, tried, center, training(home))
    assert checkpoints._TESTING.acquire(blocking=False), "the next one may be tried"
    checkpoints._TESTING.release()


def test_an_export_is_whole_and_a_later_one_replaces_it(center: Center, home: Home) -> None:
    wanted = requests.ExportRequest()
    made = export(center, training(home), wanted)
    folder = Path(made.directory)
    assert folder == home.path / "exports" / training(home)
    assert made.files == sorted(path.name for path in folder.iterdir()) and "model.safetensors" in made.files
    assert not [link for link in verify(folder) if link.outcome == "broken"]
    assert made.note and "replaced" not in made.note
    again = export(center, training(home), requests.ExportRequest(format="pt"))
    assert "model.pt" in again.files and "model.safetensors" not in again.files
    assert str(again.note).startswith("the export that was there is replaced; ")
    assert in_exports(center) == [training(home)]


def test_a_download_has_the_files_of_an_export_and_leaves_nothing(center: Center, home: Home) -> None:
    name, pieces = export_zip(center, training(home), requests.ExportRequest(download=True))
    archive = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert name == f"{training(home)}.zip" and archive.testzip() is None and in_exports(center) == []
    archive.extractall(home.path / "unpacked")
    made = export(center, training(home), requests.ExportRequest())
    for file in made.files:
        unpacked = home.path / "unpacked" / training(home) / file
        assert sha256_of(unpacked) == sha256_of(Path(made.directory) / file)


def test_a_download_that_is_cut_leaves_nothing(center: Center, home: Home) -> None:
    _, pieces = export_zip(center, training(home), requests.ExportRequest(download=True))
    next(pieces)
    assert in_exports(center) != []
    pieces.close()  # type: ignore[attr-defined]
    assert in_exports(center) == []


def test_what_was_never_evaluated_is_not_exported_by_its_training(center: Center, home: Home) -> None:
    center.artifacts.report(home.latest("phase3_checkpoint")).rename(home.path / "moved")
    for call in (export, export_zip):
        assert "was never evaluated: to export it all the same" in refused(
            409, call, center, training(home), requests.ExportRequest()
        )
    assert not (home.path / "exports").exists()


def test_what_is_no_export_is_not_replaced(center: Center, home: Home) -> None:
    own = home.path / "exports" / training(home) / "mine.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    said = refused(409, export, center, training(home), requests.ExportRequest())
    assert said.endswith("is no exported model: move it away") and own.read_text() == "mine"


def test_an_unknown_format_is_named(center: Center, home: Home) -> None:
    said = refused(422, export, center, training(home), requests.ExportRequest(format="gguf"))
    assert said == "format is 'gguf': choose one of safetensors, pt"


def test_onnx_is_left_to_the_command_line(center: Center, home: Home) -> None:
    said = refused(422, export, center, training(home), requests.ExportRequest(format="onnx"))
    command = f"hlx export {training(home)} DIR --format onnx"
    assert said == f"format onnx is written by the command line alone: {command}"


def test_report_card_and_lineage_are_those_on_record(
    center: Center, home: Home, hlx: Hlx, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    checkpoint, name = home.latest("phase3_checkpoint"), training(home)
    artifacts = Artifacts.of_checkpoint(checkpoint)
    assert report_page(center, name) == (artifacts.report(checkpoint) / "report.html").read_text(encoding="utf-8")
    assert card(center, name) == artifacts.card(checkpoint).read_text(encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "1000")
    shown = hlx("lineage", "show", name).out
    assert [line.rstrip() for line in shown.splitlines()] == lineage(center, name).splitlines()


def test_what_is_missing_says_how_it_is_made(center: Center, home: Home) -> None:
    checkpoint, name = home.latest("phase1_checkpoint"), training(home, 1)
    (center.artifacts.report(checkpoint) / "report.html").unlink()
    center.artifacts.card(checkpoint).unlink()
    assert "materialize phase1_validation_report" in refused(404, report_page, center, name)
    assert "materialize phase1_model_card" in refused(404, card, center, name)
