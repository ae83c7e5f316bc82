"""phase3_baselines in the graph: off unless models are named, no gate, and nothing is asked twice."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
import pytest

from hlx_assets.definitions import definitions, defs
from hlx_model.evaluation.verdict import Verdict
from hlx_model.language import Format
from hlx_model.layout import BASELINES
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.prices import set_price
from hlx_model.providers.question import Choice
from hlx_model.reporting.baselines import Baselines
from tests.support.dagster_home import Home, Run
from tests.support.fake_provider import INPUT_TOKENS, OUTPUT_TOKENS, FakeProvider, status

ASSET = dg.AssetKey("phase3_baselines")


def answer(system: str, user: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer of the first example."""
    format = next(format for format in Format if f"English sentences into {format}," in system)
    match = re.search(rf"^English: .*\n{format}: (.*)$", system, re.MULTILINE)
    assert match
    return {"hlx": match[1]}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeProvider]:
    """A server that all providers are, and a graph with a local model to compare with."""
    with FakeProvider(answer=answer) as server:
        monkeypatch.setenv("HLX_PROVIDER_HOSTS", server.hosts)
        monkeypatch.setenv("HLX_BASELINES", "ollama/qwen3:1.7b, qwen/qwen3:1.7b")
        yield server


def materialized(home: Home, **config: Any) -> Run:
    job = definitions().resolve_implicit_global_asset_job_def()
    with home.instance() as instance:
        result = job.execute_in_process(
            instance=instance, asset_selection=[ASSET], raise_on_error=False,
            run_config={"ops": {"phase3_baselines": {"config": {"sample": 2, "device": "cpu", **config}}}},
        )  # fmt: skip
        return Run(result.run_id, result.all_events)


def test_without_the_variable_the_graph_has_no_baselines() -> None:
    assert ASSET not in defs.resolve_asset_graph().get_all_asset_keys()


def test_with_it_no_job_asks_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HLX_BASELINES", "claude/claude-haiku-4-5")
    graph = definitions()
    assert ASSET in graph.resolve_asset_graph().get_all_asset_keys()
    assert not [key for key in graph.resolve_asset_graph().asset_check_keys if key.asset_key == ASSET]
    for job in graph.jobs or []:
        keys = graph.resolve_job_def(job.name).asset_layer.executable_asset_keys
        assert ASSET not in keys and (keys or job.name == "supervise")
        assert keys == defs.resolve_job_def(job.name).asset_layer.executable_asset_keys


def test_models_are_compared_once_and_no_gate_changes(home: Home, fake: FakeProvider) -> None:
    verdict = Verdict.read(home.latest("phase3_validation_report"))
    set_price(ProviderFiles.of_home(home.path), Choice("qwen", "qwen3:1.7b"), "1", "5")
    run = materialized(home, usd_per_hour=2.5)
    assert run.success, run.failures
    assert run.materialized == ["phase3_baselines"] and not run.checks
    made = Baselines.read(home.latest("phase3_baselines") / BASELINES)
    ours, other = made.models
    assert other.name == "qwen/qwen3:1.7b" and other.samples == ours.samples == sum(made.rows.values())
    assert len(fake.asked) == other.samples and other.all_to_hlx["held-out"].parse_rate == 1
    per_call = INPUT_TOKENS * 1000 + OUTPUT_TOKENS * 5000
    assert other.cost_per_1000_nanodollars == 1000 * per_call and ours.cost_per_1000_nanodollars
    assert other.spent_nanodollars == other.samples * per_call
    shown = run.materialization("phase3_baselines").metadata
    assert "qwen/qwen3:1.7b" in str(shown["table"].value) and "$2.5 an hour" in str(shown["table"].value)

    again = materialized(home, usd_per_hour=2.5)
    assert again.success and len(fake.asked) == other.samples
    assert Baselines.read(home.latest("phase3_baselines") / BASELINES).models[1] == other.replace(spent_nanodollars=0)
    assert Verdict.read(home.latest("phase3_validation_report")) == verdict


@pytest.mark.parametrize(
    ("models", "config", "said"),
    [
        ("nobody/at-all", {}, "HLX_BASELINES: provider is 'nobody': choose one of claude, openai, xai, qwen"),
        ("qwen/qwen3:1.7b", {"watts": 300.0}, "watts and usd_per_kwh belong together"),
        ("qwen/qwen3:1.7b", {}, "no other model answered: qwen/qwen3:1.7b: refused: "),
    ],
)
def test_what_cannot_be_compared_is_said_in_one_line(
    home: Home, fake: FakeProvider, monkeypatch: pytest.MonkeyPatch, models: str, config: dict[str, Any], said: str
) -> None:
    monkeypatch.setenv("HLX_BASELINES", models)
    fake.script(status(404, "model not found, try pulling it first"))
    (failure,) = materialized(home, **config).failures.values()
    assert said in failure and "\n" not in failure
