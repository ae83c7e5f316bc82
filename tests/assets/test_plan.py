"""What a curriculum will take is stated before its first step, and the launchpad shows what it starts from."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from hlx_assets.curriculum.plan import Plan, advice, corpus_lines, plan_curriculum, show_corpus, show_plan
from hlx_assets.curriculum.run import _confirm, console
from hlx_assets.curriculum.session import SESSION
from hlx_assets.curriculum.settings import TrainingConfig, config_of, given, named
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.composer.sampling import compose
from hlx_model.phases import PHASES
from hlx_model.profiles import PROFILES
from tests.support.dagster_home import SETTINGS, Home

CORPORA = ("corpus_document", "corpus_examples", "english_corpus", "hlx_corpus", "paired_corpus")


def corpora(home: Home) -> dict[str, Path]:
    return {asset: home.latest(asset) for asset in CORPORA}


def planned(home: Home, **settings: dict[str, Any]) -> Plan:
    config = {"ops": {name: {"config": value} for name, value in settings.items()}}
    with home.instance() as instance:
        return plan_curriculum(instance, config, corpora(home))


def test_the_plan_is_what_was_trained(home: Home) -> None:
    for found in planned(home, **SETTINGS).forecasts:
        manifest = read_manifest(home.latest(f"phase{found.settings.phase}_checkpoint"))
        assert (found.settings.epochs, found.settings.to_json()) == (manifest.epochs, manifest.settings)
        assert found.epochs == 0, "it is trained already"
        assert found.basis == f"as training {manifest.training_id[:8]} here"


def test_what_follows_another_training_is_trained_anew(home: Home) -> None:
    changed = {**SETTINGS, "phase2_checkpoint": {**SETTINGS["phase2_checkpoint"], "seed": 5}}
    assert [found.epochs for found in planned(home, **changed).forecasts] == [0, 20, 8]


def test_the_plan_names_what_is_set_aside_with_line_and_reason(empty_home: Home) -> None:
    text = (empty_home.path / "small.md").read_text()
    empty_home.write(f"{text}\nEnglish: Broken one\nHLXL: {{1000: {{@0:\n")
    empty_home.materialize(*CORPORA)
    read, quarantined = corpus_lines(empty_home.latest("corpus_examples"))
    assert read == "37 entries read, 1 quarantined"
    assert quarantined.startswith("quarantined: small.md line ") and "(Broken one): " in quarantined
    with console.capture() as captured:
        show_corpus(console, empty_home.latest("corpus_examples"))
        show_plan(console, planned(empty_home), empty_home.latest("corpus_examples"))
    shown = captured.get()
    assert quarantined in shown and "cpu (no GPU: " in shown and "checkpoints need up to " in shown
    assert max(map(len, shown.splitlines()[2:8])) <= 80  # the table


def test_a_corpus_that_can_only_be_learned_by_heart_is_named(home: Home) -> None:
    (line,) = advice(planned(home), home.latest("corpus_examples"))
    assert line.startswith("small.md: so small a corpus can only be learned by heart (test values: 2, required ≥ 36")
    assert "ENTRIES=20000" in line


def test_few_composed_entries_are_no_quicker_and_the_plan_says_what_is(empty_home: Home) -> None:
    empty_home.materialize(*CORPORA, corpus_document={"corpus": "composed", "entries": 400})
    examples = empty_home.latest("corpus_examples")
    (line,) = advice(planned(empty_home), examples)
    assert line.startswith("so few entries are no quicker: the budget of 17,000,000 tokens reads them ")
    assert "phase3_checkpoint, `tokens: 4250000`" in line
    assert list(advice(planned(empty_home, phase3_checkpoint={"tokens": 100_000}), examples)) == []


def test_beside_composed_entries_the_plan_repeats_a_users_document(empty_home: Home) -> None:
    """As the trainer does: the tokens are those of the run."""
    empty_home.write(compose(40, 7))
    empty_home.materialize(*CORPORA, corpus_document={"entries": 300})
    found = planned(empty_home, phase1_checkpoint={"epochs": 1}).forecasts[0]
    run = empty_home.materialize("phase1_checkpoint", phase1_checkpoint={"epochs": 1})
    with empty_home.instance() as instance:
        lines = [entry.user_message for entry in instance.all_logs(run.id)]
    assert found.settings.document_weight == 0.15
    assert any(line.startswith(f"phase 1, tiny: 1 epoch of {found.tokens:,} tokens, about ") for line in lines)


@pytest.fixture
def large(home: Home) -> Plan:
    return planned(home, **{f"phase{n}_checkpoint": {"size": "10m", "epochs": 1} for n in PHASES})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_large_model_on_a_cpu_wants_a_yes(large: Plan, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    _confirm(planned(home))  # tiny
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(ValueError, match=r"10m on a CPU takes about .*: nothing was trained; .*ARGS=--yes"):
        _confirm(large)
    for answer in ("", "n", "no", "what?"):
        monkeypatch.setattr("sys.stdin", Terminal(f"{answer}\n"))
        with pytest.raises(ValueError, match="nothing was trained"):
            _confirm(large)
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    _confirm(large)


@pytest.fixture(params=sorted(PROFILES))
def profile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("HLX_PROFILE", request.param)
    yield request.param


def test_the_launchpad_shows_the_values_of_the_profile(profile: str) -> None:
    own = PROFILES[profile]
    for phase in PHASES.values():
        defaults = {name: field.default for name, field in config_of(phase).model_fields.items()}
        schedule = own.schedules[phase.number]
        assert (defaults["size"], defaults["batch_size"], defaults["seed"]) == (own.size, own.batch_size, own.seed)
        assert (defaults["lr"], defaults["tokens"]) == (schedule.learning_rate, schedule.tokens)
        assert defaults["epochs"] == (None if schedule.tokens else schedule.epochs)
        assert all(field.description for field in config_of(phase).model_fields.values())


def test_what_is_as_the_launchpad_shows_it_is_not_given(profile: str) -> None:
    for phase in PHASES.values():
        shown = config_of(phase)()
        settings = {"size", "epochs", "tokens", "lr", "batch_size", "seq_length", "seed"}
        assert {name for name in settings if given(phase, shown)[name] is not None} == set()
        changed = config_of(phase)(epochs=5, lr=0.5, profile="production")
        assert {name: value for name, value in given(phase, changed).items() if name in settings and value} == {
            "epochs": 5, "lr": 0.5,
        }  # fmt: skip


def test_what_a_session_names_is_exact_also_if_it_is_as_shown(profile: str) -> None:
    for phase in PHASES.values():
        usual = config_of(phase)()
        settings: dict[str, Any] = {"profile": "production", "size": usual.size, "epochs": 200, "tokens": usual.tokens}
        config, ops = config_of(phase)(**settings), {phase.checkpoint_asset: {"config": settings}}
        run = dg.DagsterRun(job_name="curriculum", run_config={"ops": ops})
        assert given(phase, config, named(run, phase))["size"] is None
        session = run.with_tags({SESSION: "English"})
        exact = given(phase, config, named(session, phase))
        assert {name: exact[name] for name in settings} == settings
        assert exact["lr"] is None, "it is not named"
        assert not named(session, PHASES[phase.number % 3 + 1])


def test_a_checkpoint_is_continued_for_the_tokens_that_are_shown() -> None:
    phase = PHASES[1]
    shown = config_of(phase)(continue_from="abc/phase1_FINAL_epoch1")
    assert given(phase, shown)["tokens"] == PROFILES["quick"].schedules[1].tokens
    assert given(phase, config_of(phase)(continue_from="abc", epochs=9))["tokens"] is None
    assert isinstance(shown, TrainingConfig)
