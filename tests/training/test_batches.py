"""The batches of an epoch contain every example once, within the bound, with little padding."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hlx_model.corpus.prompts import answer_start, answers_in_english
from hlx_model.corpus.tokens import Texts
from hlx_model.model.tokenizer import BOS, EOS, PAD, encode
from hlx_model.training.batches import (
    Batch,
    Examples,
    TrainingData,
    batches,
    sample_replay_rows,
    tokens_to_predict,
    width,
)
from hlx_model.training.settings import Settings

BOUND = 300
LENGTHS = st.lists(st.integers(2, 256), max_size=120).map(lambda lengths: torch.tensor(lengths, dtype=torch.long))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(LENGTHS, st.integers(0, 3))
def test_an_epoch_contains_every_example_once_in_bounded_batches(lengths: Tensor, seed: int) -> None:
    found = batches(lengths, BOUND, seeded(seed))
    assert sorted(row for rows in found for row in rows.tolist()) == list(range(len(lengths)))
    assert all(len(rows) * width(int(lengths[rows].max())) <= BOUND or len(rows) == 1 for rows in found)


def test_an_example_beyond_the_bound_comes_alone() -> None:
    found = batches(torch.tensor([10, 500, 10]), BOUND, seeded(0))
    assert sorted(sorted(rows.tolist()) for rows in found) == [[0, 2], [1]]


def test_batches_of_a_corpus_have_little_padding() -> None:
    lengths = torch.randint(10, 120, (1000,), generator=seeded(1))
    found = batches(lengths, 2048, seeded(0))
    padded = sum(len(rows) * int(lengths[rows].max()) for rows in found)
    assert int(lengths.sum()) / padded > 0.9


def test_the_order_follows_from_the_seed_and_changes_with_it() -> None:
    lengths = torch.randint(10, 120, (200,), generator=seeded(1))
    first, again, other = (batches(lengths, BOUND, seeded(seed)) for seed in (5, 5, 6))
    assert [rows.tolist() for rows in first] == [rows.tolist() for rows in again]
    assert [rows.tolist() for rows in first] != [rows.tolist() for rows in other]
    assert {tuple(sorted(rows.tolist())) for rows in first} != {tuple(sorted(rows.tolist())) for rows in other}


@given(st.lists(st.text("abc →🜊", min_size=0, max_size=20), min_size=1, max_size=10))
def test_a_batch_is_padded_to_the_width_of_its_longest_example(texts: list[str]) -> None:
    examples = Examples(texts, seq_length=22)
    rows = torch.arange(len(texts)).flip(0)[: max(1, len(texts) // 2)]
    chosen = [texts[row] for row in rows.tolist()]
    longest = width(max(len(text) for text in chosen) + 2)
    assert examples.batch(rows).tolist() == [
        [BOS, *encode(text), EOS, *[PAD] * (longest - len(text) - 2)] for text in chosen
    ]


def test_an_example_that_is_too_long_is_refused_and_shown() -> None:
    assert len(Examples(["ab", "abc"], seq_length=5)) == 2
    with pytest.raises(ValueError, match="the example 'abcd'… has 6 tokens, seq_length is 5: raise --seq-length"):
        Examples(["ab", "abcd"], seq_length=5)


def test_every_token_but_the_first_of_each_example_is_predicted() -> None:
    assert tokens_to_predict(Examples(["ab", "abc"], seq_length=9).lengths) == 3 + 4


@given(LENGTHS, st.integers(0, 3000))
def test_replayed_examples_differ_and_have_about_the_tokens_set(lengths: Tensor, tokens: int) -> None:
    rows = sample_replay_rows(lengths, tokens, seeded(0))
    held = int(lengths[rows].sum())
    assert len(set(rows.tolist())) == len(rows)
    assert held <= tokens
    assert len(rows) == len(lengths) or held > tokens - 256


@pytest.mark.parametrize(("longest", "found"), [(2, 9), (9, 9), (10, 17), (17, 17), (256, 257), (511, 512), (512, 512)])
def test_the_model_works_on_multiples_of_8_up_to_its_positions(longest: int, found: int) -> None:
    assert width(longest) == found


@given(st.integers(1, 20), st.integers(1, 6))
def test_the_shares_of_a_batch_are_the_batch(rows: int, number: int) -> None:
    batch = Batch(Examples(["ab"] * 10 + ["abcd"] * 10, 9), torch.arange(rows))
    shares = batch.shares(number)
    assert len(shares) == number
    assert sorted(row for share in shares for row in share.rows.tolist()) == list(range(rows))
    assert sum(share.tokens for share in shares) == batch.tokens
    assert max(len(s.rows) for s in shares) - min(len(s.rows) for s in shares) <= 1


def test_an_epoch_contains_a_share_of_each_earlier_phase() -> None:
    settings = Settings(3, "tiny", 2, 1, 64, 1e-3, replay=0.25)
    data = TrainingData(["own"] * 40, [["one"] * 30, ["two"] * 30], settings)
    rows = [(batch.examples, row) for batch in data.epoch(1) for row in batch.rows.tolist()]
    assert len(rows) == len(set(rows)) == 40 + 10 + 10
    assert data.tokens == 40 * 4

    def order(epoch: int) -> list[list[int]]:
        return [batch.rows.tolist() for batch in data.epoch(epoch)]

    assert order(1) == order(1) != order(2)


BEGINNINGS = st.sampled_from(["→", " → ", "[English] ", "[English] a → b", "x → y → z", "[HLXL] a → ", "🜊", ""])


@given(st.lists(st.tuples(BEGINNINGS, st.text("a →[]English", max_size=9)).map("".join)))
def test_prompts_are_found_as_in_each_text_alone(texts: list[str]) -> None:
    examples = Examples(texts, 64)
    assert examples.prompts.tolist() == [answer_start(text) for text in texts]
    assert examples.in_english.tolist() == [answers_in_english(text) for text in texts]


def test_some_of_the_texts_of_a_corpus_are_batched_as_if_they_were_alone() -> None:
    texts = ["[HLXL] a → b", "[English] c → d", "e", "[English] f"]
    some, alone = Examples(Texts.of(texts)[1:3], 64), Examples(texts[1:3], 64)
    assert some.batch(torch.tensor([1, 0])).equal(alone.batch(torch.tensor([1, 0])))
    assert (some.prompts.tolist(), some.in_english.tolist()) == (alone.prompts.tolist(), alone.in_english.tolist())
