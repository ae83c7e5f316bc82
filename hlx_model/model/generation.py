"""Generate text: many prompts at once, greedy or sampled, with cached keys and values.

Prompts of different lengths share a batch: they are padded on the right and read in one pass, and each row continues
from its own last position. Rows that have ended leave the batch.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import torch
from torch import Tensor

from hlx_model.model.device import threads
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import BOS, EOS, PAD, UNK, decode, encode
from hlx_model.model.transformer import Cache, Transformer

BATCH_SIZE = 64
"""Rows that are computed together; on a CPU, in each thread."""

STILL_WRITING = 0.5
"""Rows that have ended are removed when at most this share of a batch still writes. Removing rows copies the cache, so
it is not done for each."""


def generate(
    model: Transformer, prompts: Sequence[str], *, max_new_tokens: int = 128, temperature: float = 0.0, seed: int = 0
) -> list[str]:
    """Return what the model writes after each prompt, up to `<EOS>` or `max_new_tokens` tokens.

    Args:
        model: on any device, in any dtype.
        prompts: texts to continue, without `<BOS>`, which is added. A prompt may be empty.
        max_new_tokens: upper limit for each prompt. The model's 512 positions are a limit too.
        temperature: 0 takes the most likely token (greedy); above 0 tokens are sampled.
        seed: of the sampling. The same seed gives the same texts on the same device.

    Returns:
        The continuations without their prompts, in the order of the prompts.

    Raises:
        ValueError: a prompt is so long that no position is left to write.
    """
    for prompt in prompts:
        if len(prompt) + 1 >= POSITIONS:
            raise ValueError(f"the prompt {prompt[:40]!r}… has {len(prompt)} tokens: at most {POSITIONS - 2} fit")
    device = model.output_projection.weight.device
    # Rows of similar length need the least padding.
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    batches = [order[start : start + BATCH_SIZE] for start in range(0, len(order), BATCH_SIZE)]

    def write(number: int) -> list[list[int]]:
        chance = torch.Generator(device=device).manual_seed(seed * 1_000_003 + number)
        encoded = [encode(prompts[i]) for i in batches[number]]
        return _generate_batch(model, encoded, max_new_tokens, temperature, chance)

    workers = min(torch.get_num_threads(), len(batches))
    if device.type != "cpu" or workers < 2:
        written = [write(number) for number in range(len(batches))]
    else:
        # Threads that each write a whole batch wait for each other far less than threads that share one operation.
        with threads(1), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            written = list(pool.map(write, range(len(batches))))
    ids_of = dict(zip(order, chain.from_iterable(written), strict=True))
    return [decode(ids_of[i]) for i in range(len(prompts))]


@torch.inference_mode()
def _generate_batch(
    model: Transformer, prompts: list[list[int]], max_new_tokens: int, temperature: float, generator: torch.Generator
) -> list[list[int]]:
    device = model.output_projection.weight.device
    lengths = [len(prompt) + 1 for prompt in prompts]
    longest = max(lengths)
    tokens_BT = torch.tensor([[BOS, *p, *[PAD] * (longest - len(p) - 1)] for p in prompts], device=device)
    steps = min(max_new_tokens, POSITIONS - min(lengths))
    written_BT = torch.full((len(prompts), steps), EOS, device=device)
    cache = Cache(model, len(prompts), min(longest + steps, POSITIONS))
    row_B = torch.arange(len(prompts), device=device)
    position_B = torch.tensor(lengths, device=device) - 1
    done_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    logits_BV = model(tokens_BT, cache)[row_B, position_B]
    for step in range(steps):
        next_B = _choose(logits_BV, temperature, generator).masked_fill(done_B, EOS)
        written_BT[row_B, step] = next_B
        position_B = position_B + 1
        done_B = done_B | (next_B == EOS) | (position_B == POSITIONS - 1)
        going = (~done_B).nonzero()[:, 0]
        if not len(going) or step + 1 == steps:
            break
        if len(going) <= STILL_WRITING * len(row_B):
            row_B, position_B, done_B, next_B = row_B[going], position_B[going], done_B[going], next_B[going]
            cache.layers = cache.layers[:, :, going]
        # A row that has ended writes at the last position, which nothing reads.
        logits_BV = model.step(next_B, position_B.clamp(max=POSITIONS - 1), cache)
    ids: list[list[int]] = written_BT.tolist()
    return ids


def _choose(logits_BV: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    # The logits of a broken model may be NaN; its report is written all the same.
    logits_BV = logits_BV.float().nan_to_num(nan=0.0, posinf=1e9, neginf=-1e9)
    # <PAD>, <BOS> and <UNK> are never text. Losses show a model that prefers them.
    logits_BV = logits_BV.index_fill(1, torch.tensor([PAD, BOS, UNK], device=logits_BV.device), -torch.inf)
    if temperature == 0:
        return logits_BV.argmax(dim=1)
    probabilities_BV = torch.softmax(logits_BV / temperature, dim=1)
    return torch.multinomial(probabilities_BV, 1, generator=generator)[:, 0]
