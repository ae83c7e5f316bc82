"""Generate text: many prompts at once, greedy or sampled, with cached keys and values.

    texts = generate(model, prompts)

A `Batch` has a number of slots. When a text ends, the next one takes its place (continuous batching: Yu et al. 2022,
Orca), so that a step is computed for many texts, however different their lengths are.

What is written after a prompt does not depend on the texts beside it. On a CPU, a matrix product of few rows, and a sum
over another number of positions, have other last bits. So a step has at least `MIN_ROWS` rows in each thread, and
lengths are multiples of `ROUND` (`benchmarks/serving.py` counts the texts that differ).
"""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch
from torch import Tensor

from hlx_model.model.device import threads
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import BOS, EOS, PAD, UNK, decode, encode
from hlx_model.model.transformer import Cache, Transformer, rounded

SLOTS = 64
"""Texts that are written together; on a CPU, in each thread."""
MIN_ROWS = 4
"""Rows of a step, for each CPU thread."""
READ_TOGETHER = 16
"""Prompts that are read in one pass. They are padded to the longest of them."""
ENOUGH = 8
"""Prompts for which a batch reads at once. Reading one takes about as long as a step of half the batch."""
PATIENCE = 4
"""Steps that fewer prompts wait for others, if other texts are being written."""
MAX_PROMPT = POSITIONS - 2
"""Tokens of the longest prompt: `<BOS>` comes before it, and one position must be left to write."""
_MIN_TEMPERATURE = 1e-6
"""Logits that are divided by less may overflow."""
_NEVER = torch.tensor([PAD, BOS, UNK])
"""Tokens that are never written."""


@dataclass(eq=False)
class GenerationRequest:
    """A text that is written: its prompt, its limits, and its tokens so far."""

    prompt: list[int]
    """Token ids without `<BOS>`, at most `MAX_PROMPT`."""
    max_new_tokens: int
    """At least 1. The model's 512 positions are a limit too."""
    temperature: float = 0.0
    """0 takes the most likely token (greedy); above 0 tokens are sampled."""
    generator: torch.Generator | None = None
    """Of the sampling, on the model's device."""
    written: list[int] = field(default_factory=list)
    """Token ids; the last one is `<EOS>` if the model ended the text."""
    cancelled: bool = False
    """Set it to end the text before the next step."""

    @property
    def ended(self) -> bool:
        """Whether nothing more is written."""
        count = len(self.written)
        full = count >= self.max_new_tokens or len(self.prompt) + 1 + count >= POSITIONS
        return full or self.cancelled or self.written[-1:] == [EOS]


Text = TypeVar("Text", bound=GenerationRequest)


class Batch(Generic[Text]):
    """Texts that are written together: each step writes one token of each.

    Args:
        model: on any device, in any dtype.
        slots: the most texts at once.
        capacity: the most positions of a text, with `<BOS>` and the prompt.
    """

    def __init__(self, model: Transformer, slots: int = SLOTS, capacity: int = POSITIONS) -> None:
        self._model, self._slots = model, slots
        self._device = model.output_projection.weight.device
        self._min_rows = MIN_ROWS * torch.get_num_threads()
        self._cache = Cache.zeros(model, max(slots, self._min_rows), min(POSITIONS, rounded(capacity)))
        self._texts: list[Text] = []
        """Each has the row of the cache that is its index here."""
        self._delay = 0

    def __len__(self) -> int:
        """Return the number of texts that are being written."""
        return len(self._texts)

    @torch.inference_mode()
    def step(self, waiting: deque[Text]) -> list[Text]:
        """Write one token of each text; first give the free slots to texts that wait.

        Args:
            waiting: texts without a token yet. Those that get a slot are removed from the left.

        Returns:
            The texts that got a token or were cancelled. Those of them that have ended have left the batch.
        """
        cancelled = self._leave()
        for texts in self._admitted(waiting):
            self._read(texts)
        if self._texts:
            self._continue()
        stepped = cancelled + self._texts
        self._leave()
        return stepped

    def _admitted(self, waiting: deque[Text]) -> Iterator[list[Text]]:
        """Yield the texts that get a slot now, in groups of similar length."""
        number = min(len(waiting), self._slots - len(self._texts))
        self._delay = self._delay + 1 if number else 0
        if self._texts and number < ENOUGH and self._delay <= PATIENCE:
            return
        self._delay = 0
        taken = sorted((waiting.popleft() for _ in range(number)), key=lambda text: len(text.prompt))
        for start in range(0, number, READ_TOGETHER):
            yield taken[start : start + READ_TOGETHER]

    def _read(self, texts: list[Text]) -> None:
        """Read the prompts of texts into the next rows of the cache, but for their last tokens."""
        first, longest = len(self._texts), rounded(max(len(text.prompt) for text in texts))
        self._texts += texts
        if longest:
            ids = [([BOS, *text.prompt[:-1]] + [PAD] * longest)[:longest] for text in texts]
            self._model.fill(torch.tensor(ids, device=self._device), self._cache.rows(first, len(self._texts)))

    def _continue(self) -> None:
        """Write the next token of each text. Rows that no text has compute position 0, which nothing reads."""
        spare = [0] * (self._min_rows - len(self._texts))
        tokens = [(text.written or text.prompt or [BOS])[-1] for text in self._texts] + spare
        positions = [len(text.prompt) + len(text.written) for text in self._texts] + spare
        token_B, position_B = torch.tensor([tokens, positions], device=self._device)
        _write(self._texts, self._model.step(token_B, position_B, self._cache.rows(0, len(tokens))))

    def _leave(self) -> list[Text]:
        """Remove the texts that have ended, and return them. The last text moves into each free row."""
        ended = [text for text in self._texts if text.ended]
        for text in ended:
            row, last = self._texts.index(text), self._texts.pop()
            if last is not text:
                self._texts[row] = last
                self._cache.move(len(self._texts), row, len(last.prompt) + len(last.written))
        return ended


def generate(
    model: Transformer, prompts: Sequence[str], *, max_new_tokens: int | Sequence[int] = 128, temperature: float = 0.0,
    seed: int = 0,
) -> list[str]:  # fmt: skip
    """Return what the model writes after each prompt, up to `<EOS>` or `max_new_tokens` tokens.

    Args:
        model: on any device, in any dtype.
        prompts: texts to continue, without `<BOS>`, which is added. A prompt may be empty.
        max_new_tokens: upper limit: of each prompt its own, or one for all. The model's 512 positions are a limit too.
        temperature: 0 takes the most likely token (greedy); above 0 tokens are sampled.
        seed: of the sampling. The same seed gives the same texts on the same device.

    Returns:
        The continuations without their prompts, in the order of the prompts.

    Raises:
        ValueError: a prompt is so long that no position is left to write.
    """
    for prompt in prompts:
        if len(prompt) > MAX_PROMPT:
            raise ValueError(f"the prompt {prompt[:40]!r}… has {len(prompt)} tokens: at most {MAX_PROMPT} fit")
    device = model.output_projection.weight.device
    limits = [max_new_tokens] * len(prompts) if isinstance(max_new_tokens, int) else max_new_tokens
    texts = [
        GenerationRequest(encode(prompt), limit, temperature, _generator(device, seed, i) if temperature else None)
        for i, (prompt, limit) in enumerate(zip(prompts, limits, strict=True))
    ]
    # Prompts of similar length need the least padding, and short texts the least attention.
    order = sorted((text for text in texts if not text.ended), key=lambda text: len(text.prompt))
    workers = min(torch.get_num_threads(), -(-len(order) // SLOTS)) if device.type == "cpu" else 1
    if workers < 2:
        _write_all(model, order)
    else:
        # Threads that each write a whole batch wait for each other far less than threads that share one operation.
        with threads(1), ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(lambda k: _write_all(model, order[k::workers]), range(workers)))
    return [decode(text.written) for text in texts]


def _generator(device: torch.device, seed: int, index: int) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(seed * 1_000_003 + index)


def _write_all(model: Transformer, texts: Sequence[GenerationRequest]) -> None:
    capacity = max((len(text.prompt) + 1 + text.max_new_tokens for text in texts), default=0)
    batch, waiting = Batch[GenerationRequest](model, min(SLOTS, len(texts)), capacity), deque(texts)
    while waiting or batch:
        batch.step(waiting)


def greedy(logits_BV: Tensor) -> Tensor:
    """Return the most likely symbol of text, or `<EOS>`, of each row of logits: (B)."""
    return _of_text(logits_BV).argmax(dim=1)


def _of_text(logits_BV: Tensor) -> Tensor:
    # The logits of a broken model may be NaN; its report is written all the same.
    logits_BV = logits_BV.float().nan_to_num(nan=0.0, posinf=1e9, neginf=-1e9)
    # <PAD>, <BOS> and <UNK> are never text. Losses show a model that prefers them.
    return logits_BV.index_fill_(1, _NEVER.to(logits_BV.device), -torch.inf)


def _write(texts: Sequence[GenerationRequest], logits_BV: Tensor) -> None:
    """Add to each text the token that its row of logits chooses. There may be more rows than texts."""
    chosen = greedy(logits_BV).tolist()
    for row, text in enumerate(texts):
        token = chosen[row]
        if text.temperature:
            temperature = max(text.temperature, _MIN_TEMPERATURE)
            probabilities_1V = torch.softmax(_of_text(logits_BV[row : row + 1]) / temperature, dim=1)
            token = int(torch.multinomial(probabilities_1V, 1, generator=text.generator))
        text.written.append(token)
