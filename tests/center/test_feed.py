"""The WebSocket: the whole state first, then what changes; a slow reader holds nobody up."""

import asyncio
import json
from typing import Any

import dagster as dg
from starlette.testclient import TestClient

from hlx_assets.center import launch
from hlx_assets.center.context import Center
from hlx_assets.center.feed import Listener
from tests.support.center import add_session

SEVEN = ["session_id", "status", "epoch", "total_epochs", "train_loss", "val_loss", "eta_hours"]


def received(socket: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(socket.receive_text())
    return found


def test_a_listener_gets_the_whole_state_and_then_the_changes(center: Center, client: TestClient) -> None:
    ids = {add_session(center.instance), add_session(center.instance)}
    add_session(center.instance, dg.DagsterRunStatus.SUCCESS)
    with client.websocket_connect("/training/status") as socket:
        first = [received(socket) for _ in range(2)]
        assert {one["session_id"] for one in first} == ids, "those that have ended are not live"
        assert [list(one)[:7] for one in first] == [SEVEN, SEVEN]
        cancelled = ids.pop()
        launch.cancel(center, cancelled)
        news = received(socket)
        while news["session_id"] != cancelled:  # the other one has another place now
            news = received(socket)
        assert (news["status"], news["state"]) == ("failed", "canceled")


def test_a_null_has_its_reason(center: Center, client: TestClient) -> None:
    add_session(center.instance)
    with client.websocket_connect("/training/status") as socket:
        found = received(socket)
    assert {name for name in SEVEN if found[name] is None} == set(found["null_reasons"])


def test_a_listener_may_ask_for_one_session(center: Center, client: TestClient) -> None:
    ended, _ = add_session(center.instance, dg.DagsterRunStatus.CANCELED), add_session(center.instance)
    with client.websocket_connect(f"/training/status?session_id={ended}") as socket:
        assert received(socket)["session_id"] == ended


def test_a_reader_that_sleeps_gets_the_newest_state() -> None:
    async def read() -> list[str]:
        listener = Listener(None)
        for number in range(1000):
            listener.put("a", str(number))
        assert len(listener.pending) == 1, "nothing is kept for a slow reader but the newest"
        listener.put("b", "other")
        found = []
        async for text in listener.messages():
            found.append(text)
            if len(found) == 2:
                return found
        return found

    assert asyncio.run(read()) == ["999", "other"]


def test_a_session_that_does_not_exist_ends_the_connection(client: TestClient) -> None:
    with client.websocket_connect("/training/status?session_id=nope") as socket:
        ended = socket.receive()
    assert (ended["type"], ended["code"]) == ("websocket.close", 4404)
    assert "no session" in ended["reason"]
