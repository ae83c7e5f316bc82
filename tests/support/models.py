"""Models whose every symbol is known, to test measurements with."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from hlx_model.model.sizes import SIZES, Architecture
from hlx_model.model.tokenizer import EOS, PAD, VOCABULARY_SIZE, decode, encode
from hlx_model.model.transformer import Cache, Transformer
from hlx_model.training.batches import Examples

SMALLEST = Architecture(d_model=4, layers=1, heads=1, ffn=4)


def _sure_of(ids: Tensor) -> Tensor:
    return 1e3 * F.one_hot(ids, VOCABULARY_SIZE)


class Uniform(Transformer):
    """Guesses uniformly among all symbols."""

    def __init__(self) -> None:
        super().__init__(SMALLEST)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return torch.zeros(*tokens_BT.shape, VOCABULARY_SIZE)


class Echo(Uniform):
    """Is almost certain that the current symbol follows again."""

    def forward(self, tokens_BT: Tensor) -> Tensor:
        return 8.0 * F.one_hot(tokens_BT, VOCABULARY_SIZE)


class Writer(Uniform):
    """Writes after each prompt what a function returns, symbol by symbol, as `generate` requests it.

    Its cache contains the tokens of each row in place of keys, and in place of the first value of a row the number of
    its answer, and where that begins.
    """

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__()
        self.answer = answer
        self.answers: list[list[int]] = []

    def forward(self, tokens_BT: Tensor) -> Tensor:
        first_B = torch.tensor([self._written(decode(row))[0] for row in tokens_BT.tolist()])
        return _sure_of(first_B[:, None].expand(tokens_BT.shape))

    def fill(self, tokens_BT: Tensor, cache: Cache) -> None:
        cache.layers[0, 0, :, 0, : tokens_BT.shape[1], 0] = tokens_BT
        cache.layers[0, 1, :, 0, 0, 0] = 0

    def step(self, token_B: Tensor, position_B: Tensor, cache: Cache) -> Tensor:
        tokens_BC, begun_B2 = cache.layers[0, 0, :, 0, :, 0], cache.layers[0, 1, :, 0, 0, :2]
        following = []
        for row, (token, position) in enumerate(zip(token_B.tolist(), position_B.tolist(), strict=True)):
            if token == PAD:  # no text has this row
                following.append(EOS)
                continue
            tokens_BC[row, position] = token
            if not begun_B2[row, 0]:
                self.answers.append(self._written(decode(map(int, tokens_BC[row, 1 : position + 1]))))
                begun_B2[row] = torch.tensor([len(self.answers), position])
            number, start = map(int, begun_B2[row])
            written = self.answers[number - 1]
            following.append(written[position - start] if position - start < len(written) else EOS)
        return _sure_of(torch.tensor(following))

    def _written(self, prompt: str) -> list[int]:
        return [*encode(self.answer(prompt)), EOS]


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
