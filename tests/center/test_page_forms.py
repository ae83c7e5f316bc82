"""The forms of the page with a real queue, as a browser without JavaScript sends them."""

from typing import Any

import dagster as dg
import pytest
from starlette.testclient import TestClient

from hlx_assets.center import launch, sessions
from hlx_assets.center.context import Center, CenterError
from tests.support.center import add_session
from tests.support.markup import Markup

HTMX = {"HX-Request": "true"}
TINY = {"corpus": "English", "targetModel": "HelixTiny"}


def the_queue(center: Center) -> list[str]:
    return [one.id for one in sessions.queue(center, 0)]


def post(client: TestClient, path: str, **form: str) -> Any:
    return client.post(f"/center/{path}", data=form, follow_redirects=False)


def test_a_form_starts_a_session_once(center: Center, client: TestClient) -> None:
    key = Markup(client.get("/center").text).typed("key")
    form = {
        **TINY,
        "epochs": "3",
        "lr": "0.004",
        "retry_stopped": "1",
        "trainer": "local",
        "key": key,
        "action": "start",
    }
    first, again = (post(client, "start", **form) for _ in range(2))
    (made,) = the_queue(center)
    for answer in (first, again):
        assert (answer.status_code, answer.headers["location"]) == (303, f"/center#session-{made}")
    assert sessions.session(center, made).settings == {
        "epochs": 3, "lr": 0.004, "trainer": "local", "retry_stopped": True,
    }  # fmt: skip
    cloned = Markup(client.get(f"/center?clone={made}").text)
    assert (cloned.typed("epochs"), cloned.typed("lr"), cloned.checked("retry_stopped")) == ("3", "0.004", "1")
    assert cloned.typed("key") != key


def test_an_estimate_keeps_what_was_typed_and_starts_nothing(center: Center, client: TestClient) -> None:
    answer = post(client, "start", **TINY, epochs="3", seed="7", action="estimate")
    page = Markup(answer.text)
    assert answer.status_code == 200 and "estimate" in page.values("id")
    assert (page.typed("epochs"), page.typed("seed"), page.checked("corpus")) == ("3", "7", "English")
    assert not the_queue(center)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({**TINY, "epochs": "501"}, "epochs: "),
        ({"corpus": "Latin", "targetModel": "HelixTiny"}, "corpus: "),
        ({**TINY, "lr": "fast"}, "settings.lr: "),
        ({**TINY, "trainer": "slurm gpu=1"}, "slurm has no option"),
        ({**TINY, "targetModel": "Helix7"}, "Helix7"),
        ({**TINY, "after": "nobody"}, "nobody"),
    ],
)
def test_what_is_refused_is_one_line_beside_the_form(
    center: Center, client: TestClient, form: dict[str, str], said: str
) -> None:
    answer = post(client, "start", **form, action="start")
    assert answer.status_code in (404, 422)
    page = Markup(answer.text)
    assert said in page.text and "form-problem" in page.values("id")
    assert page.typed("epochs") == form.get("epochs", "")
    part = client.post("/center/start", data={**form, "action": "start"}, headers=HTMX)
    assert part.status_code == 200 and said in part.text and "<html" not in part.text
    assert not the_queue(center)


def test_a_long_training_is_started_only_with_a_tick(center: Center, client: TestClient) -> None:
    form = {"corpus": "English", "targetModel": "Helix50m", "action": "start"}
    asked = post(client, "start", **form)
    assert asked.status_code == 409 and "confirmed" in Markup(asked.text).values("id")
    assert not the_queue(center)
    assert post(client, "start", **form, confirmed="1").status_code == 303
    assert len(the_queue(center)) == 1


def test_sessions_are_moved_and_removed(center: Center, client: TestClient) -> None:
    one, two, three = (add_session(center.instance) for _ in range(3))
    answer = post(client, f"sessions/{three}/up")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/center#session-{three}")
    assert the_queue(center) == [one, three, two]
    part = client.post(f"/center/sessions/{one}/down", headers=HTMX)
    assert part.status_code == 200 and the_queue(center) == [three, one, two]
    assert Markup(part.text).values("data-session") == [three, one, two]
    post(client, f"sessions/{one}/delete")
    assert the_queue(center) == [three, two]
    assert post(client, f"sessions/{one}/up").status_code == 404
    assert post(client, f"sessions/{three}/sell").status_code == 404
    refused = post(client, f"sessions/{three}/resume", page="session")
    assert refused.status_code == 409 and "has not ended" in Markup(refused.text).text


def test_a_changed_session_takes_the_place_of_the_old_one(
    center: Center, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (add_session(center.instance) for _ in range(2))
    assert Markup(client.get(f"/center?change={first}").text).typed("replaces") == first
    form = {**TINY, "epochs": "9", "replaces": first, "action": "start"}
    assert post(client, "start", **{**form, "epochs": "501"}).status_code == 422
    assert the_queue(center) == [first, second]
    post(client, "start", **form)
    new, other = the_queue(center)
    assert other == second and new != first
    assert sessions.session(center, new).settings["epochs"] == 9

    delete = launch.delete

    def refuse(center: Center, run_id: str) -> None:
        if run_id == second:
            raise CenterError(409, "it had just started")
        delete(center, run_id)

    monkeypatch.setattr(launch, "delete", refuse)
    assert post(client, "start", **{**form, "replaces": second}).status_code == 409
    assert the_queue(center) == [new, second]


def test_a_session_that_others_follow_cannot_be_changed(center: Center, client: TestClient) -> None:
    first = add_session(center.instance)
    second = add_session(center.instance, corpus="HLX", after=first, chain=first)
    ids = Markup(client.get("/center").text).values("id")
    assert f"queue-change-{second}" in ids and f"queue-change-{first}" not in ids


def test_bodies_that_are_no_form_are_refused(client: TestClient) -> None:
    assert client.post("/center/start", json=TINY).status_code == 415
    assert client.post("/center/start", data={"corpus": "x" * 70_000}).status_code == 413
    kind = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/center/start", content=b"corpus=%ff", headers=kind).status_code == 422
    assert client.post("/center/start", content=b"&".join([b"a=1"] * 200), headers=kind).status_code == 422


def test_pages_that_are_not_there_say_so(client: TestClient) -> None:
    for path in ("/center/sessions/nobody", "/center?clone=nobody"):
        answer = client.get(path)
        assert answer.status_code == 404 and "no session 'nobody'" in Markup(answer.text).text
    assert client.get("/center/compare?ids=a").status_code == 422
    assert client.get("/", follow_redirects=False).headers["location"] == "/center"


@pytest.mark.parametrize("status", [*sessions.LIVE, *sessions.ENDED])
def test_the_page_of_a_run_in_any_status_is_shown(
    center: Center, client: TestClient, status: dg.DagsterRunStatus
) -> None:
    run_id = add_session(center.instance, status, corpus="Curriculum", size="10m")
    page = client.get(f"/center/sessions/{run_id}")
    assert page.status_code == 200 and "Helix10m" in page.text
    assert f"session-{run_id}" in Markup(client.get("/center").text).values("id")
