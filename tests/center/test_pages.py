"""The pages: whole, harmless whatever a session is called, and of use without JavaScript."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from starlette.testclient import TestClient

from hlx_assets.center import checkpoints, curves, health, history, log, models, providers, sessions
from hlx_assets.center.app import create_app
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.provider_models import Costs, KeyInfo, ModelInfo, OpenCall, OpinionInfo, ProviderInfo
from hlx_assets.center.rendering import STATIC, format_small, page_title, static, table_rows, ticks
from tests.support.markup import Markup
from tests.support.sessions import session_of

NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
HTMX = {"HX-Request": "true"}
HOSTILE = (
    "<script>alert(1)</script>",
    "</title></textarea></select><img src=https://example.com/x onerror=alert(1)>",
    "\"'><b onmouseover='alert(1)' style=\"display:none\">",
    "--><!-- ]]> &lt;i&gt; {{ 7 * 7 }} {% raw %} ` one tick",
    "`<i>` and a\u202eb\u200f\ufeff\x00\x1b[31m",
)
PLAIN = "words"
STATES = [
    ("queued", "waiting"), ("running", "training"), ("running", "canceling"), ("completed", "completed"),
    ("failed", "quality_failed"), ("failed", "canceled"), ("failed", "withdrawn"), ("failed", "failed"),
]  # fmt: skip


def sessions_called(text: str) -> list[models.TrainingSession]:
    """Return a session in each state, in which every text is `text`."""
    links = models.Links(
        page="/center/sessions/1", run="http://127.0.0.1:3000/runs/1", report="/r", card="/c", lineage="/l"
    )
    texts = {"provider": text, "model": text, "reason": text, "profile": text, "parent": text, "chain": text}
    return [
        session_of(
            "abc", id=f"{number}-{text}", status=status, state=state, position=1 if status == "queued" else None,
            settings={text: text, "lr": 5e-5}, progress=43.9, step=10, steps=20, epoch=2, train_loss=1.5, val_loss=2.5,
            learning_rate=5e-5, tokens_per_second=1234.5, eta_hours=0.5, links=links, after=text, resumes=text, **texts,
        )
        for number, (status, state) in enumerate(STATES)
    ]  # fmt: skip


@pytest.fixture
def show(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], TestClient]:
    """Return a function that gives the client of a Center in which every text is the same."""

    def shown(text: str) -> TestClient:
        all_sessions = sessions_called(text)
        gates = [models.Gate(name=text, outcome=outcome, reason=text) for outcome in ("pass", "warn", "fail")]
        marks = [models.MilestoneMark(epoch=1, step=1, outcome="fail", gates=gates)]
        points = [
            models.CurvePoint(
                step=step, epoch=1, train_loss=1.0, val_loss=2.0, learning_rate=1e-4, tokens_per_second=1.0
            )
            for step in (1, 2)
        ]
        curve = [
            models.TrainingCurve(training_id=f"{phase}{text}", phase=phase, points=points, milestones=marks)
            for phase in (1, 2)
        ]
        of_gates = [
            models.SessionGates(
                training_id="abc", phase=1, milestones=marks, verdict="fail", conclusion=text, gates=gates
            )
        ]
        line = models.LogLine(time=NOW, level=text, step=text, text=text)
        row = models.CheckpointRow(
            id="abc", name=text, phase=3, size=text, epoch=1, epochs=1, kind=text, created=NOW, verdict="warn",
            grade=text, conclusion=text, evaluation=0.5, exact_match_to_hlx=0.5, exact_match_to_english=0.5,
            translates=True, run_id=text, session="/s", report="/r", card="/c", lineage="/l",
        )  # fmt: skip
        alert = models.AlertLine(time=NOW, subject=text, problem=text, run_id=f"1-{text}", training_id=text)
        found = models.Health(
            status="degraded", problems=[text], daemon=True, watchdog=False, device=text, disk_free_bytes=1 << 30,
            version=text, alerts=[alert],
        )  # fmt: skip
        keys = [
            KeyInfo(
                id=f"k{number}", provider=text, name=text, key=text, models=[text], host=text, agreed=False,
                created=NOW.isoformat(), last_used=used, validated=used, problem=problem,
            )
            for number, (used, problem) in enumerate(((None, None), (NOW.isoformat(), None), (None, text)))
        ]  # fmt: skip
        model = ModelInfo(name=text, title=text, specialty=text, tier=text, input_usd=0.5, output_usd=None)
        offered = [
            ProviderInfo(
                name=f"p{number}", title=text, host=text, needs_key=needs_key, usable=usable, agreed=False, sends=text,
                models=[model.model_copy(update={"input_usd": None} if needs_key else {"output_usd": 1.0})],
            )
            for number, (needs_key, usable) in enumerate(((False, True), (True, True), (True, False)))
        ]  # fmt: skip
        call = OpenCall(id=text, time=text, model=text, purpose=text, session=text, usd=0.01, alive=False)
        spent = Costs(
            booked_usd=1.0, reserved_usd=0.01, today_usd=0.5, all_usd=1.01, open=[call], closed={text: text},
            caps_usd={"call": 0.25, "session": 5, "day": 5, "all": 20}, by_day={text: 1.0},
            **{f"by_{kind}": {text: 1.0} for kind in ("provider", "purpose", "session")},
        )  # fmt: skip
        opinion = OpinionInfo(
            training_id="abc", time=1.0, trigger="gates", step=1, epoch=1, provider=text, model=text, outcome=text,
            verdict="stop", confidence="high", signs=[text], evidence=[{"step": 1, "figure": text}], advice=text,
            note=text,
        )  # fmt: skip
        opinions = [opinion, opinion.model_copy(update={"verdict": None, "confidence": None})]
        answer = models.TestAnswer(text=text, to="HLXL", parses=False, checkpoint=text, trust=[text])
        patches: dict[tuple[Any, str], Callable[..., Any]] = {
            (sessions, "queue"): lambda center, ended=10: all_sessions,
            (sessions, "history"): lambda center, limit: all_sessions,
            (sessions, "session"): lambda center, wanted: all_sessions[int(wanted[0])],
            (history, "row"): lambda center, one: models.HistoryRow(
                session=one, seconds=60.0, train_loss=1.0, best_val_loss=2.0, test_loss=None, exact_match_to_hlx=None,
                exact_match_to_english=None, evaluation=0.5,
            ),
            (history, "compare"): lambda center, rows: models.Comparison(
                sessions=rows, settings={text: [text for _ in rows]}, figures={text: [None for _ in rows]},
                curves=[*curve],
            ),
            (curves, "curves"): lambda center, one: curve,
            (curves, "gates"): lambda center, one: of_gates,
            (log, "session_log"): lambda center, run, cursor, limit: models.SessionLog(
                lines=[line], cursor=text, more=False
            ),
            (checkpoints, "checkpoints"): lambda center: [row],
            (checkpoints, "test"): lambda center, training, request: answer,
            (checkpoints, "export"): lambda center, training, request: models.ExportAnswer(
                directory=text, files=[text], note=text
            ),
            (checkpoints, "report_page"): lambda center, training: "<!DOCTYPE html><p>report",
            (checkpoints, "card"): lambda center, training: text,
            (checkpoints, "lineage"): lambda center, training: text,
            (health, "health"): lambda center: found,
            (providers, "keys"): lambda center: keys,
            (providers, "providers"): lambda center: offered,
            (providers, "costs"): lambda center: spent,
            (providers, "opinions"): lambda center, one: opinions,
            (providers, "spent_by_session"): lambda center: {},
        }  # fmt: skip
        for (module, name), patch in patches.items():
            monkeypatch.setattr(module, name, patch)
        return TestClient(create_app(cast(Center, SimpleNamespace(token=text))), base_url="http://127.0.0.1:5000")

    return shown


def pages_of(client: TestClient) -> dict[str, Markup]:
    """Return every page, also those that answer forms."""
    there = ("/center", "/center?clone=1", "/center?change=0", "/center/sessions/1", "/center/compare?ids=0,1,2")
    found = {path: client.get(path).text for path in there}
    found["test"] = client.post("/center/checkpoints/abc/test", data={"text": "hello"}).text
    found["export"] = client.post("/center/checkpoints/abc/export", data={"format": "pt"}).text
    return {path: Markup(text) for path, text in found.items()}


@pytest.fixture
def pages(show: Callable[[str], TestClient]) -> dict[str, Markup]:
    return pages_of(show(PLAIN))


def test_nothing_on_a_page_is_inline(pages: dict[str, Markup]) -> None:
    for path, page in pages.items():
        assert page.script == "", path
        assert not page.all("style") and not page.values("style"), path
        handlers = [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
        assert not handlers, path
        assert all(one["src"].startswith("/center/static/") for one in page.all("script")), path


def test_pages_are_whole(pages: dict[str, Markup]) -> None:
    for path, page in pages.items():
        assert not page.wrong, (path, page.wrong)
        ids = page.values("id")
        assert len(ids) == len(set(ids)), (path, sorted(one for one in ids if ids.count(one) > 1))
        assert not page.unlabelled, (path, page.unlabelled)
        for attribute in ("aria-labelledby", "aria-describedby"):
            assert {one for value in page.values(attribute) for one in value.split()} <= set(ids), (path, attribute)
        own = {value[1:] for value in page.values("href") if value.startswith("#")}
        assert own <= set(ids), (path, own - set(ids))
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1, (path, levels)
        assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), (path, levels)
        for landmark in ("header", "main", "footer"):
            assert len(page.all(landmark)) == 1, (path, landmark)


def test_every_form_works_without_javascript(pages: dict[str, Markup]) -> None:
    forms = [form for page in pages.values() for form in page.all("form")]
    assert len(forms) > 20
    for form in forms:
        assert form["method"] in ("get", "post")
        assert form.get("hx-post", form["action"].partition("#")[0]) == form["action"].partition("#")[0]


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_others_are_only_text(show: Callable[[str], TestClient], text: str) -> None:
    harmless = pages_of(show(PLAIN))
    for path, page in pages_of(show(text)).items():
        own = [(tag, sorted(attributes)) for tag, attributes in page.elements if tag != "code"]
        assert own == [(tag, sorted(attributes)) for tag, attributes in harmless[path].elements if tag != "code"], path
        assert not page.wrong, path
        assert not set(page.text) & set("\x00\x1b\u202e\u200f\ufeff"), path


def test_a_part_alone_is_as_on_the_page(show: Callable[[str], TestClient]) -> None:
    client = show(PLAIN)
    whole = Markup(client.get("/center").text)
    own_parts = {one["hx-get"] for _, one in whole.elements if one.get("hx-get", "").startswith("/center/parts/")}
    assert own_parts == {
        f"/center/parts/{name}"
        for name in (
            "overall", "keys", "models", "supervisors", "queue", "live", "history", "checkpoints", "costs", "health",
        )
    }  # fmt: skip
    for path in own_parts:
        part = client.get(path)
        assert part.headers["cache-control"] == "no-store"
        own = [element for element in Markup(part.text).elements if element[0] != "title"]
        assert any(whole.elements[start:][: len(own)] == own for start in range(len(whole.elements))), path
    assert client.get("/center/parts/other").status_code == 404
    for name in ("head", "gates"):
        assert client.get(f"/center/sessions/1/{name}", headers=HTMX).status_code == 200


def test_a_part_that_cannot_be_read_says_why(
    show: Callable[[str], TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = show(PLAIN)

    def refuse(error: Exception) -> Callable[..., Any]:
        def refused(*_: Any, **__: Any) -> Any:
            raise error

        return refused

    monkeypatch.setattr(checkpoints, "checkpoints", refuse(CenterError(503, "the folder is gone")))
    monkeypatch.setattr(sessions, "queue", refuse(OSError("a secret path")))
    page = client.get("/center")
    assert page.status_code == 200
    assert "the folder is gone" in page.text and "the log of this server says why" in page.text
    assert "a secret path" not in page.text
    assert "Everything" not in page.text and 'id="pick-' in page.text  # the history is there


def test_a_report_runs_nothing_and_texts_are_texts(show: Callable[[str], TestClient]) -> None:
    client = show(HOSTILE[0])
    report = client.get("/center/checkpoints/abc/report")
    assert report.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    for name in ("card", "lineage"):
        text = client.get(f"/center/checkpoints/abc/{name}")
        assert text.headers["content-type"] == "text/plain; charset=utf-8"
        assert text.headers["x-content-type-options"] == "nosniff"
        assert text.headers["content-security-policy"] == "sandbox; default-src 'none'"
        assert text.text == HOSTILE[0]


def test_the_title_says_how_it_stands() -> None:
    waiting, running, _, completed, failed, *_ = sessions_called(PLAIN)
    assert page_title([running, completed], "Center") == "▶ 43% Curriculum tiny – HLX Brain"
    assert page_title([waiting, completed], "Center") == "✓ Curriculum tiny – HLX Brain"
    assert page_title([failed], "Center") == "✗ Curriculum tiny – HLX Brain"
    assert page_title([waiting], "Center") == "Center – HLX Brain"


def test_figures_are_short() -> None:
    assert [format_small(value) for value in (6e-3, 5e-5, 1.5, None)] == ["0.006", "5e-5", "1.5", "–"]
    assert ticks("use `hlx clean` <now>") == "use <code>hlx clean</code> &lt;now&gt;"


def test_a_table_of_a_curve_has_its_ends_and_the_validation_losses() -> None:
    def point(step: int, loss: float | None) -> models.CurvePoint:
        return models.CurvePoint(
            step=step, epoch=1, train_loss=1.0, val_loss=loss, learning_rate=None, tokens_per_second=None
        )

    def steps(points: list[models.CurvePoint]) -> list[int]:
        return [
            one.step for one in table_rows(models.TrainingCurve(training_id="a", phase=1, points=points, milestones=[]))
        ]

    assert steps([]) == []
    assert steps([point(1, None), point(2, 3.0), point(3, None)]) == [2]
    thinned = steps([point(step, None) for step in range(1000)])
    assert len(thinned) == 40 and (thinned[0], thinned[-1]) == (0, 999)


def test_the_script_has_a_text_for_every_field(pages: dict[str, Markup]) -> None:
    script = (STATIC / "center.js").read_text("utf-8")
    known = set(re.findall(r"^    (\w+): ", script.partition("const FIELDS = {")[2].partition("};")[0], re.MULTILINE))
    used = {value for page in pages.values() for value in page.values("data-field")} - {"bar"}
    assert used == known


def test_static_files_have_an_address_of_their_content(pages: dict[str, Markup]) -> None:
    client = TestClient(create_app(cast(Center, None)), base_url="http://127.0.0.1:5000")
    used = {value for name in ("src", "href") for value in pages["/center"].values(name) if "/static/" in value}
    assert used == {static(path.name) for path in STATIC.iterdir() if path.suffix != ".md"}
    assert all(client.get(address).status_code == 200 for address in used)


def _contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2.2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    dark, light = sorted(map(luminance, (first, second)))
    return (light + 0.05) / (dark + 0.05)


def test_texts_can_be_read_in_light_and_dark() -> None:
    css = (STATIC / "center.css").read_text("utf-8")
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    )
    words = [
        *(("ink", on) for on in ("page", "card", "wash")), *(("soft", on) for on in ("page", "card", "wash")),
        *((status, f"{status}-wash") for status in ("queued", "running", "completed", "failed")),
        *((status, "card") for status in ("queued", "completed", "failed")), ("accent", "card"),
        ("accent", "accent-wash"), ("accent", "wash"), ("on-accent", "accent"), ("soft", "accent-wash"),
    ]  # fmt: skip
    lines = [("edge", "card"), ("training", "card"), ("validation", "card"), *((f"s{n}", "card") for n in range(1, 5))]
    for colours in (light, light | dark):
        for pairs, least in ((words, 4.5), (lines, 3.0)):
            for text, ground in pairs:
                assert _contrast(colours[text], colours[ground]) >= least, (text, ground, colours[text])
