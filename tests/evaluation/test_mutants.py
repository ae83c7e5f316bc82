"""The gates catch broken trainings: a short form of `python -m benchmarks.gates`, which has more of them."""

import re
from dataclasses import replace

import pytest

from tests.support.broken_trainings import LINES, MUTANTS, SENTENCES
from tests.support.trials import Document, Trial, Workshop, workshop

QUICKLY_MADE = (
    "labels not shifted",
    "labels not shifted, HLX",
    "learning rate × 100",
    "nothing is learned",
    "plain SGD",
    "embedding frozen",
    "NaN while training",
    "one sentence repeated",
    "characters shuffled",
    "vocabulary permuted in training",
    "vocabulary swapped",
    "checkpoint of another vocabulary",
    "NaN in one layer",
    "truncated file",
    "one bit flipped",
    "wrong size",
    "size not the one asked for",
    "noise in the weights",
    "collapse",
    "format never learned, HLX",
)


LEARNED_LATE = {"plain SGD", "embedding frozen"}
"""What they lack gives only a warning in a short training."""
AT_NIGHT = {*LEARNED_LATE, "characters shuffled", "format never learned, HLX"}
"""They are trained to their end."""


def small(trial: Trial) -> Trial:
    """Return a trial on a small document, which its training teaches by heart unless something is broken."""
    tokens, batch_size = (100_000, 1) if trial.training.phase == 1 else (90_000, 2)
    training = replace(trial.training, document=Document("short", 2000), tokens=tokens, tokens_before=30_000)
    return replace(trial, training=replace(training, batch_size=batch_size))


def long_enough(trial: Trial) -> Trial:
    return replace(trial, training=replace(trial.training, tokens=350_000, batch_size=4))


TRIALS = {name: (long_enough if name in LEARNED_LATE else small)(MUTANTS[name](0)) for name in QUICKLY_MADE}
HEALTHY = {f"phase {training.phase}": small(Trial(training)) for training in (SENTENCES, LINES)}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return workshop(tmp_path_factory.mktemp("shop"), [*TRIALS.values(), *HEALTHY.values()])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in AT_NIGHT else name for name in TRIALS]
)
def test_a_broken_training_is_caught(shop: Workshop, name: str) -> None:
    assert shop.carry_out(TRIALS[name], name).failed


@pytest.mark.parametrize("name", ["phase 1", pytest.param("phase 2", marks=pytest.mark.slow)])
def test_the_same_training_with_nothing_broken_passes(shop: Workshop, name: str) -> None:
    assert shop.carry_out(HEALTHY[name], name).failed == {}


def test_a_mispaired_document_has_lines_of_other_values() -> None:
    def lines_by_sentence(document: Document) -> dict[str, str]:
        entries = (part.partition("\n") for part in document.text().split("\n\n") if part.startswith("English:"))
        return {sentence: lines.strip() for sentence, _, lines in entries}

    right = lines_by_sentence(Document("composed", 300))
    for share in (0.67, 1.0):
        wrong = lines_by_sentence(Document("composed", 300, mispaired=share))
        assert wrong.keys() == right.keys()
        assert set(wrong.values()) <= set(right.values())
        assert sum(wrong[s] != right[s] for s in right) == int(300 * share)


def test_a_document_of_few_names_has_the_sentences_of_every_operation_and_few_names() -> None:
    def named(text: str) -> set[str]:
        return set(re.findall(r"&h_(\w+)", text))

    few, many = (Document(source, 3000).text() for source in ("few names", "composed"))
    assert few.count("English: ") == many.count("English: ") == 3000
    assert re.findall("^## .*$", few, re.MULTILINE) == re.findall("^## .*$", many, re.MULTILINE)
    assert len(named(few)) < 0.3 * len(named(many))
