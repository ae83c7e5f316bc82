"""Tokens written per second: many prompts at once with cached keys and values, against one by one without.

    make bench ARGS=generation

Both write greedily after prompts of the paired corpus: 96 tokens each with fresh weights, which never write an end; and
answers of a model that was trained briefly, so that rows of a batch end at different places. Both must write the same
text; a difference ends the benchmark.
"""

import statistics
import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.training import paired_rows, users_document
from hlx_model.corpus.tables import model_texts
from hlx_model.model.device import threads, threads_of
from hlx_model.model.generation import generate
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import BOS, EOS, PAD, UNK, decode, encode
from hlx_model.model.transformer import Transformer
from hlx_model.training.batches import Batch, Examples, batches
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.settings import Settings

ROUNDS, PROMPTS, AT_ONCE, TOKENS = 5, 256, 4, 96
STEPS = {"tiny": 300, "10m": 60}
"""Steps of training until texts have their form and their end."""

NEVER = torch.tensor([PAD, BOS, UNK])
"""Tokens that `generate` never writes."""


def trained(size: str, texts: list[str]) -> Transformer:
    """Return a model that was trained on some of the texts."""
    settings = Settings(3, size, 1, 4, 256, 3e-3, optimizer="muon", mixed_precision=True)
    model = Transformer(SIZES[size]).initialize(0)
    engine = Engine(model, settings, STEPS[size], ExecutionConfig("cpu"), Ranks("cpu"))
    examples = Examples(texts, settings.seq_length)
    order = batches(examples.lengths, 4 * 256, torch.Generator().manual_seed(0))
    with engine.active():
        for step in range(STEPS[size]):
            engine.steps([Batch(examples, order[step % len(order)])], step)
    return model.eval()


@torch.inference_mode()
def one_by_one(model: Transformer, prompts: list[str]) -> list[str]:
    """Write greedily; the whole text goes through the model for each token."""
    texts = []
    for prompt in prompts:
        ids = [BOS, *encode(prompt)]
        start = len(ids)
        while len(ids) - start < TOKENS:
            ids.append(int(model(torch.tensor([ids]))[0, -1].index_fill(0, NEVER, -torch.inf).argmax()))
            if ids[-1] == EOS:
                break
        texts.append(decode(ids[start:]))
    return texts


def written(texts: list[str]) -> int:
    """Return the number of tokens of these texts, their ends included."""
    return sum(min(len(text) + 1, TOKENS) for text in texts)


def compared(model: Transformer, prompts: list[str]) -> list[str]:
    """Return the cells of a row: medians of alternating rounds."""
    slow, fast, equal = [], [], 0
    generate(model, prompts, max_new_tokens=4)
    for i in range(ROUNDS):
        some = prompts[i :: len(prompts) // AT_ONCE][:AT_ONCE]
        began = time.perf_counter()
        with threads(threads_of(model.architecture)):  # a small model is slower on two
            expected = one_by_one(model, some)
        slow.append(written(expected) / (time.perf_counter() - began))
        began = time.perf_counter()
        texts = generate(model, prompts, max_new_tokens=TOKENS)
        fast.append(written(texts) / (time.perf_counter() - began))
        found = [texts[prompts.index(prompt)] for prompt in some]
        if found != expected:
            sys.exit(f"error: batched and cached, other texts are written: {found} for {expected}")
        equal += len(some)
    ratio = statistics.median(f / s for f, s in zip(fast, slow, strict=True))
    mean = written(texts) / len(texts)
    speeds = (f"{statistics.median(rates):,.0f}" for rates in (slow, fast))
    return [f"{mean:.0f}", *speeds, f"{ratio:.1f}", f"{equal} of {equal}"]


def main() -> None:
    """Print tokens a second of both and their ratio, medians of alternating rounds."""
    name, document = users_document()
    rows = paired_rows(document)
    every = sorted(set(rows["prompt"].to_pylist()))
    prompts = every[:: max(1, len(every) // PROMPTS)][:PROMPTS]
    lengths = [len(prompt) for prompt in prompts]
    console = Console()
    console.print(f"{len(prompts)} prompts of {name}, {min(lengths)} to {max(lengths)} characters")
    table = Table("size", "writes", "tokens a text", "tokens/s one by one", "batched, cached", "ratio", "texts equal")
    for size in STEPS:
        models = {
            "96 tokens each": Transformer(SIZES[size]).initialize(0).eval(),
            "answers": trained(size, model_texts(rows, "train")),
        }
        for writes, model in models.items():
            table.add_row(size, writes, *compared(model, prompts))
    console.print(table)


if __name__ == "__main__":
    main()
