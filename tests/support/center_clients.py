"""Many clients of the Training Center's WebSocket at the same time, one of which never reads."""

import asyncio
import json
import socket
import time
from typing import Any, NamedTuple

import psutil
from websockets.asyncio.client import connect

from hlx_assets.ui import free_port
from tests.support.center import add_session
from tests.support.dagster_home import Home
from tests.support.live_center import Api, make_center

CLIENTS, SECONDS = 200, 60.0
PATIENCE = 30.0
"""Seconds after which a client counts as one that never hears of a change."""


class Load(NamedTuple):
    """What the Center did under the load."""

    waits: list[float]
    """Of each change, the seconds until every client that reads had it."""
    grown: float
    """Bytes by which the memory of the Center has grown."""
    memory: float
    """Bytes of memory of the Center at the end."""


def loaded(home: Home) -> Load:
    """Run a Center on a home, and change a session again and again while the clients listen."""
    api = Api(free_port(0))
    with home.instance() as instance, make_center(home, api) as process:
        run_id = add_session(instance)
        silent = never_reading(api)
        center = psutil.Process(process.pid)
        waits, grown = asyncio.run(load(api, run_id, center))
        silent.close()
        return Load(waits, grown, center.memory_info().rss)


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
            assert time.monotonic() - changed < PATIENCE, "a client never heard of a change"
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
