"""The HLX Brain itself: a pre-norm causal transformer over 117 characters, in seven sizes.

What is notable about it:
- pre-norm blocks with ReLU feed-forward, biases everywhere, no final norm;
- learned positions (512), an output head that is not tied to the embedding;
- the weights have the names of `nn.TransformerEncoder(norm_first=True, activation="relu")` (`token_embedding`,
  `transformer.layers.N.self_attn.in_proj_weight`, …), so that existing `.pt` checkpoints can be imported, and the
  logits are those of that module with a causal mask;
- no dropout: at this size it costs time and gains nothing;
- one full pass for training, and one cached step for each generated token.

Dimensions in names: B batch, T time, D d_model, H heads, K d_model / heads, V vocabulary.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from hlx_model.model.sizes import POSITIONS, Architecture
from hlx_model.model.tokenizer import VOCABULARY_SIZE

ROUND = 16
"""Cached lengths are rounded up to multiples of this. Sums over 16 numbers at a time then have the same order, and the
same last bits, in a short batch and in a long one."""


def rounded(length: int) -> int:
    """Return a number of positions, rounded up to a multiple of `ROUND`, at most 512."""
    return min(POSITIONS, -(-length // ROUND) * ROUND)


class Cache:
    """Keys and values of earlier positions: (layers, 2, B, H, capacity, K), keys first."""

    def __init__(self, layers: Tensor) -> None:
        self.layers = layers

    @classmethod
    def zeros(cls, model: "Transformer", batch: int, capacity: int) -> "Cache":
        """Return an empty cache, on the device and in the dtype of a model."""
        a, like = model.architecture, model.output_projection.weight
        shape = (a.layers, 2, batch, a.heads, capacity, a.d_model // a.heads)
        return cls(torch.zeros(shape, device=like.device, dtype=like.dtype))

    def rows(self, start: int, end: int) -> "Cache":
        """Return the cache of some rows, which shares their memory."""
        return Cache(self.layers[:, :, start:end])

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of one row to another one."""
        self.layers[:, :, target, :, :length] = self.layers[:, :, source, :, :length]


class NewTokens(NamedTuple):
    """A new token of each row of a batch."""

    row: Tensor
    """0 to B - 1: (B)."""
    position: Tensor
    """Its position in its row: (B)."""
    mask: Tensor
    """For each head of each row 0 at the positions that it attends to, and -inf at the others: (B · H, 1, T)."""


class SelfAttention(nn.Module):
    """Multi-head causal self-attention with one fused projection to queries, keys and values."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.heads = a.heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * a.d_model, a.d_model))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * a.d_model))
        self.out_proj = nn.Linear(a.d_model, a.d_model)

    def forward(self, x_BTD: Tensor, cache: Tensor | None = None, new: NewTokens | None = None) -> Tensor:
        """Let each position attend to itself and to earlier ones.

        If `new` is given, compute one new position of each row from those in `cache` (2, B, H, capacity, K), and write
        it there; else fill the cache, if there is one.
        """
        projected = self._projected(x_BTD, 3)
        if cache is not None and new is not None:
            y_BHTK = _step(projected, cache, new)
        else:
            q, k, v = projected
            if cache is not None:
                _fill(cache, k, v)
            y_BHTK = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        merged: Tensor = self.out_proj(y_BHTK.transpose(1, 2).flatten(2))
        return merged

    def fill(self, x_BTD: Tensor, cache: Tensor) -> None:
        """Write keys and values of all positions into a cache (2, B, H, capacity, K), and compute nothing else."""
        _fill(cache, *self._projected(x_BTD, 2))

    def _projected(self, x_BTD: Tensor, number: int) -> Tensor:
        """Return queries, keys and values, or the last `number` of the three: (number, B, H, T, K)."""
        first = (3 - number) * x_BTD.shape[2]
        projected = F.linear(x_BTD, self.in_proj_weight[first:], self.in_proj_bias[first:])
        b, t, _ = projected.shape
        return projected.view(b, t, number, self.heads, -1).permute(2, 0, 3, 1, 4)


def _step(projected: Tensor, cache: Tensor, new: NewTokens) -> Tensor:
    """Return the attention of one new position of each row (B, H, 1, K), and write its key and value into the cache."""
    _, b, h, _, width = projected.shape
    cache[:, new.row, :, new.position] = projected[1:, :, :, 0].transpose(0, 1)
    # Heads are flattened before positions are cut: otherwise every step copies the keys and values that it reads.
    keys, values = cache.flatten(1, 2)[:, :, : new.mask.shape[2]]
    query = projected[0].reshape(b * h, 1, width)
    scores = torch.baddbmm(new.mask, query, keys.transpose(1, 2), alpha=width**-0.5)
    return torch.bmm(scores.softmax(dim=-1), values).view(b, h, 1, width)


def _fill(cache: Tensor, k: Tensor, v: Tensor) -> None:
    cache[0, :, :, : k.shape[2]], cache[1, :, :, : k.shape[2]] = k, v


class Layer(nn.Module):
    """x + attention(norm1(x)), then x + feed_forward(norm2(x))."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.self_attn = SelfAttention(a)
        self.linear1 = nn.Linear(a.d_model, a.ffn)
        self.linear2 = nn.Linear(a.ffn, a.d_model)
        self.norm1 = nn.LayerNorm(a.d_model)
        self.norm2 = nn.LayerNorm(a.d_model)

    def forward(self, x_BTD: Tensor, cache: Tensor | None = None, new: NewTokens | None = None) -> Tensor:
        """Map (B, T, D) to (B, T, D)."""
        x_BTD = x_BTD + self.self_attn(self.norm1(x_BTD), cache, new)
        y_BTD: Tensor = x_BTD + self.linear2(F.relu(self.linear1(self.norm2(x_BTD)), inplace=True))
        return y_BTD


class Stack(nn.Module):
    """The layers in their order; its name makes the weights `transformer.layers.N.…`."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(a) for _ in range(a.layers))


def _sinusoids(positions: int, d_model: int) -> Tensor:
    """Return sines and cosines of wavelengths 2π to 10000 · 2π: (positions, d_model)."""
    frequency = torch.exp(torch.arange(0, d_model, 2) * (-math.log(10_000.0) / d_model))
    angle = torch.arange(positions)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)


class Transformer(nn.Module):
    """Maps token ids to the logits of the next token."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.architecture = a
        self.gradient_checkpointing = False
        """Whether training stores only the input of each layer and computes the rest again in the backward pass."""
        self.token_embedding = nn.Embedding(VOCABULARY_SIZE, a.d_model)
        self.position_embedding = nn.Embedding(POSITIONS, a.d_model)
        self.transformer = Stack(a)
        self.output_projection = nn.Linear(a.d_model, VOCABULARY_SIZE)

    def initialize(self, seed: int) -> "Transformer":
        """Draw fresh weights from a seed as PyTorch's modules do, positions from sinusoids, and return the model.

        Two choices were measured (`docs/LOG.md`, 2026-11-22). Without a final norm the embeddings must be as large
        as `nn.Embedding` makes them (normal, 1): with GPT-2's 0.02 the model did not learn attention to the prompt
        in 8M tokens. Positions start as sinusoids (Vaswani et al. 2017) and are learned from there: a head then
        finds "the symbol before" by a rotation; with random positions it must learn each pair of neighbours.
        """
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif "norm" in name:
                nn.init.ones_(parameter)
            elif name.startswith("token_embedding"):
                nn.init.normal_(parameter, generator=generator)
            elif name.startswith("position_embedding"):
                parameter.data.copy_(_sinusoids(*parameter.shape))
            elif name.endswith("in_proj_weight"):
                nn.init.xavier_uniform_(parameter, generator=generator)
            else:
                nn.init.kaiming_uniform_(parameter, a=math.sqrt(5), generator=generator)
        return self

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return the logits (B, T, V) of the token after each token.

        Raises:
            ValueError: T is more than the model's 512 positions.
        """
        x_BTD = self._embedded(tokens_BT)
        for layer in self.transformer.layers:
            if self.gradient_checkpointing and self.training:
                # A layer draws nothing at random, so no random state must be restored.
                x_BTD = checkpoint(layer, x_BTD, use_reentrant=False, preserve_rng_state=False)
            else:
                x_BTD = layer(x_BTD)
        logits_BTV: Tensor = self.output_projection(x_BTD)
        return logits_BTV

    def fill(self, tokens_BT: Tensor, cache: Cache) -> None:
        """Write the keys and values of tokens (B, T), the first T of their rows, into a cache of B rows.

        The last layer's attention and feed-forward are not computed: only logits need them.

        Raises:
            ValueError: T is more than the model's 512 positions.
        """
        x_BTD = self._embedded(tokens_BT)
        *layers, last = self.transformer.layers
        for layer, layer_cache in zip(layers, cache.layers[:-1], strict=True):
            x_BTD = layer(x_BTD, layer_cache)
        assert isinstance(last, Layer)
        last.self_attn.fill(last.norm1(x_BTD), cache.layers[-1])

    def _embedded(self, tokens_BT: Tensor) -> Tensor:
        length = tokens_BT.shape[1]
        if length > POSITIONS:
            raise ValueError(f"a sequence of {length} tokens: the model has {POSITIONS} positions")
        positions_T = torch.arange(length, device=tokens_BT.device)
        embedded: Tensor = self.token_embedding(tokens_BT) + self.position_embedding(positions_T)
        return embedded

    def step(self, token_B: Tensor, position_B: Tensor, cache: Cache) -> Tensor:
        """Return the logits (B, V) of the token after one new token of each row, which is at `position` of its row."""
        x_B1D = self.token_embedding(token_B[:, None]) + self.position_embedding(position_B[:, None])
        length = min(rounded(int(position_B.max()) + 1), cache.layers.shape[4])
        seen_BT = torch.arange(length, device=position_B.device) <= position_B[:, None]
        mask_BT = torch.zeros(seen_BT.shape, device=x_B1D.device, dtype=x_B1D.dtype).masked_fill_(~seen_BT, -torch.inf)
        mask_N1T = mask_BT.repeat_interleave(self.architecture.heads, dim=0)[:, None]
        new = NewTokens(torch.arange(len(position_B), device=position_B.device), position_B, mask_N1T)
        for layer, layer_cache in zip(self.transformer.layers, cache.layers, strict=True):
            x_B1D = layer(x_B1D, layer_cache, new)
        logits_BV: Tensor = self.output_projection(x_B1D)[:, 0]
        return logits_BV
