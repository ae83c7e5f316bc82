"""How well a model predicts text: its true next-token loss, its copy rate, and the losses that counting gives.

They are computed from logits and text alone, without the trainer's code. Labels that were not shifted look superb in
the trainer's own loss; the true next-token loss and the copy rate reveal them.
"""

from collections.abc import Sequence

import torch

from hlx_model.corpus.tokens import Texts
from hlx_model.evaluation.prediction import Baselines, Prediction
from hlx_model.model.tokenizer import BOS, EOS, PAD, VOCABULARY_SIZE, encode
from hlx_model.model.transformer import Transformer


@torch.inference_mode()
def predict(model: Transformer, texts: Sequence[str], *, max_tokens: int = 8192) -> Prediction:
    """Measure a model on texts, in batches of at most `max_tokens` tokens.

    Raises:
        ValueError: there are no texts.
    """
    if not texts:
        raise ValueError("no text to measure the next-token loss on")
    device = model.output_projection.weight.device
    sequences = sorted(([BOS, *encode(text), EOS] for text in texts), key=len)
    total = torch.zeros((), dtype=torch.float64)
    copied = tokens = start = 0
    while start < len(sequences):
        end = start + 1
        while end < len(sequences) and (end + 1 - start) * len(sequences[end]) <= max_tokens:
            end += 1
        rows = sequences[start:end]
        longest = len(rows[-1])
        ids_BT = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows], device=device)
        now_BT, next_BT = ids_BT[:, :-1], ids_BT[:, 1:]
        real_BT = next_BT != PAD
        log_BTV = torch.log_softmax(model(now_BT).float(), dim=-1)
        true_BT = log_BTV.gather(2, next_BT[..., None])[..., 0]
        total -= true_BT[real_BT].double().sum().cpu()
        copied += int(((log_BTV.argmax(-1) == now_BT) & real_BT).sum())
        tokens += int(real_BT.sum())
        start = end
    return Prediction(float(total) / tokens, copied / tokens, tokens)


_COUNTED_AT_ONCE = 4096


def baselines(train: Sequence[str], held_out: Sequence[str]) -> Baselines:
    """Count the symbols of `train` and measure the counts on `held_out`.

    `<EOS>` is counted, and the bigram starts from `<BOS>`. Single symbols have add-one counts. A pair's probability is
    interpolated with that of its second symbol (0.95 : 0.05), so that no pair is impossible.
    """
    pairs = torch.full((VOCABULARY_SIZE, VOCABULARY_SIZE), 1e-3, dtype=torch.float64)
    train_tokens = 0
    for start in range(0, len(train), _COUNTED_AT_ONCE):
        stream, lengths = _encoded(train[start : start + _COUNTED_AT_ONCE])
        ids = stream.long()
        train_tokens += len(ids) - len(lengths)
        pairs += torch.bincount(ids[:-1] * VOCABULARY_SIZE + ids[1:], minlength=pairs.numel()).view_as(pairs)
        pairs[EOS, BOS] = 1e-3  # one text does not continue in the next
    counts = pairs.sum(0) + 1
    unigram = counts / counts.sum()
    bigram = 0.95 * pairs / pairs.sum(1, keepdim=True) + 0.05 * unigram
    losses = torch.zeros(2, dtype=torch.float64)
    tokens = 0
    for start in range(0, len(held_out), _COUNTED_AT_ONCE):
        stream, lengths = _encoded(held_out[start : start + _COUNTED_AT_ONCE])
        for ids in stream.long().split_with_sizes(lengths):
            losses[0] -= unigram[ids[1:]].log().sum()
            losses[1] -= bigram[ids[:-1], ids[1:]].log().sum()
            tokens += len(ids) - 1
    return Baselines(float(losses[0]) / tokens, float(losses[1]) / tokens, train_tokens)


def _encoded(texts: Sequence[str]) -> tuple[torch.Tensor, list[int]]:
    """Return the token ids of texts, each with `<BOS>` and `<EOS>`, one after another; and the tokens of each."""
    found = Texts.of(list(texts))
    return torch.from_numpy(found.ids), found.lengths.tolist()
