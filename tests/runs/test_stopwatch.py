"""A stopwatch counts on the monotonic clock for how long something has been the same."""

import json

import pytest

from hlx_model.runs.stopwatch import Counts, Stopwatch

INTERVAL = 60.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock, in seconds; the wall clock jumps at each look."""
    now, wall = [1000.0], iter([10.0**9, 0.0, 10.0**6] * 100)
    monkeypatch.setattr("hlx_model.runs.stopwatch.time.monotonic", lambda: now[0])
    monkeypatch.setattr("hlx_model.runs.stopwatch.time.time", lambda: next(wall))
    return now


def check(before: Counts | None, state: str) -> tuple[Counts, float]:
    stopwatch = Stopwatch(before, INTERVAL)
    seconds = stopwatch.unchanged("training", state)
    return Counts.from_json(json.loads(json.dumps(stopwatch.counts.to_json()))), seconds


def test_it_counts_from_check_to_check(clock: list[float]) -> None:
    counts, seconds = check(None, "step 9")
    assert seconds == 0.0
    for after in (60.0, 120.0, 180.0):
        clock[0] += 60.0
        counts, seconds = check(counts, "step 9")
        assert seconds == after
    counts, seconds = check(counts, "step 10")
    assert seconds == 0.0


@pytest.mark.parametrize("pause", [181.0, 10_000.0, -1.0])
def test_after_a_pause_of_the_checks_it_begins_anew(clock: list[float], pause: float) -> None:
    counts, _ = check(None, "step 9")
    clock[0] += 180.0
    counts, seconds = check(counts, "step 9")
    assert seconds == 180.0
    clock[0] += pause
    counts, seconds = check(counts, "step 9")
    assert seconds == 0.0


@pytest.mark.parametrize("boot", ["another", None])
def test_after_a_restart_of_the_machine_it_begins_anew(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, boot: str | None
) -> None:
    counts, _ = check(None, "step 9")
    clock[0] += 60.0
    monkeypatch.setattr("hlx_model.runs.stopwatch.boot_id", lambda: boot)
    counts, seconds = check(counts, "step 9")
    assert seconds == 0.0
    clock[0] += 60.0
    assert check(counts, "step 9")[1] == 60.0


def test_what_was_not_asked_in_a_check_is_forgotten(clock: list[float]) -> None:
    counts, _ = check(None, "step 9")
    assert set(counts.seen) == {"training"}
    stopwatch = Stopwatch(counts, INTERVAL)
    assert stopwatch.unchanged("another", "step 9", begin=50.0) == 50.0
    assert set(stopwatch.counts.seen) == {"another"}
