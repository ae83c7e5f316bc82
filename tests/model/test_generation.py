"""Cached and batched generation writes what a plain loop writes."""

from collections import deque
from random import Random

import pytest
import torch

from hlx_model.model import generation
from hlx_model.model.generation import Batch, GenerationRequest, generate
from hlx_model.model.sizes import POSITIONS, SIZES
from hlx_model.model.tokenizer import BOS, EOS, PAD, UNK, decode, encode
from hlx_model.model.transformer import Transformer


@pytest.fixture(scope="module")
def ending() -> Transformer:
    """Return a model that ends some texts: `<EOS>` is a little more likely than with random weights."""
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    with torch.no_grad():
        model.output_projection.bias[EOS] = 0.5
    return model.eval()


@pytest.fixture(scope="module")
def endless() -> Transformer:
    """Return a model that never ends a text by itself."""
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    with torch.no_grad():
        model.output_projection.bias[EOS] = -1e4
    return model.eval()


@torch.no_grad()
def written_plainly(model: Transformer, prompt: str, max_new_tokens: int) -> str:
    """Generate for one prompt, with a full pass over the sequence for every token."""
    ids = [BOS, *encode(prompt)]
    start = len(ids)
    while len(ids) < POSITIONS and len(ids) - start < max_new_tokens:
        logits_V = model(torch.tensor([ids]))[0, -1]
        logits_V[[PAD, BOS, UNK]] = -torch.inf
        token = int(logits_V.argmax())
        if token == EOS:
            break
        ids.append(token)
    return decode(ids[start:])


PROMPTS = [
    "[HLXL] Search for documents → ",
    "",
    "Count",
    "[English] {C:1000,0=\"sort\",1=@users} → ",
    "[LC-R] Search → ",
    "🜊1000🜁0 \"sea",
]  # fmt: skip


def test_a_batch_gives_what_each_prompt_gives_in_a_plain_loop(
    ending: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [written_plainly(ending, prompt, 40) for prompt in PROMPTS]
    assert generate(ending, PROMPTS, max_new_tokens=40) == expected
    assert len({len(text) for text in expected}) > 1  # some ended before others
    monkeypatch.setattr(generation, "SLOTS", 2)
    assert generate(ending, PROMPTS, max_new_tokens=40) == expected


def test_a_prompt_near_the_last_position_leaves_others_their_length(endless: Transformer) -> None:
    prompts = ["a" * 500, "Sort", "b" * 508]
    texts = generate(endless, prompts, max_new_tokens=24)
    assert texts == [written_plainly(endless, prompt, 24) for prompt in prompts]
    assert [len(text) for text in texts] == [11, 24, 3]


def test_rows_that_end_early_change_nothing_for_the_others(
    ending: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = PROMPTS + [f"[HLXL] Search for {'documents' * n} → "[cut:] for n in range(4) for cut in range(0, 24, 4)]
    expected = [written_plainly(ending, prompt, 40) for prompt in prompts]
    lengths = [len(text) for text in expected]
    assert len(set(lengths)) > 8 and max(lengths) == 40
    assert generate(ending, prompts, max_new_tokens=40) == expected
    monkeypatch.setattr(generation, "SLOTS", 7)
    assert generate(ending, prompts[::-1], max_new_tokens=40) == expected[::-1]


@pytest.mark.parametrize("seed", range(4))
def test_texts_that_come_and_go_at_any_step_write_what_they_do_alone(ending: Transformer, seed: int) -> None:
    random, batch, waiting = Random(seed), Batch[GenerationRequest](ending, slots=6), deque[GenerationRequest]()
    texts: list[GenerationRequest] = []
    while len(texts) < 60 or waiting or batch:
        for _ in range(random.choice([0, 0, 0, 1, 2, 9]) if len(texts) < 60 else 0):
            temperature = random.choice([0.0, 0.0, 0.7, 1.5])
            generator = torch.Generator().manual_seed(len(texts)) if temperature else None
            prompt = random.choice([*PROMPTS, "a" * random.randrange(300)])
            texts.append(GenerationRequest(encode(prompt), random.choice([1, 5, 40]), temperature, generator))
            waiting.append(texts[-1])
        if random.random() < 0.1 and texts:
            random.choice(texts).cancelled = True
        stepped = batch.step(waiting)
        assert len(batch) <= 6 and all(text in texts for text in stepped)
    assert sum(text.cancelled for text in texts) > 3
    for number, text in enumerate(texts):
        generator = torch.Generator().manual_seed(number) if text.temperature else None
        alone = GenerationRequest(text.prompt, text.max_new_tokens, text.temperature, generator)
        batch, waiting = Batch(ending, slots=1), deque([alone])
        while waiting or batch:
            batch.step(waiting)
        assert text.written == alone.written[: len(text.written)]
        assert text.cancelled or len(text.written) == len(alone.written)


def test_a_text_cancelled_while_it_waited_writes_at_most_one_token(ending: Transformer) -> None:
    batch, text = Batch[GenerationRequest](ending), GenerationRequest(encode("Sort"), 40, cancelled=True)
    assert batch.step(deque([text])) == [text]
    assert len(batch) == 0 and len(text.written) <= 1


def test_sampling_is_seeded(ending: Transformer) -> None:
    first, again, other = (generate(ending, PROMPTS, temperature=1.0, max_new_tokens=30, seed=s) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_prompt_that_leaves_no_position_is_refused(endless: Transformer) -> None:
    assert len(generate(endless, ["a" * 510])[0]) <= 1
    with pytest.raises(ValueError, match="has 511 tokens: at most 510 fit"):
        generate(endless, ["a" * 511])


def test_no_prompts_or_no_tokens_give_no_text(endless: Transformer) -> None:
    assert generate(endless, []) == []
    assert generate(endless, ["a", ""], max_new_tokens=0) == ["", ""]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_only_characters_are_written_whatever_the_model_prefers(temperature: float) -> None:
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    with torch.no_grad():
        model.output_projection.bias[[PAD, BOS, UNK]] = 1e4
    (text,) = generate(model, ["Search"], temperature=temperature, max_new_tokens=20)
    assert text and "<UNK>" not in text


@pytest.mark.parametrize("broken", [torch.nan, torch.inf])
def test_a_model_with_nan_or_infinite_weights_still_writes(broken: float) -> None:
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    with torch.no_grad():
        model.output_projection.weight[7] = broken
    for temperature in (0.0, 1.0):
        assert len(generate(model, ["a", "bc"], temperature=temperature, max_new_tokens=5)) == 2
