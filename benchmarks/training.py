"""Real tokens per second, without padding: this trainer against two other loops, alternating in one run.

    python -m benchmarks training             # tiny and 10m, about five minutes
    python -m benchmarks.training 50m         # other sizes

The first loop is plain PyTorch with the batches of the reference schedule: `nn.TransformerEncoder`, 4 examples padded
to 256 tokens, AdamW. The second is in the style of nanoGPT: one stream of tokens cut into blocks of 256, so that every
token is real, with its fused projections and its attention kernel, in its two precisions (`compile=False`, as it
advises on a CPU). All train the same size on the same phase 3 pairs.

The share of the matrix rate is useful arithmetic (6 per matrix weight and token, 12 × layers × context × width for
attention; https://arxiv.org/abs/2204.02311, appendix B), relative to the rate of products of two 2048 × 2048 matrices
in the same round, in the precision of the row, on all threads.
"""

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import pyarrow as pa
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from hlx_model.composer.sampling import compose
from hlx_model.corpus import PAIRED_CORPUS, collect, examples_table, parse_document
from hlx_model.corpus.tables import model_texts
from hlx_model.model.sizes import POSITIONS, SIZES, Architecture
from hlx_model.model.tokenizer import PAD, VOCABULARY_SIZE, encode_example
from hlx_model.model.transformer import Transformer
from hlx_model.profiles import PROFILES
from hlx_model.training.batches import Batch, Examples, batches, tokens_to_predict
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.settings import Settings
from tests.support.documents import SHARED

ROUNDS = 5
LEAST_SECONDS = 1.0
"""Seconds of a contender's turn in a round; it has at least two steps."""
LENGTH, BATCH = 256, 4
CYCLE = 16_384
"""Tokens of the batches that a contender repeats: the kernels of each shape are prepared once, as in a training of many
epochs."""
PLAIN = "plain: 4 × 256 padded, AdamW, fp32"
"""PyTorch's defaults: dropout 0.1, the causal mask as a tensor."""
PLAIN_CAUSAL = "plain without dropout, with the causal hint"


class Contender(NamedTuple):
    """A loop that is measured."""

    step: Callable[[int], int]
    """Trains on batch number i, and returns its number of real tokens."""
    warm_up: int
    """Steps until every shape has occurred."""
    arithmetic: float
    """Floating-point operations per real token."""
    precision: torch.dtype = torch.float32
    active: Callable[[], AbstractContextManager[None]] = nullcontext


class Plain(nn.Module):
    """The model in PyTorch's own modules: with their defaults, or without dropout and with the causal hint."""

    def __init__(self, a: Architecture, *, causal: bool) -> None:
        super().__init__()
        self.causal, dropout = causal, 0.0 if causal else 0.1
        self.tokens = nn.Embedding(VOCABULARY_SIZE, a.d_model)
        self.positions = nn.Embedding(POSITIONS, a.d_model)
        layer = nn.TransformerEncoderLayer(
            a.d_model, a.heads, a.ffn, dropout, "relu", batch_first=True, norm_first=True
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, a.layers, enable_nested_tensor=False)
        self.head = nn.Linear(a.d_model, VOCABULARY_SIZE)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(LENGTH - 1))

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Return logits (B, T, V)."""
        x = self.tokens(ids_BT) + self.positions(torch.arange(ids_BT.shape[1]))
        logits: Tensor = self.head(self.encoder(x, mask=self.mask, is_causal=True if self.causal else None))
        return logits


class Block(nn.Module):
    """One layer as nanoGPT has it: no biases, GELU, pre-norm."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.heads = a.heads
        self.norm1, self.norm2 = nn.LayerNorm(a.d_model, bias=False), nn.LayerNorm(a.d_model, bias=False)
        self.qkv = nn.Linear(a.d_model, 3 * a.d_model, bias=False)
        self.projection = nn.Linear(a.d_model, a.d_model, bias=False)
        self.up, self.down = nn.Linear(a.d_model, a.ffn, bias=False), nn.Linear(a.ffn, a.d_model, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        q, k, v = (
            y.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for y in self.qkv(self.norm1(x_BTD)).split(x_BTD.shape[2], dim=2)
        )
        y_BHTK = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x_BTD = x_BTD + self.projection(y_BHTK.transpose(1, 2).flatten(2))
        after: Tensor = x_BTD + self.down(F.gelu(self.up(self.norm2(x_BTD))))
        return after


class NanoGPT(nn.Module):
    """A GPT in the style of nanoGPT: a final norm, a head tied to the embedding."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY_SIZE, a.d_model), nn.Embedding(LENGTH, a.d_model)
        self.blocks = nn.Sequential(*(Block(a) for _ in range(a.layers)))
        self.norm = nn.LayerNorm(a.d_model, bias=False)
        self.head = nn.Linear(a.d_model, VOCABULARY_SIZE, bias=False)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)
        self.tokens.weight = self.head.weight

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Return logits (B, T, V)."""
        x_BTD = self.tokens(ids_BT) + self.positions(torch.arange(ids_BT.shape[1]))
        logits: Tensor = self.head(self.norm(self.blocks(x_BTD)))
        return logits


def arithmetic(a: Architecture, context: float) -> float:
    """Return the useful floating-point operations per token, forward and backward."""
    matrices = a.layers * (4 * a.d_model**2 + 2 * a.d_model * a.ffn) + VOCABULARY_SIZE * a.d_model
    return 6 * matrices + 12 * a.layers * context * a.d_model


def context_of(lengths: Tensor) -> float:
    """Return the mean length of the example of a token."""
    return float((lengths.double() ** 2).sum() / lengths.sum())


def plain(size: str, texts: list[str], *, causal: bool) -> Contender:
    """Return the plain loop."""
    model = Plain(SIZES[size], causal=causal)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    examples = Examples(texts, LENGTH)

    def step(i: int) -> int:
        rows = torch.arange(i * BATCH, (i + 1) * BATCH) % len(examples)
        found = examples.batch(rows)
        ids = torch.full((BATCH, LENGTH), PAD)
        ids[:, : found.shape[1]] = found
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        return tokens_to_predict(examples.lengths[rows])

    return Contender(step, 2, arithmetic(SIZES[size], context_of(examples.lengths)))


def nano_gpt(size: str, texts: list[str], precision: torch.dtype) -> Contender:
    """Return the loop in nanoGPT's style: blocks of 256 from one stream, AdamW."""
    model = NanoGPT(SIZES[size])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), fused=True)
    stream = torch.tensor([token for text in texts for token in encode_example(text)])
    generator = torch.Generator().manual_seed(0)

    def step(i: int) -> int:
        starts = torch.randint(len(stream) - LENGTH, (BATCH,), generator=generator).tolist()
        x = torch.stack([stream[start : start + LENGTH] for start in starts])
        y = torch.stack([stream[start + 1 : start + 1 + LENGTH] for start in starts])
        with torch.autocast("cpu", dtype=precision) if precision is not torch.float32 else nullcontext():
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return y.numel()

    return Contender(step, 2, arithmetic(SIZES[size], LENGTH), precision)


def ours(size: str, texts: list[str], batch_size: int, optimizer: str, *, mixed: bool) -> Contender:
    """Return this project's trainer."""
    settings = Settings(3, size, 1, batch_size, LENGTH, 1e-4, optimizer=optimizer, mixed_precision=mixed)
    engine = Engine(Transformer(SIZES[size]).initialize(0), settings, 10_000, ExecutionConfig("cpu"), Ranks("cpu"))
    examples = Examples(texts, LENGTH)
    order = batches(examples.lengths, batch_size * LENGTH, torch.Generator().manual_seed(0))
    cycle = [Batch(examples, rows) for rows in order[: max(2, CYCLE // (batch_size * LENGTH))]]

    def step(i: int) -> int:
        batch = cycle[i % len(cycle)]
        engine.steps([batch], i)
        return batch.tokens

    context = context_of(examples.lengths)
    return Contender(step, len(cycle), arithmetic(SIZES[size], context), engine.precision, engine.active)


def turn(contender: Contender, first: int) -> tuple[float, int]:
    """Return the real tokens per second of a turn, and the number of the next batch."""
    tokens, i = 0, first
    with contender.active():
        began = time.perf_counter()
        while i < first + 2 or time.perf_counter() - began < LEAST_SECONDS:
            tokens += contender.step(i)
            i += 1
        return tokens / (time.perf_counter() - began), i


def matrix_rate(precision: torch.dtype) -> float:
    """Return the floating-point operations per second of large matrix products."""
    a, b = torch.randn(2, 2048, 2048).to(precision)
    began, products = time.perf_counter(), 0
    while time.perf_counter() - began < LEAST_SECONDS / 4:
        a @ b
        products += 1
    return products * 2 * 2048**3 / (time.perf_counter() - began)


class Rates(NamedTuple):
    """The rates of each round: of each contender, and of matrix products in each precision."""

    tokens: dict[str, list[float]]
    matrices: dict[torch.dtype, list[float]]

    def ratio(self, name: str, base: str) -> float:
        """Return the median over the rounds of one contender's rate relative to another's."""
        return statistics.median(r / b for r, b in zip(self.tokens[name], self.tokens[base], strict=True))

    def share(self, name: str, contender: Contender) -> float:
        """Return the median over the rounds of useful arithmetic relative to matrix products."""
        pairs = zip(self.tokens[name], self.matrices[contender.precision], strict=True)
        return statistics.median(rate * contender.arithmetic / most for rate, most in pairs)


def alternate(contenders: dict[str, Contender], rounds: int) -> Rates:
    """Warm up all contenders, then let them take turns."""
    position = {}
    for name, contender in contenders.items():
        with contender.active():
            for i in range(contender.warm_up):
                contender.step(i)
        position[name] = contender.warm_up
    precisions = {contender.precision for contender in contenders.values()}
    rates = Rates({name: [] for name in contenders}, {precision: [] for precision in precisions})
    for _ in range(rounds):
        for precision in precisions:
            rates.matrices[precision].append(matrix_rate(precision))
        for name, contender in contenders.items():
            rate, position[name] = turn(contender, position[name])
            rates.tokens[name].append(rate)
    return rates


def against_plain_loops(size: str, texts: list[str]) -> Table:
    """Return a table of this trainer, with several settings, and of the other loops."""
    quick = PROFILES["quick"]
    bf16 = torch.bfloat16
    contenders = {
        PLAIN: plain(size, texts, causal=False),
        PLAIN_CAUSAL: plain(size, texts, causal=True),
        "nanoGPT: 4 × 256, AdamW, fp32": nano_gpt(size, texts, torch.float32),
        "nanoGPT: 4 × 256, AdamW, bf16": nano_gpt(size, texts, bf16),
        "ours: 4 × 256, AdamW, fp32": ours(size, texts, 4, "adamw", mixed=False),
        "ours: 4 × 256, AdamW, mixed": ours(size, texts, 4, "adamw", mixed=True),
        "ours: 16 × 256, AdamW, mixed": ours(size, texts, 16, "adamw", mixed=True),
    }
    name = f"ours as quick: {quick.batch_size} × 256, {quick.optimizer}, {'mixed' if quick.mixed_precision else 'fp32'}"
    contenders[name] = ours(size, texts, quick.batch_size, quick.optimizer, mixed=quick.mixed_precision)
    rates = alternate(contenders, ROUNDS)
    best_nano = max((name for name in contenders if name.startswith("nano")), key=lambda n: rates.ratio(n, PLAIN))
    table = Table("loop", "real tokens/s", "× plain", "× best nanoGPT", "share of matrix rate", title=size)
    for name, contender in contenders.items():
        table.add_row(
            name, f"{statistics.median(rates.tokens[name]):,.0f}", f"{rates.ratio(name, PLAIN):.1f}",
            f"{rates.ratio(name, best_nano):.2f}", f"{rates.share(name, contender):.0%}",
        )  # fmt: skip
    most = {str(p).removeprefix("torch."): statistics.median(r) / 1e9 for p, r in rates.matrices.items()}
    table.caption = "matrix products: " + ", ".join(f"{name} {rate:,.0f} GFLOP/s" for name, rate in most.items())
    return table


def growth(batch_sizes: dict[str, Sequence[int]], texts: list[str]) -> Table:
    """Return a table of this trainer's rate by size and batch."""
    table = Table("size", "batch", "real tokens/s", "× the first", "share of matrix rate", title="ours, AdamW, mixed")
    for size, asked in batch_sizes.items():
        contenders = {f"{b} × {LENGTH}": ours(size, texts, b, "adamw", mixed=True) for b in asked}
        rates = alternate(contenders, 3)
        for name, contender in contenders.items():
            table.add_row(
                size, name, f"{statistics.median(rates.tokens[name]):,.0f}",
                f"{rates.ratio(name, next(iter(contenders))):.2f}", f"{rates.share(name, contender):.0%}",
            )  # fmt: skip
    return table


def with_corpus(documents: dict[str, str]) -> Table:
    """Return a table of tiny's rate by corpus, and of the time to prepare it."""
    table = Table("document", "s to prepare", "pairs", "tokens an epoch", "real tokens/s", "× the first")
    table.title = "ours, tiny, 4 × 256, AdamW, mixed"
    table.caption = "to prepare: parse the document, split and pair it, encode the pairs, cut an epoch into batches"
    contenders, cells = {}, {}
    for name, document in documents.items():
        began = time.perf_counter()
        texts = pairs(document)
        lengths = Examples(texts, LENGTH).lengths
        batches(lengths, BATCH * LENGTH, torch.Generator())
        seconds = time.perf_counter() - began
        contenders[name] = ours("tiny", texts, BATCH, "adamw", mixed=True)
        cells[name] = [f"{seconds:.1f}", f"{len(texts):,}", f"{tokens_to_predict(lengths):,}"]
    rates = alternate(contenders, 3)
    for name, told in cells.items():
        ratio = rates.ratio(name, next(iter(contenders)))
        table.add_row(name, *told, f"{statistics.median(rates.tokens[name]):,.0f}", f"{ratio:.2f}")
    return table


def paired_rows(document: str) -> pa.Table:
    """Return the phase 3 pairs of a document."""
    return PAIRED_CORPUS.table(examples_table(collect([parse_document(document, "document.md")])))


def pairs(document: str) -> list[str]:
    """Return the texts of the training pairs."""
    return model_texts(paired_rows(document), "train")


def users_document() -> tuple[str, str]:
    """Return a name and a document: a real one of 164 entries if it is beside the project, else a composed one."""
    path = SHARED / "corpus" / "corpus_all_variants.md"
    if path.exists():
        return path.name, path.read_text(encoding="utf-8")
    return "composed, 164 entries", compose(164, 0)


def main(sizes: Sequence[str] = ("tiny", "10m")) -> None:
    """Print the tables."""
    console = Console(width=120)
    name, document = users_document()
    texts = pairs(document)
    console.print(f"corpus: {name}, {len(texts):,} pairs; {torch.get_num_threads()} threads")
    for size in sizes:
        console.print(against_plain_loops(size, texts))
    console.print(growth({"tiny": (4, 8, 16, 32), "10m": (4, 8, 16, 32), "50m": (4,)}, texts))
    console.print(with_corpus({name: document} | {f"composed, {n:,} entries": compose(n, 0) for n in (2000, 20_000)}))


if __name__ == "__main__":
    main(sys.argv[1:] or ("tiny", "10m"))
