"""A session's log has what a person reads: no noise, no stack traces, and every failure with its reason."""

from collections.abc import Iterator

import pytest

from hlx_assets import dagster_internals as internals
from hlx_assets.center import log
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.log import session_log
from tests.support.center import center_of
from tests.support.dagster_home import Home, Run


@pytest.fixture
def center(home: Home) -> Iterator[Center]:
    with center_of(home) as made:
        yield made


@pytest.fixture
def run_id(curriculum: tuple[object, Run]) -> str:
    return curriculum[1].id


def test_a_log_tells_what_was_made_trained_and_found(center: Center, run_id: str) -> None:
    lines = session_log(center, run_id, None, 1_000).lines
    texts = [f"{line.step}: {line.text}" for line in lines]
    begun, made = "phase1_checkpoint: begins", "phase1_checkpoint: materialized"
    judged = next(text for text in texts if text.startswith("phase1_gates: check parroting passed: "))
    assert texts.index(begun) < texts.index(made) < texts.index(judged)
    assert texts[0] == "None: started" and texts[-1] == "None: ended"


def test_a_log_leaves_out_what_dagster_counts_and_plots(center: Center, run_id: str) -> None:
    lines = session_log(center, run_id, None, 1_000).lines
    assert all("\n" not in line.text and line.text for line in lines)
    for noise in ("ASSET_OBSERVATION", "intends to", "Yielded", "Loaded input", "resources", "[pipes]", "in process"):
        assert not [line.text for line in lines if noise in line.text], noise
    assert {line.level for line in lines} == {"info", "warning"}, "two checks of so small a corpus warn"
    assert [line.time for line in lines] == sorted(line.time for line in lines)


@pytest.mark.parametrize("limit", [1, 60, 1_000])
def test_from_cursor_to_cursor_every_line_comes_once(center: Center, run_id: str, limit: int) -> None:
    whole = session_log(center, run_id, None, 1_000)
    read, cursor, more = list[object](), "0", True
    while more:
        found = session_log(center, run_id, cursor, limit)
        read, cursor, more = read + list(found.lines), str(found.cursor), found.more
        assert len(found.lines) <= limit
        if limit == 1 and len(read) > 4:
            break
    assert read == whole.lines[: len(read)] and (limit == 1 or len(read) == len(whole.lines))


def test_without_a_cursor_the_last_lines_come_and_then_the_new_ones(center: Center, run_id: str) -> None:
    whole, last = session_log(center, run_id, None, 1_000), session_log(center, run_id, None, 3)
    assert last.lines == whole.lines[-3:] and not last.more
    assert session_log(center, run_id, last.cursor).lines == []
    run = center.instance.get_run_by_id(run_id)
    assert run is not None
    internals.note_on_run(center.instance, run, "watchdog: it has stalled")
    found = session_log(center, run_id, last.cursor)
    assert [(line.level, line.text) for line in found.lines] == [("warning", "watchdog: it has stalled")]


def test_so_long_a_log_is_read_piece_by_piece(center: Center, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = session_log(center, run_id, None, 1_000)
    monkeypatch.setattr(log, "_PAGE", 10)
    monkeypatch.setattr(log, "MOST_RECORDS", 50)
    read, cursor, calls, more = list[object](), "0", 0, True
    while more:
        found = session_log(center, run_id, cursor, 1_000)
        read, cursor, calls, more = read + list(found.lines), str(found.cursor), calls + 1, found.more
    assert read == whole.lines and calls > 10


def test_a_failure_has_its_reason_and_no_stack_trace(empty_home: Home) -> None:
    run = empty_home.materialize("phase1_checkpoint")
    with center_of(empty_home) as center:
        lines = session_log(center, run.id, None).lines
    failed = [line for line in lines if line.level == "error"]
    reason = "english_corpus was never materialized: materialize it first"
    assert [(line.step, line.text) for line in failed][:1] == [("phase1_checkpoint", reason)]
    assert all("Traceback" not in line.text and "File " not in line.text for line in lines)
    assert failed[-1].step is None and failed[-1].text.startswith("failed")


def test_a_wrong_cursor_is_refused(center: Center, run_id: str) -> None:
    for cursor in ("", "-1", "1.0", "²", "eyJ0eXBlIjog", str(2**63), "9" * 200):
        with pytest.raises(CenterError, match="cursor is not one of this log") as refused:
            session_log(center, run_id, cursor)
        assert refused.value.status == 422


def test_an_unknown_session_leaves_no_file(center: Center, home: Home) -> None:
    before = sorted(home.path.rglob("*.db"))
    with pytest.raises(CenterError) as refused:
        session_log(center, "../x", None)
    assert refused.value.status == 404 and sorted(home.path.rglob("*.db")) == before
