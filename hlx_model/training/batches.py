"""Examples as batches: of like length, bounded in tokens, with hardly any padding.

Padding every example to a fixed 256 tokens wastes 78% to 91% of each batch on the users' corpus
(`shared/design/findings.md`); batches of like length waste about 2%.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hlx_model.tokenizer import PAD, encode_example


class Examples:
    """Texts as token ids, one after another in memory."""

    def __init__(self, texts: Sequence[str], seq_length: int) -> None:
        """Raises `ValueError` that shows the first text longer than `seq_length` tokens."""
        encoded = [encode_example(text) for text in texts]
        for text, ids in zip(texts, encoded, strict=True):
            if len(ids) > seq_length:
                raise ValueError(
                    f"the example {text[:40]!r}… has {len(ids)} tokens where seq_length is {seq_length}: "
                    "raise --seq-length, or read the corpus again with this one so that it is quarantined"
                )
        self.lengths = torch.tensor([len(ids) for ids in encoded], dtype=torch.long)
        self._offsets = torch.cat([torch.zeros(1, dtype=torch.long), self.lengths.cumsum(0)])
        self._ids = torch.cat(encoded) if encoded else torch.zeros(0, dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Tensor) -> Tensor:
        """Token ids (B, T) of the examples at `rows`, padded on the right to the longest of them."""
        ids_BT = torch.full((len(rows), int(self.lengths[rows].max())), PAD, dtype=torch.long)
        for i, row in enumerate(rows.tolist()):
            start, end = int(self._offsets[row]), int(self._offsets[row + 1])
            ids_BT[i, : end - start] = self._ids[start:end]
        return ids_BT


def tokens_to_predict(lengths: Tensor) -> int:
    """How many next tokens examples of these lengths ask for: all but their `<BOS>`."""
    return int(lengths.sum()) - len(lengths)


def batches(lengths: Tensor, most_tokens: int, generator: torch.Generator) -> list[Tensor]:
    """All examples once, in a new order, as batches of row numbers.

    Examples are sorted by length with a tenth of noise, so that batches differ from epoch to epoch, cut
    where rows × longest would pass `most_tokens`, and the batches shuffled.
    """
    noise = 1 + 0.1 * torch.rand(len(lengths), generator=generator)
    order = torch.argsort(lengths * noise)
    sorted_lengths = lengths[order].tolist()
    result, start, longest = [], 0, 0
    for end, length in enumerate(sorted_lengths):
        longest = max(longest, length)
        if end > start and (end - start + 1) * longest > most_tokens:
            result.append(order[start:end])
            start, longest = end, length
    if len(order):
        result.append(order[start:])
    return [result[i] for i in torch.randperm(len(result), generator=generator).tolist()]


def replayed(lengths: Tensor, tokens: int, generator: torch.Generator) -> Tensor:
    """Row numbers of random examples that together hold about `tokens` tokens (all of them at most)."""
    order = torch.randperm(len(lengths), generator=generator)
    fits = int((lengths[order].cumsum(0) <= tokens).sum())
    return order[:fits]
