"""Examples as batches: of like length, bounded in tokens, with hardly any padding.

Padding every example to a fixed 256 tokens wastes 78% to 91% of each batch on the users' corpus
(`shared/design/findings.md`); batches of like length waste about 2%.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hlx_model.corpus.prompts import answer_start
from hlx_model.model.sizes import POSITIONS
from hlx_model.model.tokenizer import PAD, encode_example
from hlx_model.training.settings import Settings

STEP = 8
"""Widths of batches are this far apart: on a CPU each new shape costs tens of milliseconds, in which oneDNN
prepares its bf16 kernels (`docs/performance.md`)."""


class Examples:
    """Texts as token ids, one after another in memory."""

    def __init__(self, texts: Sequence[str], seq_length: int) -> None:
        """Raises `ValueError` that shows the first text longer than `seq_length` tokens."""
        encoded = [torch.tensor(encode_example(text), dtype=torch.uint8) for text in texts]
        for text, ids in zip(texts, encoded, strict=True):
            if len(ids) > seq_length:
                raise ValueError(
                    f"the example {text[:40]!r}… has {len(ids)} tokens where seq_length is {seq_length}: "
                    "raise --seq-length, or read the corpus again with this one so that it is quarantined"
                )
        self.lengths = torch.tensor([len(ids) for ids in encoded], dtype=torch.long)
        self.prompts = torch.tensor([answer_start(text) for text in texts], dtype=torch.long)
        """How many of an example's next tokens are those of its prompt."""
        self._offsets = self.lengths.cumsum(0) - self.lengths
        self._ids = torch.cat(encoded) if encoded else torch.zeros(0, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Tensor) -> Tensor:
        """Token ids (B, T) of the examples at `rows`, padded on the right to the `width` of the longest of them."""
        lengths = self.lengths[rows]
        place_T = torch.arange(width(int(lengths.max())))
        real_BT = place_T < lengths[:, None]
        where_BT = torch.where(real_BT, self._offsets[rows, None] + place_T, 0)
        return torch.where(real_BT, self._ids[where_BT], PAD).long()


class Batch(NamedTuple):
    """Some rows of some examples: what one step of the optimizer learns from."""

    examples: Examples
    rows: Tensor

    @property
    def tokens(self) -> int:
        """How many next tokens it asks for."""
        return tokens_to_predict(self.examples.lengths[self.rows])

    @property
    def prompt_tokens(self) -> int:
        """How many of them belong to prompts."""
        return int(self.examples.prompts[self.rows].sum())

    def weights(self, columns: int, prompt_weight: float) -> Tensor:
        """Weights (B, T) of the next tokens at `columns` positions: 1 in answers, `prompt_weight` in prompts."""
        in_prompt_BT = torch.arange(columns) < self.examples.prompts[self.rows, None]
        return torch.where(in_prompt_BT, prompt_weight, 1.0)

    def shares(self, number: int) -> list["Batch"]:
        """The batch dealt row by row into so many parts; the last ones are empty where rows are few."""
        return [Batch(self.examples, self.rows[part::number]) for part in range(number)]

    def ids(self) -> Tensor:
        """Token ids (B, T)."""
        return self.examples.batch(self.rows)


class TrainingData:
    """What a training learns from: its own examples, and some of each earlier phase's again."""

    def __init__(self, train: Sequence[str], replay: Sequence[Sequence[str]], settings: Settings) -> None:
        self._settings = settings
        self._examples = Examples(train, settings.seq_length)
        self._replay = [Examples(texts, settings.seq_length) for texts in replay]
        self.tokens = tokens_to_predict(self._examples.lengths)
        """Next tokens to predict in one pass over the training's own examples."""

    def epoch(self, epoch: int) -> list[Batch]:
        """This epoch's batches in order, the replayed ones among them; the same for the same seed and epoch."""
        s = self._settings
        generator = torch.Generator().manual_seed(s.seed * 1_000_003 + s.phase * 10_007 + epoch)
        most_tokens = s.batch_size * s.seq_length
        found = [Batch(self._examples, rows) for rows in batches(self._examples.lengths, most_tokens, generator)]
        share = int(s.replay * int(self._examples.lengths.sum()))
        for earlier in self._replay:
            rows = sample_replay_rows(earlier.lengths, share, generator)
            found += [Batch(earlier, rows[b]) for b in batches(earlier.lengths[rows], most_tokens, generator)]
        return [found[i] for i in torch.randperm(len(found), generator=generator).tolist()]


def width(longest: int) -> int:
    """The width of a batch whose longest example has so many tokens: one more than a multiple of 8.

    The model sees all but the last token, so that it works on multiples of 8.
    """
    return min(1 - (1 - longest) // STEP * STEP, POSITIONS)


def tokens_to_predict(lengths: Tensor) -> int:
    """How many next tokens examples of these lengths ask for: all but their `<BOS>`."""
    return int(lengths.sum()) - len(lengths)


def batches(lengths: Tensor, most_tokens: int, generator: torch.Generator) -> list[Tensor]:
    """All examples once, in a new order, as batches of row numbers.

    Examples are sorted by length with a tenth of noise, so that batches differ from epoch to epoch, cut
    where rows × width would pass `most_tokens`, and the batches shuffled.
    """
    noise = 1 + 0.1 * torch.rand(len(lengths), generator=generator)
    order = torch.argsort(lengths * noise)
    sorted_lengths = lengths[order].tolist()
    result, start, longest = [], 0, 0
    for end, length in enumerate(sorted_lengths):
        longest = max(longest, width(length))
        if end > start and (end - start + 1) * longest > most_tokens:
            result.append(order[start:end])
            start, longest = end, width(length)
    if len(order):
        result.append(order[start:])
    return [result[i] for i in torch.randperm(len(result), generator=generator).tolist()]


def sample_replay_rows(lengths: Tensor, tokens: int, generator: torch.Generator) -> Tensor:
    """Row numbers of random examples that together hold about `tokens` tokens (all of them at most)."""
    order = torch.randperm(len(lengths), generator=generator)
    fits = int((lengths[order].cumsum(0) <= tokens).sum())
    return order[:fits]
