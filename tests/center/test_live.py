"""A live Center: sessions make their corpora, build on the right parent, and fail with the gate and its figure."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.dagster_home import SETTINGS, Home
from tests.support.live_center import Api, make_ui_with_center
from tests.support.live_dagster import beat_of

TINY = {"targetModel": "HelixTiny"}
GOOD = {phase: {**TINY, "epochs": SETTINGS[f"phase{phase}_checkpoint"]["epochs"], "settings": {"batch_size": 2}}
        for phase in (1, 2)}  # fmt: skip


@contextmanager
def listening(api: Api) -> Iterator[list[dict[str, Any]]]:
    """Yield the messages of the WebSocket as they arrive."""
    messages: list[dict[str, Any]] = []
    with connect(api.url.replace("http", "ws") + "/training/status") as connection:

        def read() -> None:
            with suppress(ConnectionClosed):
                for text in connection:
                    messages.append(json.loads(text))

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        yield messages
    thread.join(10)


@pytest.mark.system
def test_sessions_build_on_their_size_and_a_failed_one_ends_its_chain(empty_home: Home) -> None:
    environment = {"HLX_CORPUS": str(empty_home.path / "small.md")}
    with make_ui_with_center(empty_home, environment) as (_, api), listening(api) as messages:
        first = api.start("English", **GOOD[1])
        large = api.start("English", targetModel="Helix10m", epochs=1, confirmed=True)
        hlx = api.start("HLX", **GOOD[2])
        bad = api.start("English", **TINY, epochs=1, settings={"seed": 5})
        after_bad = api.start("HLX", **TINY, epochs=1, after=bad)
        waiting = api.session(hlx)
        assert waiting["state"] == "waiting" and waiting["position"] in (2, 3)
        assert "in line behind" in waiting["reason"]

        ended = {one: api.wait_for_state(one, "completed", "quality_failed", "withdrawn", "failed", "aborted")
                 for one in (first, large, hlx, bad, after_bad)}  # fmt: skip
        assert (ended[first]["status"], ended[first]["progress"]) == ("completed", 100), ended[first]
        assert ended[large]["targetModel"] == "Helix10m" and ended[large]["status"] == "failed", ended[large]
        assert ended[hlx]["status"] == "completed", ended[hlx]
        assert ended[hlx]["parent"].split("/")[0] == ended[first]["trainings"][-1], "not the newest: that is 10m"

        assert (ended[bad]["status"], ended[bad]["state"]) == ("failed", "quality_failed"), ended[bad]
        assert "gate " in ended[bad]["reason"] and "required" in ended[bad]["reason"]
        assert ended[after_bad]["state"] == "withdrawn"
        assert "did not pass" in ended[after_bad]["reason"] and "required" in ended[after_bad]["reason"]
        assert not ended[after_bad]["trainings"], "nothing was trained"

        again = api.wait_for_state(api.start("English", **GOOD[1]), "completed")
        assert again["trainings"] == ended[first]["trainings"] and again["epoch"] == ended[first]["epoch"]
        assert "nothing was trained" in again["reason"]

        last = {one["session_id"]: one for one in messages}
        assert (last[bad]["state"], last[bad]["reason"]) == ("quality_failed", ended[bad]["reason"])
        losses = [one["train_loss"] for one in messages if one["session_id"] == first and one["train_loss"] is not None]
        assert len(set(losses)) > 1, "the loss was seen while it changed"

        curve = api.get(f"/api/training/{first}/metrics")
        assert curve[0]["points"] and curve[0]["milestones"][0]["epoch"] == 1
        gates = api.get(f"/api/training/{bad}/gates")
        assert any(gate["outcome"] == "fail" for gate in gates[-1]["gates"])
        log = api.get(f"/api/training/{bad}/log")
        assert any("required" in line["text"] for line in log["lines"])
        assert api.get("/api/health")["daemon"] is True


@pytest.mark.system
def test_sessions_have_a_device_each_and_the_next_one_gets_what_is_free(empty_home: Home) -> None:
    """Two CPU stand-ins for GPUs."""
    environment = {"HLX_CORPUS": str(empty_home.path / "small.md"), "HLX_TRAINER": "local gpus=2"}
    long = {**TINY, "epochs": 500}

    def gpu(session: str) -> str:
        api.wait(session, lambda found: bool(found["step"]))
        beat = beat_of(empty_home, session)
        assert beat is not None
        return psutil.Process(beat.pid).environ()["CUDA_VISIBLE_DEVICES"]

    with make_ui_with_center(empty_home, environment) as (_, api):
        first, second, third = (
            api.start("English", **long, settings={"seed": seed, "batch_size": 2}) for seed in range(3)
        )
        assert {gpu(first), gpu(second)} == {"0", "1"}
        waiting = api.session(third)
        assert waiting["state"] == "waiting" and waiting["reason"].startswith("next in line behind English tiny (")
        freed = gpu(first)
        api.cancel(first)
        assert gpu(third) == freed and api.session(second)["state"] == "training"
        for session in (second, third):
            api.cancel(session)
