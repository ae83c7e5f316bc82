"""The gates during training: they catch what is broken, and pass what a healthy run shows early."""

import pytest

from hlx_model.checkpoints import weights as checkpoints
from hlx_model.checkpoints.progress import read_state
from hlx_model.checkpoints.seal import verify_checkpoint
from hlx_model.evaluation.gates.checkpoint_size import checkpoint_gates
from hlx_model.evaluation.losses import predict
from hlx_model.evaluation.milestones import SAMPLE, milestone_gates, recorded_milestones_gate
from hlx_model.evaluation.target import EpochMeasurements
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.verdicts import GateResult, Milestone, worst
from tests.support.curriculum import Curriculum
from tests.support.models import Echo, Uniform, trained_on_unshifted_labels


@pytest.fixture(scope="module")
def texts(curriculum: Curriculum) -> tuple[list[str], list[str]]:
    """Return the texts of phase 1: to train on, and held out."""
    plan = curriculum.phases[1].plan
    return list(plan.train), list(plan.held_out)


UNIGRAM = 3.0


def measured(
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
    training, held_out = (predict(model, some[:SAMPLE]) for some in texts)
    gates = milestone_gates(
        EpochMeasurements(
            epoch=epoch,
            epochs=200,
            step=step,
            held_out=held_out,
            training=training,
            reported_loss=reported,
            best_loss=held_out.loss if best is None else min(held_out.loss, best),
            initial_loss=began,
            unigram=UNIGRAM,
            train_tokens=train_tokens,
            size="tiny",
        )
    )
    return {gate.name: gate for gate in gates}


def outcomes(gates: dict[str, GateResult]) -> dict[str, str]:
    return {name: gate.outcome for name, gate in gates.items()}


ALL_PASS = {"next_token_loss": "pass", "copy_rate": "pass", "reported_loss": "pass"}


@pytest.mark.parametrize("name", ["phase1_epoch1", "phase1_epoch5", "phase1_epoch20", "phase1_FINAL_epoch30"])
def test_a_healthy_training_passes_from_its_first_epoch(
    curriculum: Curriculum, texts: tuple[list[str], list[str]], name: str
) -> None:
    path = curriculum.phases[1].checkpoint.parent / name
    state = read_state(path)
    gates = measured(
        checkpoints.load_model(verify_checkpoint(path)), texts,
        step=state.step, reported=state.epoch_losses[-1], best=state.best_loss,
    )  # fmt: skip
    assert outcomes(gates) == ALL_PASS


@pytest.mark.parametrize(("train_tokens", "outcome"), [(3_500, "warn"), (1_000_000, "fail")])
def test_a_model_that_overfits_a_small_corpus_gets_a_warning(
    curriculum: Curriculum, texts: tuple[list[str], list[str]], train_tokens: int, outcome: str
) -> None:
    path = curriculum.phases[1].checkpoint
    strange = ["qz#%zq#%" * 3]
    reported = read_state(path).epoch_losses[-1]
    model = checkpoints.load_model(verify_checkpoint(path))
    gates = measured(model, (texts[0], strange), step=500, reported=reported, best=2.0, train_tokens=train_tokens)
    assert gates["next_token_loss"].outcome == outcome


def test_labels_that_were_not_shifted_fail_every_gate(texts: tuple[list[str], list[str]]) -> None:
    gates = measured(trained_on_unshifted_labels(texts[0]), texts, step=25, reported=0.05, train_tokens=1_000)
    assert outcomes(gates) == dict.fromkeys(ALL_PASS, "fail")
    assert gates["copy_rate"].value is not None and gates["copy_rate"].value > 0.9
    assert "check whether the labels are shifted" in gates["copy_rate"].reason
    assert "the trainer's loss is not the model's next-token loss" in gates["reported_loss"].reason


def test_a_copy_rate_of_half_is_the_limit(texts: tuple[list[str], list[str]]) -> None:
    assert outcomes(measured(Echo(), texts, step=1, reported=20.0))["copy_rate"] == "fail"
    assert outcomes(measured(Uniform(), texts, step=1, reported=4.76))["copy_rate"] == "pass"


def test_a_model_that_guesses_has_50_steps_to_improve(texts: tuple[list[str], list[str]]) -> None:
    assert outcomes(measured(Uniform(), texts, step=49, reported=4.76)) == ALL_PASS
    gates = measured(Uniform(), texts, step=50, reported=4.76)
    assert outcomes(gates) == {**ALL_PASS, "next_token_loss": "fail"}
    assert "the model learns nothing" in gates["next_token_loss"].reason


@pytest.mark.parametrize(("began", "step", "outcome"), [(4.77, 50, "fail"), (4.9, 299, "pass"), (4.9, 300, "fail")])
def test_weights_that_learn_slowly_have_300_steps(
    texts: tuple[list[str], list[str]], began: float, step: int, outcome: str
) -> None:
    gates = measured(Uniform(), texts, step=step, reported=4.76, began=began)
    assert gates["next_token_loss"].outcome == outcome


@pytest.mark.parametrize(
    ("began", "step", "outcome"), [(4.77, 5, "fail"), (6.0, 5, "fail"), (50.0, 5, "pass"), (50.0, 200, "fail")]
)
def test_a_phase_that_begins_above_a_guess_has_200_steps_to_fall(
    texts: tuple[list[str], list[str]], began: float, step: int, outcome: str
) -> None:
    gates = measured(Echo(), texts, step=step, reported=20.0, began=began)
    assert gates["next_token_loss"].value is not None and 6 < gates["next_token_loss"].value < 50
    assert gates["next_token_loss"].outcome == outcome


def test_a_model_that_was_better_before_passes_unless_it_is_damaged(texts: tuple[list[str], list[str]]) -> None:
    assert outcomes(measured(Uniform(), texts, step=500, reported=4.76, best=2.5)) == ALL_PASS
    damaged = measured(Echo(), texts, step=500, reported=20.0, best=2.5)["next_token_loss"]
    assert damaged.outcome == "fail" and damaged.value is not None and damaged.value > 5


def test_a_true_loss_above_the_reported_one_fails(curriculum: Curriculum, texts: tuple[list[str], list[str]]) -> None:
    model = checkpoints.load_model(verify_checkpoint(curriculum.phases[1].checkpoint))
    true = predict(model, texts[0]).loss
    for reported, outcome in ((true - 0.6, "fail"), (true - 0.4, "pass"), (true + 2.0, "pass")):
        assert outcomes(measured(model, texts, step=90, reported=reported))["reported_loss"] == outcome


def test_a_loss_of_nan_fails(texts: tuple[list[str], list[str]]) -> None:
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    model.output_projection.weight.data[5] = float("nan")
    for step, best in ((1, None), (500, 2.0)):
        found = outcomes(measured(model, texts, step=step, reported=4.0, best=best))
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
def test_from_epoch_10_the_best_loss_must_be_below_the_unigram_baseline(
    texts: tuple[list[str], list[str]], best: float, step: int, train_tokens: int, outcome: str
) -> None:
    gates = measured(Uniform(), texts, step=step, reported=4.76, best=best, train_tokens=train_tokens, epoch=10)
    assert gates["unigram"].outcome == outcome
    assert "unigram" not in measured(Uniform(), texts, step=step, reported=4.76, best=best, epoch=5)


def test_a_checkpoint_of_another_size_fails(curriculum: Curriculum) -> None:
    path = curriculum.phases[1].checkpoint
    assert [gate.outcome for gate in checkpoint_gates(path, "tiny")] == ["pass", "pass"]
    count, length = checkpoint_gates(path, "10m")
    assert count.outcome == length.outcome == "fail"
    assert count.reason == f"{SIZES['tiny'].parameters:,} parameters, required {SIZES['10m'].parameters:,} (10m)"


def test_one_gate_shows_all_milestones_in_the_order_of_their_epochs(texts: tuple[list[str], list[str]]) -> None:
    gates = tuple(measured(Uniform(), texts, step=50, reported=4.76).values())
    recorded = [Milestone(epoch=5, outcome=worst(gates), gates=gates)]
    shown = recorded_milestones_gate(recorded)
    assert (shown.name, shown.outcome) == ("gates_in_training", "fail")
    assert shown.reason.startswith("fail at epoch 5 (next_token_loss: ") and gates[0].reason in shown.reason
    passed = [Milestone(epoch=epoch, outcome="pass", gates=()) for epoch in (1, 2, 10)]
    assert recorded_milestones_gate([*passed, *recorded]).reason.startswith("pass at epochs 1, 2, 10; fail at epoch 5")
    none = recorded_milestones_gate([])
    assert (none.outcome, none.reason) == ("warn", "the training ended before its first milestone")


def test_the_summary_names_the_gates_that_did_not_pass() -> None:
    gates = GateResult("a", "pass", "why"), GateResult("b", "warn", "why"), GateResult("c", "fail", "why")
    for some, summary in (
        (gates[:1], "gates at epoch 5: pass"), (gates[:2], "gates at epoch 5: warn (b)"),
        (gates, "gates at epoch 5: fail (b, c)"), ((), "gates at epoch 5: pass"),
    ):  # fmt: skip
        assert Milestone(epoch=5, outcome=worst(some), gates=some).summary == summary
