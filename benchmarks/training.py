"""Real tokens a second: this trainer against a plain loop with the users' settings, alternating.

    python -m benchmarks training

The plain loop is `nn.TransformerEncoder`, every example padded to 256 tokens, 4 examples a batch, AdamW,
labels made right. Both train the same size on the same phase 3 pairs of a composed corpus.
"""

import statistics
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from hlx_model.corpus import PAIRED_CORPUS, collect, compose, examples_table, parse_document
from hlx_model.corpus.store import model_texts
from hlx_model.tokenizer import PAD, VOCABULARY_SIZE
from hlx_model.training.batches import Examples, batches, tokens_to_predict
from hlx_model.training.optimization import Optimization
from hlx_model.training.settings import Settings
from hlx_model.transformer import POSITIONS, SIZES, Architecture, Transformer

ROUNDS = 5
SECONDS = 3.0
PADDED, BATCH = 256, 4


class Plain(nn.Module):
    """The users' model as PyTorch's own modules."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY_SIZE, a.d_model)
        self.positions = nn.Embedding(POSITIONS, a.d_model)
        layer = nn.TransformerEncoderLayer(a.d_model, a.heads, a.ffn, 0.0, "relu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, a.layers, enable_nested_tensor=False)
        self.head = nn.Linear(a.d_model, VOCABULARY_SIZE)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(PADDED - 1))

    def forward(self, ids_BT: torch.Tensor) -> torch.Tensor:
        """Logits (B, T, V)."""
        x = self.tokens(ids_BT) + self.positions(torch.arange(ids_BT.shape[1]))
        logits: torch.Tensor = self.head(self.encoder(x, mask=self.mask, is_causal=True))
        return logits


def plain_steps(size: str, texts: list[str]) -> Callable[[int], int]:
    """A function that trains on batch number i and gives its count of real tokens."""
    model = Plain(SIZES[size])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    examples = Examples(texts, PADDED)

    def step(i: int) -> int:
        rows = torch.arange(i * BATCH, (i + 1) * BATCH) % len(examples)
        found = examples.batch(rows)
        ids = torch.full((BATCH, PADDED), PAD)
        ids[:, : found.shape[1]] = found
        loss = nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        return tokens_to_predict(examples.lengths[rows])

    return step


def our_steps(size: str, texts: list[str], batch_size: int, optimizer: str) -> Callable[[int], int]:
    """The same with this project's trainer."""
    settings = Settings(3, size, 1, batch_size, PADDED, 1e-4, optimizer=optimizer)
    model = Transformer(SIZES[size]).initialize(0)
    optimization = Optimization(model, settings, 10_000, "cpu")
    examples = Examples(texts, PADDED)
    order = batches(examples.lengths, batch_size * PADDED, torch.Generator().manual_seed(0))
    return lambda i: optimization.step(examples.batch(order[i % len(order)]), i)[1]


def speed(step: Callable[[int], int], start: int) -> tuple[float, int]:
    """Real tokens a second over some seconds, and the number of the next batch."""
    tokens, began, i = 0, time.perf_counter(), start
    while time.perf_counter() - began < SECONDS:
        tokens += step(i)
        i += 1
    return tokens / (time.perf_counter() - began), i


def main() -> None:
    """Print tokens a second and the ratio to the plain loop, medians of alternating rounds."""
    corpus = collect([parse_document(compose(1000, 0), "composed.md")])
    texts = model_texts(PAIRED_CORPUS.table(examples_table(corpus)), "train")
    table = Table("size", "loop", "tokens/s", "ratio", title=f"training, {torch.get_num_threads()} threads")
    for size in ("tiny", "10m"):
        contenders = {
            "plain: 4 × 256 padded, AdamW": plain_steps(size, texts),
            "ours: 4 × 256 tokens, AdamW": our_steps(size, texts, 4, "adamw"),
            "ours: 4 × 256 tokens, Muon": our_steps(size, texts, 4, "muon"),
            "ours: 8 × 256 tokens, AdamW": our_steps(size, texts, 8, "adamw"),
        }
        found: dict[str, list[float]] = {name: [] for name in contenders}
        position = dict.fromkeys(contenders, 0)
        for _ in range(ROUNDS):
            for name, step in contenders.items():
                rate, position[name] = speed(step, position[name])
                found[name].append(rate)
        base, *_ = found.values()
        for name, rates in found.items():
            ratio = statistics.median(rate / b for rate, b in zip(rates, base, strict=True))
            table.add_row(size, name, f"{statistics.median(rates):,.0f}", f"{ratio:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
