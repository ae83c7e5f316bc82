"""Batches of examples of similar length, bounded in tokens, with little padding.

Padding every example to 256 tokens wastes 78% of each batch of short sentences; batches of similar length waste 2% to
7% (`docs/performance.md`).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hlx_model.corpus.prompts import ARROW, ENGLISH_PROMPT
from hlx_model.corpus.tokens import Texts
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import PAD, encode_array
from hlx_model.training.settings import Settings

STEP = 8
"""Widths of batches differ by multiples of this: on a CPU each new shape costs tens of milliseconds, in which oneDNN
prepares its bf16 kernels (`docs/performance.md`)."""


class Examples:
    """Texts as token ids, one after another in memory or in a mapped file."""

    def __init__(self, texts: Sequence[str], seq_length: int) -> None:
        """Encode the texts, unless they are `Texts`; `ValueError` shows the first one over `seq_length` tokens."""
        found = texts if isinstance(texts, Texts) else Texts.of(texts)
        if len(too_long := np.flatnonzero(found.lengths > seq_length)):
            first = int(too_long[0])
            raise ValueError(
                f"the example {found[first][:40]!r}… has {found.lengths[first]} tokens, seq_length is {seq_length}: "
                "raise --seq-length, or build the corpus again with this length, which quarantines the example"
            )
        self.lengths = torch.from_numpy(found.lengths)
        prompts, in_english = _prompts(found)
        self.prompts = torch.from_numpy(prompts)
        """Next tokens of each example that belong to its prompt."""
        self.in_english = torch.from_numpy(in_english)
        """Whether its answer is in English."""
        self._offsets = torch.from_numpy(found.starts)
        self._ids = torch.from_numpy(found.ids)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Tensor) -> Tensor:
        """Return token ids (B, T) of the examples at `rows`, padded on the right to the `width` of the longest."""
        lengths = self.lengths[rows]
        place_T = torch.arange(width(int(lengths.max())))
        real_BT = place_T < lengths[:, None]
        where_BT = torch.where(real_BT, self._offsets[rows, None] + place_T, 0)
        return torch.where(real_BT, self._ids[where_BT], PAD).long()


def _prompts(texts: Texts) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the tokens of each text's prompt, and whether its answer is in English: `answer_start` for all at once."""
    ids, arrow = texts.ids, encode_array(ARROW)
    # The sign in the middle is rare, the spaces around it are not.
    arrows = np.flatnonzero(ids == arrow[1]) - 1
    arrows = arrows[(ids[arrows] == arrow[0]) & (ids[arrows + 2] == arrow[2])]
    nearest = np.append(arrows, len(ids))[np.searchsorted(arrows, texts.starts)]
    has_prompt = nearest < texts.starts + texts.lengths
    prompts = np.where(has_prompt, nearest - texts.starts - 1 + len(ARROW), 0)
    in_english = np.flatnonzero(has_prompt)
    for place, token in enumerate(encode_array(ENGLISH_PROMPT), start=1):
        in_english = in_english[ids[texts.starts[in_english] + place] == token]
    found = np.zeros(len(texts), bool)
    found[in_english] = True
    return prompts, found


class TokenWeights(NamedTuple):
    """Weights of next tokens in the objective; those of answers in HLX, and of texts without a prompt, weigh 1."""

    prompt: float = 1.0
    english: float = 1.0
    """Of a token of an answer in English."""


class Batch(NamedTuple):
    """Rows of examples that one step of the optimizer learns from."""

    examples: Examples
    rows: Tensor

    @property
    def tokens(self) -> int:
        """Return the number of next tokens to predict."""
        return tokens_to_predict(self.examples.lengths[self.rows])

    def weight(self, weights: TokenWeights) -> float:
        """Return the weight of all of them together."""
        prompts_B = self.examples.prompts[self.rows]
        answers_B = self.examples.lengths[self.rows] - 1 - prompts_B
        return float((weights.prompt * prompts_B + self._of_answers(weights) * answers_B).sum())

    def weights(self, columns: int, weights: TokenWeights) -> Tensor:
        """Return weights (B, T) of the next tokens at `columns` positions."""
        in_prompt_BT = torch.arange(columns) < self.examples.prompts[self.rows, None]
        return torch.where(in_prompt_BT, weights.prompt, self._of_answers(weights)[:, None])

    def _of_answers(self, weights: TokenWeights) -> Tensor:
        return torch.where(self.examples.in_english[self.rows], weights.english, 1.0)

    def shares(self, number: int) -> list["Batch"]:
        """Deal the rows of the batch into so many parts; the last parts are empty if there are fewer rows."""
        return [Batch(self.examples, self.rows[part::number]) for part in range(number)]

    def ids(self) -> Tensor:
        """Return token ids (B, T)."""
        return self.examples.batch(self.rows)


class TrainingData:
    """The examples of a training, and those of each earlier phase that are replayed."""

    def __init__(self, train: Sequence[str], replay: Sequence[Sequence[str]], settings: Settings) -> None:
        self._settings = settings
        self._examples = Examples(train, settings.seq_length)
        self._replay = [Examples(texts, settings.seq_length) for texts in replay]
        self.tokens = tokens_to_predict(self._examples.lengths)
        """Next tokens to predict in one epoch of the training's own examples."""
        self._newest: tuple[int, list[Batch]] | None = None
        """The epoch that was asked for last: a training asks for its first one twice."""

    def epoch(self, epoch: int) -> list[Batch]:
        """Return an epoch's batches in order, replayed ones included; the same for the same seed and epoch."""
        if self._newest is None or self._newest[0] != epoch:
            self._newest = None  # before the next one, which may be as large
            self._newest = epoch, self._batches(epoch)
        return self._newest[1]

    def _batches(self, epoch: int) -> list[Batch]:
        s = self._settings
        generator = torch.Generator().manual_seed(s.seed * 1_000_003 + s.phase * 10_007 + epoch)
        max_tokens = s.batch_size * s.seq_length
        found = [Batch(self._examples, rows) for rows in batches(self._examples.lengths, max_tokens, generator)]
        share = int(s.replay * int(self._examples.lengths.sum()))
        for earlier in self._replay:
            rows = sample_replay_rows(earlier.lengths, share, generator)
            found += [Batch(earlier, rows[b]) for b in batches(earlier.lengths[rows], max_tokens, generator)]
        return [found[i] for i in torch.randperm(len(found), generator=generator).tolist()]


def width(longest: int) -> int:
    """Return the width of a batch whose longest example has so many tokens: one more than a multiple of 8.

    The model reads all tokens but the last, which is a multiple of 8.
    """
    return min(math.ceil((longest - 1) / STEP) * STEP + 1, POSITIONS)


def tokens_to_predict(lengths: Tensor) -> int:
    """Return the number of next tokens in examples of these lengths: all tokens but `<BOS>`."""
    return int(lengths.sum()) - len(lengths)


def batches(lengths: Tensor, max_tokens: int, generator: torch.Generator) -> list[Tensor]:
    """Return all examples once, in a new order, as batches of row numbers.

    Examples are sorted by length with 10% noise, so that batches differ from epoch to epoch. A batch ends before
    rows × width would exceed `max_tokens`. Then the batches are shuffled.
    """
    noise = 1 + 0.1 * torch.rand(len(lengths), generator=generator)
    order = torch.argsort(lengths * noise)
    widths = _widths(lengths, order)
    result, start = [], 0
    while start < len(order):
        # One more than can have the width of the first one.
        some = widths[start : start + max(max_tokens // int(widths[start]), 1) + 1]
        too_many = np.maximum.accumulate(some) * np.arange(1, len(some) + 1) > max_tokens
        number = 1 + int(too_many[1:].argmax()) if too_many[1:].any() else len(some)
        result.append(order[start : start + number])
        start += number
    return [result[i] for i in torch.randperm(len(result), generator=generator).tolist()]


def _widths(lengths: Tensor, order: Tensor) -> NDArray[np.int64]:
    """Return the `width` of each example in an order (examples,)."""
    return torch.clamp((lengths[order] - 1 + STEP - 1) // STEP * STEP + 1, max=POSITIONS).numpy()


def sample_replay_rows(lengths: Tensor, tokens: int, generator: torch.Generator) -> Tensor:
    """Return row numbers of random examples that together have about `tokens` tokens, or of all if they have fewer."""
    order = torch.randperm(len(lengths), generator=generator)
    fits = int((lengths[order].cumsum(0) <= tokens).sum())
    return order[:fits]
