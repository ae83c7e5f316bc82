"""The order of the queue is Dagster's, and moving a session changes nothing else of it."""

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hlx_assets.center import launch, sessions
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.facts import Facts
from hlx_assets.center.launch import reordered
from hlx_assets.center.places import Places
from hlx_assets.center.requests import MoveRequest
from hlx_assets.curriculum import session as tags
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.center import add_run, add_session


def order(center: Center) -> list[str]:
    return [one.id for one in sessions.queue(center, 0)]


def test_sessions_wait_in_the_order_in_which_they_came(center: Center) -> None:
    ids = [add_session(center.instance) for _ in range(3)]
    assert order(center) == ids
    assert [one.position for one in sessions.queue(center, 0)] == [1, 2, 3]


@pytest.fixture
def two_at_once(center: Center, monkeypatch: pytest.MonkeyPatch) -> Center:
    """A Center with a daemon, whose home runs two sessions at a time."""
    monkeypatch.setattr("hlx_assets.center.places.daemon_is_alive", lambda instance: True)
    monkeypatch.setattr("hlx_assets.center.places.max_concurrent", lambda instance: 2)
    return center


def reasons(center: Center, *ids: str) -> list[str | None]:
    shown = {one.id: one.reason for one in sessions.queue(center, 0)}
    return [shown[run_id] for run_id in ids]


def training(center: Center, seconds: float | None) -> str:
    """A session whose training has so many seconds left."""
    run_id = add_session(center.instance, dg.DagsterRunStatus.STARTED)
    folder = center.artifacts.training / run_id.replace("-", "")[:16]
    folder.mkdir(parents=True)
    Heartbeat(folder.name, 1, "tiny", 3, status="training", eta_seconds=seconds, run_id=run_id).write(folder)
    return run_id


def test_a_session_waits_for_the_one_that_ends_first(two_at_once: Center) -> None:
    long = training(two_at_once, 7200.0)
    first, second = (add_session(two_at_once.instance) for _ in range(2))
    assert reasons(two_at_once, first) == ["next in line: Dagster starts it in a few seconds"]
    short = training(two_at_once, 540.0)
    third = add_session(two_at_once.instance, chain="c", after=long)
    said = [
        f"next in line behind English tiny ({short[:8]}), 9 min to go",
        f"second in line behind English tiny ({first[:8]})",
        f"third in line behind English tiny ({second[:8]})",
    ]
    assert reasons(two_at_once, first, second, third) == said


def test_a_session_waits_for_the_one_before_it_in_its_chain(two_at_once: Center) -> None:
    before = add_session(two_at_once.instance, dg.DagsterRunStatus.STARTED, chain="c")
    after = add_session(two_at_once.instance, chain="c", after=before)
    assert reasons(two_at_once, after) == [f"next in line behind English tiny ({before[:8]})"]


def test_a_session_trains_when_its_trainer_has_started(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job may wait in the queue of a cluster for hours."""
    monkeypatch.setattr("hlx_assets.center.sessions.facts", lambda instance, run: Facts(step="phase1_checkpoint"))
    waiting = sessions.session(center, add_session(center.instance, dg.DagsterRunStatus.STARTED))
    assert waiting.state == "preparing" and "its trainer has not started yet" in str(waiting.reason)
    trains = sessions.session(center, training(center, 540.0))
    assert (trains.state, trains.reason) == ("training", None)


def test_a_moved_session_stands_where_it_was_put(center: Center) -> None:
    first, second, third = (add_session(center.instance) for _ in range(3))
    moved = launch.move(center, third, MoveRequest(position=1))
    assert moved.position == 1
    assert order(center) == [third, first, second]
    fourth = add_session(center.instance)
    assert order(center)[-1] == fourth, "a new one comes last"


def test_a_chain_moves_as_a_whole(center: Center) -> None:
    alone = add_session(center.instance)
    first = add_session(center.instance, chain="c")
    other = add_session(center.instance)
    second = add_session(center.instance, chain="c", after=first)
    launch.move(center, second, MoveRequest(position=1))
    assert order(center) == [first, second, alone, other]
    launch.move(center, first, MoveRequest(priority=-1))
    assert order(center) == [alone, other, first, second]


def test_a_priority_that_is_no_number_counts_as_dagster_counts_it(center: Center) -> None:
    low = add_session(center.instance, priority="high")
    high = add_session(center.instance, priority="2")
    assert order(center) == [high, low]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS])
def test_only_queued_sessions_are_moved_and_deleted(center: Center, status: dg.DagsterRunStatus) -> None:
    run_id = add_session(center.instance, status)
    for change in (lambda: launch.move(center, run_id, MoveRequest(position=1)), lambda: launch.delete(center, run_id)):
        with pytest.raises(CenterError, match="not queued") as refused:
            change()
        assert refused.value.status == 409


def test_a_move_names_one_place(center: Center) -> None:
    run_id = add_session(center.instance)
    for wrong in (MoveRequest(), MoveRequest(position=1, priority=1)):
        with pytest.raises(CenterError, match="either priority or position"):
            launch.move(center, run_id, wrong)


def test_a_deleted_session_leaves_nothing(center: Center) -> None:
    run_id, other = add_session(center.instance), add_session(center.instance)
    launch.delete(center, run_id)
    assert order(center) == [other]
    assert center.instance.get_run_by_id(run_id) is None


def test_a_cancelled_session_stays_on_record(center: Center) -> None:
    run_id = add_session(center.instance)
    cancelled = launch.cancel(center, run_id)
    assert (cancelled.status, cancelled.state) == ("failed", "canceled")
    assert [one.id for one in sessions.queue(center)] == [run_id]
    with pytest.raises(CenterError, match="has ended"):
        launch.cancel(center, run_id)


def test_only_sessions_are_sessions(center: Center) -> None:
    run_id = add_run(center.instance, dg.DagsterRunStatus.QUEUED)
    assert order(center) == []
    for strange in (run_id, "", "x\x00", "../..", "\ud800", "9" * 500):
        with pytest.raises(CenterError, match="no session") as missing:
            sessions.session(center, strange)
        assert missing.value.status == 404


CHAINS = st.lists(st.sampled_from(["a", "b", ""]), min_size=1, max_size=8)


@given(chains=CHAINS, data=st.data())
def test_every_move_keeps_the_order_of_the_others(chains: list[str], data: st.DataObject) -> None:
    runs = [
        dg.DagsterRun(job_name="x", run_id=str(n), tags={tags.CHAIN: chain} if chain else {})
        for n, chain in enumerate(chains)
    ]
    places = Places([], runs)
    moved = data.draw(st.sampled_from(runs))
    position = data.draw(st.integers(1, len(runs) + 1))
    unit = next(unit for unit in places.units() if moved in unit)
    priorities = reordered(places, unit, moved.run_id, position)
    after = sorted(runs, key=lambda run: priorities[run.run_id], reverse=True)
    rest = [run for one in places.units() if one != unit for run in one]
    assert [run for run in after if run not in unit] == rest
    assert [run for run in after if run in unit] == unit
    start = after.index(unit[0])
    assert after[start : start + len(unit)] == unit, "a chain stays together"
    if len(unit) == 1 and all(len(one) == 1 for one in places.units()):
        assert after.index(moved) + 1 == min(position, len(runs))
