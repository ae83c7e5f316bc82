"""Models whose every symbol is known, to test measurements with."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hlx_model.model.sizes import SIZES, Architecture
from hlx_model.model.tokenizer import EOS, VOCABULARY_SIZE, decode, encode
from hlx_model.model.transformer import Cache, Transformer
from hlx_model.training.batches import Examples

SMALLEST = Architecture(d_model=4, layers=1, heads=1, ffn=4)


def _sure_of(ids: Tensor) -> Tensor:
    return 1e3 * F.one_hot(ids, VOCABULARY_SIZE)


class Uniform(Transformer):
    """Guesses uniformly among all symbols."""

    def __init__(self) -> None:
        super().__init__(SMALLEST)

    def forward(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        return torch.zeros(*tokens_BT.shape, VOCABULARY_SIZE)


class Echo(Uniform):
    """Is almost certain that the current symbol follows again."""

    def forward(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        return 8.0 * F.one_hot(tokens_BT, VOCABULARY_SIZE)


class Writer(Uniform):
    """Writes after each prompt what a function returns, symbol by symbol, as `generate` requests it."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__()
        self.answer = answer
        self.rows: list[tuple[int, list[int]]] = []

    def forward(self, tokens_BT: Tensor, cache: Cache | None = None) -> Tensor:
        prompts = [decode(row) for row in tokens_BT.tolist()]
        self.rows = [(len(prompt), [*encode(self.answer(prompt)), EOS]) for prompt in prompts]
        if cache is not None:  # rows leave the batch: the cache says which ones are still there
            cache.layers[0, 0, :, 0, 0, 0] = torch.arange(len(prompts))
        first_B = torch.tensor([written[0] for _, written in self.rows])
        return _sure_of(first_B[:, None].expand(tokens_BT.shape))

    def step(self, token_B: Tensor, position_B: Tensor, cache: Cache) -> Tensor:
        rows = [self.rows[int(number)] for number in cache.layers[0, 0, :, 0, 0, 0]]
        at = [position - start for position, (start, _) in zip(position_B.tolist(), rows, strict=True)]
        pairs = zip(at, rows, strict=True)
        return _sure_of(torch.tensor([written[k] if k < len(written) else EOS for k, (_, written) in pairs]))


def trained_on_unshifted_labels(texts: list[str], steps: int = 25) -> Transformer:
    """Return the tiny model after a training whose labels were its inputs."""
    model = Transformer(SIZES["tiny"]).initialize(seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    ids_BT = Examples(texts, 256).batch(torch.arange(len(texts)))
    for _ in range(steps):
        loss = F.cross_entropy(model(ids_BT).flatten(0, 1), ids_BT.flatten(), ignore_index=0)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    return model.eval()
