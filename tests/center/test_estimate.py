"""What a session will take is said before it starts, and what the trainer would refuse is refused."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.estimate import estimate, profile_of, size_of
from hlx_assets.center.models import TARGETS, Estimate
from hlx_assets.center.requests import StartRequest
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.corpus import store
from hlx_model.runs.heartbeat import Heartbeat
from tests.support.center import center_of
from tests.support.dagster_home import SETTINGS, Home


@pytest.fixture
def center(home: Home) -> Iterator[Center]:
    with center_of(home) as made:
        yield made


def estimated(center: Center, corpus: str = "English", **fields: Any) -> Estimate:
    return estimate(center, StartRequest(corpus=corpus, **fields))  # type: ignore[arg-type]


def refused(center: Center, **fields: Any) -> str:
    with pytest.raises(CenterError) as error:
        estimated(center, **fields)
    assert error.value.status == 422 and "\n" not in error.value.detail
    return error.value.detail


@pytest.mark.parametrize(("corpus", "phase"), [("English", 1), ("HLX", 2), ("Translation", 3)])
def test_a_session_is_estimated_as_it_was_trained(center: Center, home: Home, corpus: str, phase: int) -> None:
    own = dict(SETTINGS[f"phase{phase}_checkpoint"])
    found = estimated(center, corpus, epochs=own.pop("epochs"), settings=own)
    (shown,) = found.phases
    trained = read_manifest(home.latest(f"phase{phase}_checkpoint"))
    assert (shown.phase, shown.epochs) == (phase, trained.epochs)
    assert shown.basis == f"as training {trained.training_id[:8]} here"
    assert shown.tokens and shown.tokens_per_second
    assert found.seconds == shown.seconds == pytest.approx(shown.tokens / shown.tokens_per_second)
    assert found.refusal is found.must_confirm is None
    assert f": {trained.epochs} epochs, about " in found.summary and "cpu (no GPU: " in found.summary


def test_a_curriculum_takes_as_long_as_its_phases(center: Center) -> None:
    found = estimated(center, "Curriculum")
    assert [phase.phase for phase in found.phases] == [1, 2, 3]
    assert found.seconds == pytest.approx(sum(phase.seconds or 0 for phase in found.phases))
    assert found.disk_bytes > estimated(center).disk_bytes > 0


def test_what_trains_elsewhere_is_not_measured_by_this_machine(center: Center) -> None:
    assert estimated(center, targetModel="Helix100m").must_confirm
    found = estimated(center, targetModel="Helix100m", settings={"trainer": "slurm gpus=1"})
    assert {found.refusal, found.must_confirm, found.seconds} == {None}
    assert (found.device, found.phases[0].tokens_per_second) == ("slurm gpus=1", None)
    assert "slurm gpus=1; memory" in found.summary


def test_a_corpus_is_counted_once(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    first = estimated(center)
    monkeypatch.delattr(store, "batches")
    assert estimated(center).phases == first.phases


def test_a_speed_that_is_not_known_is_measured_in_the_training(center: Center) -> None:
    found = estimated(center, targetModel="Helix10m", epochs=3)
    assert found.seconds is found.phases[0].seconds is None
    assert found.phases[0].basis == "measured in the first half minute of the training"
    assert found.must_confirm == "Helix10m on a CPU takes hours to weeks"


def test_a_large_model_without_a_gpu_is_confirmed_and_what_fits_is_named(center: Center) -> None:
    said = estimated(center, targetModel="Helix100m", epochs=1).must_confirm
    assert said == "Helix100m on a CPU takes hours to weeks: without a GPU choose HelixTiny or Helix10m"


def test_a_known_speed_gives_the_time_to_confirm(center: Center, home: Home) -> None:
    training = home.latest("phase1_checkpoint").parents[1]
    beat = Heartbeat.load(training)
    beat.size = "10m"
    beat.write(training)
    assert str(estimated(center, targetModel="Helix10m").must_confirm).startswith("Helix10m on a CPU takes about ")


def test_without_its_corpus_a_session_says_what_it_does_not_know(empty_home: Home) -> None:
    with center_of(empty_home) as center:
        found = estimated(center, "HLX")
        (phase,) = found.phases
        assert (phase.epochs, phase.tokens, phase.seconds) == (None, None, None)
        assert phase.basis == "known once its corpus is made" and phase.basis in found.summary
        assert estimated(center, "HLX", epochs=7).phases[0].epochs == 7
        assert estimated(center, "HLX", profile="production", targetModel="HelixTiny").phases[0].epochs == 200
        assert "batch_size is 0" in refused(center, settings={"batch_size": 0})


def test_what_the_trainer_would_refuse_is_refused_with_what_fits(center: Center) -> None:
    refusal = str(estimated(center, settings={"memory_limit": 0.1}).refusal)
    assert (
        refusal.startswith("tiny with batch size 8 and sequence length 256 needs ") and "0.1 GiB available" in refusal
    )
    fixed = str(estimated(center, "HLX", targetModel="Helix100m", settings={"memory_limit": 1.0}).refusal)
    assert fixed.endswith("this size does not fit, and another one starts at phase 1")


def test_what_does_not_fit_on_the_disk_is_refused(center: Center, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=9))
    found = estimated(center, epochs=2)
    assert (
        found.disk_free_bytes == 9
        and "0 MiB available under " in str(found.refusal)
        and "make room" in str(found.refusal)
    )


def test_what_another_training_uses_is_free_when_it_is_the_turn(center: Center, home: Home) -> None:
    training = home.latest("phase1_checkpoint").parents[1]
    before = estimated(center).memory_available_bytes
    beat = Heartbeat(training.name, phase=1, size="tiny", epochs=40, status="training", started=time.time())
    beat.write(training)
    used = psutil.Process().memory_info().rss
    assert estimated(center).memory_available_bytes == pytest.approx(before + used, abs=used / 2)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"targetModel": "GPT"}, "targetModel is 'GPT': choose one of HelixTiny, Helix10m, "),
    ({"settings": {"lr": -1.0}}, "learning_rate is -1.0: it must be above 0"),
    ({"settings": {"lr": "nan"}}, "learning_rate is nan: it must be above 0"),
    ({"settings": {"accumulation": 0}}, "accumulation is 0: it must be at least 1"),
    ({"settings": {"gate_every": -1}}, "gate_every is -1: "),
    ({"settings": {"memory_limit": "inf"}}, "memory_limit is inf: "),
    ({"settings": {"seq_length": 10_000}}, "seq_length is 10000: it must be 3 to 512"),
    ({"epochs": 3, "settings": {"tokens": 5}}, "epochs is 3 and tokens is 5: set one of them"),
    ({"settings": {"tokens": 10**15}}, "tokens is 1000000000000000: that is "),
    ({"settings": {"batch_size": 10**400}}, "a number of the settings is too large"),
]


def test_a_wrong_setting_is_named(center: Center) -> None:
    for fields, said in WRONG:
        assert refused(center, **fields).startswith(said)


def test_a_target_is_a_size_and_the_profile_decides_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for target, size in TARGETS.items():
        assert size_of(StartRequest(corpus="English", targetModel=target.upper())) == size
    assert size_of(StartRequest(corpus="English")) == "tiny"
    assert size_of(StartRequest(corpus="English", profile="production")) == "100m"
    monkeypatch.setenv("HLX_PROFILE", "fast")
    with pytest.raises(CenterError, match="HLX_PROFILE is 'fast'"):
        profile_of(StartRequest(corpus="English"))
