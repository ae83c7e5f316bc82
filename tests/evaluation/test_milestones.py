"""The gates during training: they catch what is broken, and let pass what a healthy run shows early."""

import pytest

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.gates.milestones import (
    MILESTONES,
    checkpoint_gates,
    milestone_gates,
    recorded_milestone_gate,
)
from hlx_model.evaluation.losses import predict
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.verdicts import GateResult, worst
from tests.conftest import Curriculum
from tests.evaluation.models import Echo, Uniform, trained_on_unshifted_labels


@pytest.fixture(scope="module")
def texts(curriculum: Curriculum) -> tuple[list[str], list[str]]:
    """Of phase 1: to train on, and held out."""
    plan = curriculum.phases[1].plan
    return plan.train, plan.held_out


UNIGRAM = 3.0


def judged(
    model: Transformer,
    texts: tuple[list[str], list[str]],
    *,
    step: int,
    reported: float,
    best: float | None = None,
    train_tokens: int = 1_000_000,
    epoch: int = 1,
    began: float = 4.77,
) -> dict[str, GateResult]:
    train, held_out = texts
    gates = milestone_gates(
        model, train, held_out, epoch=epoch, epochs=200, step=step, reported_loss=reported, best_loss=best,
        train_tokens=train_tokens, unigram=UNIGRAM, began=began,
    )  # fmt: skip
    return {gate.name: gate for gate in gates}


def outcomes(gates: dict[str, GateResult]) -> dict[str, str]:
    return {name: gate.outcome for name, gate in gates.items()}


ALL_PASS = {"next_token_loss": "pass", "copy_rate": "pass", "reported_loss": "pass"}


def test_milestones_are_the_guides() -> None:
    assert MILESTONES == (1, 5, 10, 20, 50, 100, 150, 200)


@pytest.mark.parametrize("name", ["phase1_epoch1", "phase1_epoch5", "phase1_epoch20", "phase1_FINAL_epoch30"])
def test_a_healthy_training_passes_from_its_first_epoch(
    curriculum: Curriculum, texts: tuple[list[str], list[str]], name: str
) -> None:
    path = curriculum.phases[1].checkpoint.parent / name
    state = read_state(path)
    gates = judged(
        checkpoints.load_model(verify_checkpoint(path)), texts,
        step=state.step, reported=state.epoch_losses[-1], best=state.best_loss,
    )  # fmt: skip
    assert outcomes(gates) == ALL_PASS


@pytest.mark.parametrize(("train_tokens", "outcome"), [(3_500, "warn"), (1_000_000, "fail")])
def test_a_model_that_overfits_a_small_corpus_is_warned_of_and_not_stopped(
    curriculum: Curriculum, texts: tuple[list[str], list[str]], train_tokens: int, outcome: str
) -> None:
    path = curriculum.phases[1].checkpoint
    strange = ["qz#%zq#%" * 3]
    reported = read_state(path).epoch_losses[-1]
    model = checkpoints.load_model(verify_checkpoint(path))
    gates = judged(model, (texts[0], strange), step=500, reported=reported, best=2.0, train_tokens=train_tokens)
    assert gates["next_token_loss"].outcome == outcome


def test_labels_that_were_not_shifted_fail_every_gate(texts: tuple[list[str], list[str]]) -> None:
    gates = judged(trained_on_unshifted_labels(texts[0]), texts, step=25, reported=0.05, train_tokens=1_000)
    assert outcomes(gates) == dict.fromkeys(ALL_PASS, "fail")
    assert gates["copy_rate"].value is not None and gates["copy_rate"].value > 0.9
    assert "look whether the labels are shifted" in gates["copy_rate"].reason
    assert "the trainer's loss is not the model's next-token loss" in gates["reported_loss"].reason


def test_a_copy_rate_of_half_is_the_limit(texts: tuple[list[str], list[str]]) -> None:
    assert outcomes(judged(Echo(), texts, step=1, reported=20.0))["copy_rate"] == "fail"
    assert outcomes(judged(Uniform(), texts, step=1, reported=4.76))["copy_rate"] == "pass"


def test_a_model_that_guesses_has_50_steps_to_do_better(texts: tuple[list[str], list[str]]) -> None:
    assert outcomes(judged(Uniform(), texts, step=49, reported=4.76)) == ALL_PASS
    gates = judged(Uniform(), texts, step=50, reported=4.76)
    assert outcomes(gates) == {**ALL_PASS, "next_token_loss": "fail"}
    assert "the model learns nothing" in gates["next_token_loss"].reason


@pytest.mark.parametrize(("began", "step", "outcome"), [(4.77, 50, "fail"), (4.9, 299, "pass"), (4.9, 300, "fail")])
def test_weights_that_learn_slowly_have_300_steps_if_they_learn_at_all(
    texts: tuple[list[str], list[str]], began: float, step: int, outcome: str
) -> None:
    gates = judged(Uniform(), texts, step=step, reported=4.76, began=began)
    assert gates["next_token_loss"].outcome == outcome


@pytest.mark.parametrize(
    ("began", "step", "outcome"), [(4.77, 5, "fail"), (6.0, 5, "fail"), (50.0, 5, "pass"), (50.0, 200, "fail")]
)
def test_a_phase_that_begins_above_a_guess_has_200_steps_to_come_down(
    texts: tuple[list[str], list[str]], began: float, step: int, outcome: str
) -> None:
    gates = judged(Echo(), texts, step=step, reported=20.0, began=began)
    assert gates["next_token_loss"].value is not None and 6 < gates["next_token_loss"].value < 50
    assert gates["next_token_loss"].outcome == outcome


def test_a_model_that_was_better_before_passes_unless_it_came_to_harm(texts: tuple[list[str], list[str]]) -> None:
    assert outcomes(judged(Uniform(), texts, step=500, reported=4.76, best=2.5)) == ALL_PASS
    harmed = judged(Echo(), texts, step=500, reported=20.0, best=2.5)["next_token_loss"]
    assert harmed.outcome == "fail" and harmed.value is not None and harmed.value > 5


def test_a_true_loss_above_the_reported_one_fails_and_one_below_does_not(
    curriculum: Curriculum, texts: tuple[list[str], list[str]]
) -> None:
    model = checkpoints.load_model(verify_checkpoint(curriculum.phases[1].checkpoint))
    true = predict(model, texts[0]).loss
    for reported, outcome in ((true - 0.6, "fail"), (true - 0.4, "pass"), (true + 2.0, "pass")):
        assert outcomes(judged(model, texts, step=90, reported=reported))["reported_loss"] == outcome


def test_a_loss_that_is_no_number_fails(texts: tuple[list[str], list[str]]) -> None:
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    model.output_projection.weight.data[5] = float("nan")
    for step, best in ((1, None), (500, 2.0)):
        found = outcomes(judged(model, texts, step=step, reported=4.0, best=best))
        assert found["reported_loss"] == "fail"
        assert found["next_token_loss"] == "fail"


@pytest.mark.parametrize(
    ("best", "step", "train_tokens", "outcome"),
    [
        (2.89, 300, 1_000_000, "pass"),
        (2.91, 300, 1_000_000, "fail"),
        (2.91, 299, 1_000_000, "warn"),  # too few steps
        (2.91, 300, 99_999, "warn"),  # too little text
    ],
)
def test_from_epoch_10_the_best_loss_is_below_what_counting_symbols_gives(
    texts: tuple[list[str], list[str]], best: float, step: int, train_tokens: int, outcome: str
) -> None:
    gates = judged(Uniform(), texts, step=step, reported=4.76, best=best, train_tokens=train_tokens, epoch=10)
    assert gates["unigram"].outcome == outcome
    assert "unigram" not in judged(Uniform(), texts, step=step, reported=4.76, best=best, epoch=5)


def test_a_checkpoint_of_another_size_than_asked_for_fails(curriculum: Curriculum) -> None:
    path = curriculum.phases[1].checkpoint
    assert [gate.outcome for gate in checkpoint_gates(path, "tiny")] == ["pass", "pass"]
    count, length = checkpoint_gates(path, "10m")
    assert count.outcome == length.outcome == "fail"
    assert count.reason == f"{SIZES['tiny'].parameters:,} parameters; 10m has {SIZES['10m'].parameters:,}"


def test_a_milestone_is_shown_as_it_was_recorded(texts: tuple[list[str], list[str]]) -> None:
    gates = list(judged(Uniform(), texts, step=50, reported=4.76).values())
    recorded = [{"epoch": 5, "outcome": worst(gates), "gates": [gate.to_json() for gate in gates]}]
    shown = recorded_milestone_gate(recorded, 5, 200)
    assert (shown.name, shown.outcome) == ("gate_at_epoch_5", "fail")
    assert shown.reason == gates[0].reason  # the gate that failed, not those that passed
    later = recorded_milestone_gate(recorded, 10, 200)
    assert (later.outcome, later.reason) == ("pass", "not due: the training ended before epoch 10 of its 200")
