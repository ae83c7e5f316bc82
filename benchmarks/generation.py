"""Tokens a second written: many prompts at once with cached keys and values, against one by one without.

python -m benchmarks generation
"""

import statistics
import time

import torch
from rich.console import Console
from rich.table import Table

from hlx_model.corpus import prompt
from hlx_model.generation import generate
from hlx_model.tokenizer import BOS, decode, encode
from hlx_model.transformer import SIZES, Transformer

ROUNDS, PROMPTS, TOKENS = 3, 64, 48


@torch.inference_mode()
def one_by_one(model: Transformer, prompts: list[str]) -> list[str]:
    """Greedy, the whole text through the model again for each token."""
    texts = []
    for text in prompts:
        ids = [BOS, *encode(text)]
        for _ in range(TOKENS):
            ids.append(int(model(torch.tensor([ids]))[0, -1, 4:].argmax()) + 4)
        texts.append(decode(ids[len(text) + 1 :]))
    return texts


def main() -> None:
    """Print tokens a second of both and their ratio, medians of alternating rounds."""
    table = Table("size", "tokens/s one by one", "tokens/s batched, cached", "ratio")
    prompts = [prompt("HLXL", f"Search for {'documents' * (1 + i % 3)}") for i in range(PROMPTS)]
    for size in ("tiny", "10m"):
        model = Transformer(SIZES[size]).initialize(0).eval()
        slow, fast = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            one_by_one(model, prompts[:4])
            slow.append(4 * TOKENS / (time.perf_counter() - began))
            began = time.perf_counter()
            written = generate(model, prompts, max_new_tokens=TOKENS)
            fast.append(sum(len(text) for text in written) / (time.perf_counter() - began))
        ratio = statistics.median(f / s for f, s in zip(fast, slow, strict=True))
        table.add_row(size, f"{statistics.median(slow):,.0f}", f"{statistics.median(fast):,.0f}", f"{ratio:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
