"""Text from the model: many prompts at once, greedy or sampled, with cached keys and values.

Prompts of unlike length share a batch: they are padded on the right, filled in one pass, and each row
goes on from its own last position.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hlx_model.tokenizer import BOS, EOS, PAD, UNK, decode, encode
from hlx_model.transformer import POSITIONS, Cache, Transformer


@torch.inference_mode()
def generate(
    model: Transformer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 256,
) -> list[str]:
    """What the model writes after each prompt, up to `<EOS>` or `max_new_tokens` tokens.

    Args:
        model: in whatever device and dtype it stands.
        prompts: the texts before; `<BOS>` is set in front of each. A prompt may be empty.
        max_new_tokens: the most tokens a prompt; cut at the model's 512 positions.
        temperature: 0 takes the likeliest token (greedy); above, tokens are sampled.
        seed: of the sampling; the same seed gives the same texts on the same device.
        batch_size: rows at a time.

    Returns:
        The continuations without their prompts, in the order of the prompts.

    Raises:
        ValueError: a prompt leaves no position to write at.
    """
    for prompt in prompts:
        if len(prompt) + 1 >= POSITIONS:
            raise ValueError(f"the prompt {prompt[:40]!r}… has {len(prompt)} tokens: at most {POSITIONS - 2} fit")
    generator = torch.Generator(device=model.output_projection.weight.device).manual_seed(seed)
    # Rows of like length waste the least padding.
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    texts = [""] * len(prompts)
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        written = _generate_batch(model, [encode(prompts[i]) for i in rows], max_new_tokens, temperature, generator)
        for i, ids in zip(rows, written, strict=True):
            texts[i] = decode(ids)
    return texts


def _generate_batch(
    model: Transformer,
    prompts: list[list[int]],
    max_new_tokens: int,
    temperature: float,
    generator: torch.Generator,
) -> list[list[int]]:
    device = model.output_projection.weight.device
    lengths = [len(prompt) + 1 for prompt in prompts]
    longest = max(lengths)
    tokens_BT = torch.tensor([[BOS, *p, *[PAD] * (longest - len(p) - 1)] for p in prompts], device=device)
    steps = min(max_new_tokens, POSITIONS - min(lengths))
    cache = Cache(model, len(prompts), min(longest + steps, POSITIONS))
    position_B = torch.tensor(lengths, device=device) - 1
    logits_BV = model(tokens_BT, cache)[torch.arange(len(prompts), device=device), position_B]
    written: list[Tensor] = []
    done_B = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    for _ in range(steps):
        next_B = _choose(logits_BV, temperature, generator)
        next_B = next_B.masked_fill(done_B, EOS)
        written.append(next_B)
        position_B = position_B + 1
        done_B |= (next_B == EOS) | (position_B == POSITIONS - 1)
        if bool(done_B.all()):
            break
        if len(written) < steps:
            # A row that is done goes on at the last position, where nobody reads.
            logits_BV = model.step(next_B, position_B.clamp(max=POSITIONS - 1), cache)
    if not written:
        return [[] for _ in prompts]
    ids: list[list[int]] = torch.stack(written, dim=1).tolist()
    return ids


def _choose(logits_BV: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    # A broken model's logits may be no numbers, and its report is made all the same.
    logits_BV = logits_BV.float().nan_to_num(nan=0.0, posinf=1e9, neginf=-1e9)
    # <PAD>, <BOS> and <UNK> are never text; a model that prefers them is judged by its losses.
    logits_BV = logits_BV.index_fill(1, torch.tensor([PAD, BOS, UNK], device=logits_BV.device), -torch.inf)
    if temperature == 0:
        return logits_BV.argmax(dim=1)
    probabilities_BV = torch.softmax(logits_BV / temperature, dim=1)
    return torch.multinomial(probabilities_BV, 1, generator=generator)[:, 0]
