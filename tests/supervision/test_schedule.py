"""When a supervisor is asked."""

import pytest

from hlx_model.supervision.opinions import Opinion
from hlx_model.supervision.schedule import EVERY_SECONDS, Moment, due, expected_calls
from tests.support.supervision import an_opinion

START = 1_000_000.0
BY_TIME = an_opinion(START + EVERY_SECONDS)
BY_GATES = an_opinion(START + 60, "gates", epoch=5)
BY_WARNING = an_opinion(START + 60, "watchdog")


@pytest.mark.parametrize(
    ("asked", "after", "gate_epoch", "warned", "expected"),
    [
        ([], 60, None, None, None),
        ([], EVERY_SECONDS - 1, None, None, None),
        ([], EVERY_SECONDS, None, None, "time"),
        ([BY_TIME], EVERY_SECONDS + 60, None, None, None),
        ([BY_TIME], 2 * EVERY_SECONDS, None, None, "time"),
        ([BY_GATES], EVERY_SECONDS + 59, 5, None, None),  # an opinion for any reason begins the half hour anew
        ([BY_GATES], EVERY_SECONDS + 60, 5, None, "time"),
        ([], 60, 1, None, "gates"),
        ([BY_GATES], 120, 5, None, None),
        ([BY_GATES], 120, 6, None, "gates"),
        ([an_opinion(START + 60, "time", epoch=9)], 120, 9, None, "gates"),  # asked in the epoch, before its gates
        ([], 60, 1, 30.0, "watchdog"),
        ([], 60, None, -30.0, None),  # a warning of before it was resumed
        ([BY_WARNING], 120, None, 30.0, None),
        ([BY_WARNING], 120, None, 90.0, "watchdog"),
    ],
)
def test_it_is_due_by_time_at_gates_and_at_warnings(
    asked: list[Opinion], after: float, gate_epoch: int | None, warned: float | None, expected: str | None
) -> None:
    moment = Moment(START, START + after, gate_epoch, None if warned is None else START + warned)
    found = due(asked, moment)
    assert (found.trigger if found else None) == expected


def test_a_request_is_the_same_until_an_opinion_is_recorded_or_half_an_hour_has_passed() -> None:
    def key(after: float, *asked: Opinion) -> str:
        found = due(asked, Moment(START, START + after, 9))
        assert found is not None
        return found.key

    assert key(60) == key(90) != key(90, BY_GATES)
    assert key(60) != key(EVERY_SECONDS + 60)


def test_a_pause_of_the_training_is_no_training() -> None:
    long_ago = an_opinion(START - 10 * EVERY_SECONDS)
    assert due([long_ago], Moment(START, START + 60)) is None


def test_expected_calls_are_the_gates_and_the_half_hours() -> None:
    assert expected_calls(3600.0, 4) == 6 and expected_calls(None, 3) == 3 and expected_calls(1799.0, 0) == 0
