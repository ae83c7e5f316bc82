"""200 clients of the WebSocket for a minute, one of which never reads: nobody waits, and memory stays."""

import asyncio
import json
import socket
import time
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect

from hlx_assets.ui import free_port
from tests.support.center import add_session
from tests.support.dagster_home import Home
from tests.support.live_center import Api, make_center

CLIENTS, SECONDS = 200, 60.0
MAX_GROWTH = 20e6
"""Bytes."""
MAX_WAIT = 5.0
"""Seconds until every client has a change; the Center reads twice a second, and 199 clients share its core here."""


@pytest.mark.slow
def test_200_clients_for_a_minute(empty_home: Home) -> None:
    api = Api(free_port(0))
    with empty_home.instance() as instance, make_center(empty_home, api) as process:
        run_id = add_session(instance)
        silent = never_reading(api)
        center = psutil.Process(process.pid)
        waits, grown = asyncio.run(load(api, run_id, center))
        silent.close()
    assert len(waits) > 20, "there were changes to wait for"
    assert max(waits) < MAX_WAIT, sorted(waits)[-5:]
    assert grown < MAX_GROWTH, f"{grown / 1e6:.1f} MB"


def never_reading(api: Api) -> socket.socket:
    """Return a client of the WebSocket that never reads what it is sent."""
    host, port = api.url.removeprefix("http://").split(":")
    made = socket.create_connection((host, int(port)))
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.sendall(
        b"GET /training/status HTTP/1.1\r\nHost: " + f"{host}:{port}".encode() + b"\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return made


async def load(api: Api, run_id: str, center: psutil.Process) -> tuple[list[float], float]:
    """Change a session again and again; the seconds until all clients had each change, and how memory grew (bytes)."""
    latest: dict[int, Any] = {}

    async def client(number: int) -> None:
        async with connect(api.url.replace("http", "ws") + "/training/status", compression=None) as connection:
            async for text in connection:
                found = json.loads(text)
                if found["session_id"] == run_id:
                    latest[number] = found["position"]

    tasks = [asyncio.create_task(client(number)) for number in range(CLIENTS - 1)]
    while len(latest) < CLIENTS - 1:
        await asyncio.sleep(0.1)
    begun, before, waits = time.monotonic(), center.memory_info().rss, list[float]()
    other = await asyncio.to_thread(api.start, "English", targetModel="HelixTiny")
    position = 1
    while time.monotonic() - begun < SECONDS:
        position = 3 - position
        changed = time.monotonic()
        await asyncio.to_thread(api.ask, "PATCH", f"/api/training/{run_id}", {"position": position})
        while any(latest[number] != position for number in range(CLIENTS - 1)):
            assert time.monotonic() - changed < 30, "a client never heard of a change"
            await asyncio.sleep(0.05)
        waits.append(time.monotonic() - changed)
        failed = [task for task in tasks if task.done()]
        assert not failed, failed[0].exception()
    grown = center.memory_info().rss - before
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert api.session(other)["state"] == "waiting"
    return waits, grown
