"""Requests per second of `hlx serve` at 1, 8 and 64 clients, against a loop of one request at a time.

    make bench ARGS=serving

The server is a process of its own, and so are the clients; both share the machine. A client sends its next request when
it has its answer, over a connection that stays open. The loop computes the same prompts one after another, without a
server. Then 10,000 requests come in mixtures of 1 to 64 clients, and each text is compared with what its prompt gives
alone; if one differs, the two best logits where it begins to differ tell how close the choice was.
"""

import asyncio
import json
import multiprocessing
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.generation import NEVER, STEPS, trained
from benchmarks.training import paired_rows, users_document
from hlx_model.checkpoints.manifest import Manifest
from hlx_model.checkpoints.progress import Progress
from hlx_model.checkpoints.weights import write_checkpoint
from hlx_model.corpus.tables import model_texts
from hlx_model.evaluation.translation import MAX_ANSWER
from hlx_model.model.device import threads, threads_of
from hlx_model.model.generation import generate
from hlx_model.model.sizes import SIZES
from hlx_model.model.tokenizer import BOS, VOCABULARY_SHA256, encode
from hlx_model.model.transformer import Transformer
from hlx_model.training.settings import Settings
from tests.support.waiting import wait_for

CLIENTS, ROUNDS = (1, 8, 64), 3
REQUESTS = {"tiny": (40, 300, 2000), "10m": (12, 60, 300)}
"""Requests of a round, by the number of clients."""
ALONE = {"tiny": 40, "10m": 12}
"""Prompts of a round of the loop."""
MIXED, PROMPTS = 10_000, 256
CLOSE = 1e-4
"""A choice between logits that are closer than this may fall either way."""


def body(prompt: str) -> bytes:
    """Return the body of a completion: the prompt as it is, so that each has one answer of the model."""
    return json.dumps({"model": "hlx-brain", "prompt": prompt, "max_tokens": MAX_ANSWER}).encode()


async def client(port: int, prompts: Iterator[str], texts: dict[str, set[str]], seconds: list[float]) -> None:
    """Send requests one after another over one connection until there are no more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    for prompt in prompts:
        content, began = body(prompt), time.perf_counter()
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(lines.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        seconds.append(time.perf_counter() - began)
        if not lines.startswith(b"http/1.1 200"):
            raise RuntimeError(answer.decode())
        texts.setdefault(prompt, set()).add(json.loads(answer)["choices"][0]["text"])
    writer.close()


def load(port: int, prompts: Sequence[str], clients: int) -> tuple[dict[str, set[str]], list[float], float]:
    """Return the texts by prompt, the seconds of each request, and the seconds of all."""

    async def run() -> tuple[dict[str, set[str]], list[float], float]:
        texts: dict[str, set[str]] = {}
        seconds: list[float] = []
        waiting, began = iter(prompts), time.perf_counter()
        await asyncio.gather(*(client(port, waiting, texts, seconds) for _ in range(clients)))
        return texts, seconds, time.perf_counter() - began

    return asyncio.run(run())


def written(folder: Path, model: Transformer, size: str) -> Path:
    """Write a checkpoint with a model that was trained for this benchmark."""
    manifest = Manifest(
        kind="FINAL", phase=3, epoch=1, epochs=1, step=STEPS[size], size=size, parameters=SIZES[size].parameters,
        training_id="0" * 16, settings=vars(Settings(3, size, 1, 4, 256, 3e-3)), vocabulary_sha256=VOCABULARY_SHA256,
        corpora={}, parent=None, stopped=None, versions={}, run_id=None, created="2026-01-01T00:00:00+00:00",
        weights_sha256="", files={},
    )  # fmt: skip
    return write_checkpoint(folder / "training" / ("0" * 16) / "checkpoints", manifest, model, Progress(), None)


@contextmanager
def served(checkpoint: Path) -> Iterator[int]:
    """Serve a checkpoint while the block runs, and return the port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "hlx_model", "serve", str(checkpoint), "--ungated", "--port", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        wait_for(lambda: answers(port))
        yield port
        server.terminate()


def answers(port: int) -> bool:
    """Return whether the server answers."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/health") as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@torch.inference_mode()
def gap(model: Transformer, prompt: str, one: str, other: str) -> float:
    """Return how far the two best logits are apart where two texts begin to differ."""
    same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    logits = model(torch.tensor([[BOS, *encode(prompt + one[:same])]]))[0, -1].index_fill(0, NEVER, -torch.inf)
    best, second = logits.topk(2).values.tolist()
    return float(best - second)


def per_second(model: Transformer, prompts: Sequence[str]) -> float:
    """Return how many prompts a loop of one at a time answers in a second."""
    began = time.perf_counter()
    with threads(threads_of(model.architecture)):  # a small model is slower on two
        for prompt in prompts:
            generate(model, [prompt], max_new_tokens=MAX_ANSWER)
    return len(prompts) / (time.perf_counter() - began)


def main(sizes: Sequence[str] = tuple(REQUESTS)) -> None:
    """Print the tables."""
    name, document = users_document()
    rows = paired_rows(document)
    every = sorted(set(rows["prompt"].to_pylist()))
    prompts = every[:: max(1, len(every) // PROMPTS)][:PROMPTS]
    console = Console(highlight=False)
    console.print(f"{len(prompts)} prompts of {name}; medians of {ROUNDS} rounds; {torch.get_num_threads()} cores")
    table = Table("size", "clients", "requests/s", "p50 ms", "p99 ms", "one at a time", "ratio")
    chance, mixed = random.Random(0), []
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as others:
        for size in sizes:
            model = trained(size, model_texts(rows, "train"))
            with (
                tempfile.TemporaryDirectory(prefix="serving-") as folder,
                served(written(Path(folder), model, size)) as port,
            ):
                others.submit(load, port, prompts, 8).result()
                found: dict[int, list[tuple[float, float, list[float]]]] = {clients: [] for clients in CLIENTS}
                for _ in range(ROUNDS):
                    alone = per_second(model, chance.choices(prompts, k=ALONE[size]))
                    for clients, number in zip(CLIENTS, REQUESTS[size], strict=True):
                        asked = chance.choices(prompts, k=number)
                        _, seconds, whole = others.submit(load, port, asked, clients).result()
                        found[clients].append((number / whole, alone, seconds))
                for clients, rounds in found.items():
                    quantiles = statistics.quantiles((s for _, _, all in rounds for s in all), n=100)
                    table.add_row(
                        size, str(clients), f"{statistics.median(r for r, _, _ in rounds):,.0f}",
                        f"{1000 * quantiles[49]:.0f}", f"{1000 * quantiles[98]:.0f}",
                        f"{statistics.median(a for _, a, _ in rounds):,.1f}",
                        f"{statistics.median(r / a for r, a, _ in rounds):.1f}",
                    )  # fmt: skip
                if size == "tiny":
                    mixed = [others.submit(load, port, chance.choices(prompts, k=count), clients).result()[0]
                             for clients, count in mixtures(chance)]  # fmt: skip
                    differ = differing(model, mixed)
    console.print(table)
    console.print(f"{MIXED:,} requests in mixtures of 1 to 64 clients: {differ}")


def mixtures(chance: random.Random) -> Iterator[tuple[int, int]]:
    """Yield numbers of clients and of requests, which are `MIXED` in all."""
    left = MIXED
    while left:
        clients = chance.choice((1, 2, 3, 5, 8, 13, 21, 34, 55, 64))
        count = min(left, clients * 25)
        left -= count
        yield clients, count


def differing(model: Transformer, mixed: Sequence[dict[str, set[str]]]) -> str:
    """Return in words how many texts are not those that their prompts give alone."""
    texts: dict[str, set[str]] = {}
    for found in mixed:
        for prompt, some in found.items():
            texts.setdefault(prompt, set()).update(some)
    gaps = []
    for prompt, some in texts.items():
        (alone,) = generate(model, [prompt], max_new_tokens=MAX_ANSWER)
        gaps += [gap(model, prompt, alone, other) for other in some - {alone}]
    if not gaps:
        return f"each text is the one that its prompt gives alone ({len(texts)} prompts)"
    close = sum(one < CLOSE for one in gaps)
    return f"{len(gaps)} other texts; in {close} of them the two best logits are closer than {CLOSE:g}"


if __name__ == "__main__":
    main()
