"""One step of training on whatever the machine has: its threads, its GPU, its precision, its fellow processes.

A batch is dealt into shares: to the ranks of `torchrun`, then into parts that are computed one after another
(gradient accumulation), on a CPU besides to threads that work side by side. A share's loss is the sum over its
tokens divided by the tokens of the whole batch, so that the gradients of all shares add up to the batch's own.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hlx_model.model.device import (
    attention_kernel,
    precision_of,
    threads,
    threads_of,
)
from hlx_model.model.tokenizer import PAD
from hlx_model.model.transformer import Transformer
from hlx_model.training.batches import Batch
from hlx_model.training.distributed import Ranks
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import GIB
from hlx_model.training.optimizers import Optimizers
from hlx_model.training.settings import Settings

STRIDE = 16
"""Steps between two readings of a GPU: to read a figure is to wait for it."""


class Step(NamedTuple):
    """What one step says of itself."""

    loss: float
    """Mean over the batch's next tokens before the step, in nats."""
    gradient_norm: float
    """Before clipping."""


def next_token_losses(model: nn.Module, ids_BT: Tensor) -> Tensor:
    """The loss (B, T - 1) in nats of each next token; 0 where it is padding.

    The label of a position is the token after it: `ids[:, 1:]` for `ids[:, :-1]`; padding is no label.
    """
    logits_BTV = model(ids_BT[:, :-1])
    labels_BT = ids_BT[:, 1:]
    losses = F.cross_entropy(
        logits_BTV.float().flatten(0, 1), labels_BT.flatten(), ignore_index=PAD, reduction="none"
    )  # fmt: skip
    return losses.view_as(labels_BT)


class _Share(NamedTuple):
    """How the losses of a share's tokens are counted."""

    prompt_weight: float
    objective_scale: float
    """What a token of an answer adds to what is learned: one over the weight of the whole batch."""
    report_scale: float
    """What each token adds to the mean that is told: one over their number in the whole batch."""


class Engine:
    """A model, its optimizers, and the machine that they are computed on."""

    def __init__(
        self, model: Transformer, settings: Settings, steps: int, execution: ExecutionConfig, ranks: Ranks
    ) -> None:
        """`steps` in the whole training; `model` stands on the device of `ranks`."""
        self.settings, self.execution, self.ranks = settings, execution, ranks
        self.on_gpu = ranks.device.startswith("cuda")
        self.kind = "cuda" if self.on_gpu else "cpu"
        self.precision = precision_of(ranks.device, mixed=settings.mixed_precision)
        # fp16 gradients vanish below 6e-8: they are scaled up; bf16 has the range of fp32.
        self.scaler = torch.amp.GradScaler(self.kind, enabled=self.precision is torch.float16)
        tokens = settings.batch_size * settings.seq_length // execution.accumulation
        self.workers = 1 if ranks.size > 1 else execution.workers(tokens)
        side_by_side = torch.get_num_threads() // self.workers
        self.threads = max(1, side_by_side) if self.workers > 1 else threads_of(model.architecture)
        self.stride = STRIDE if self.on_gpu else 1
        model.gradient_checkpointing = execution.gradient_checkpointing
        if execution.compile:
            model.compile(dynamic=True)
        if self.on_gpu and execution.memory_limit is not None:
            share = execution.memory_limit * GIB / torch.cuda.get_device_properties(ranks.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, share), ranks.device)
        self.model: nn.Module = ranks.parallel(model)
        self.parameters = list(model.parameters())
        self.optimizers = Optimizers(model, settings, steps, parts=self.workers)
        self._pool: ThreadPoolExecutor | None = None
        self._nonfinite_seen = torch.zeros((), device=ranks.device)

    @contextmanager
    def active(self) -> Iterator[None]:
        """The machine set up for steps, while the block runs."""
        with attention_kernel(self.kind), threads(self.threads):
            if self.workers == 1:
                yield
                return
            with ThreadPoolExecutor(self.workers, initializer=torch.set_num_threads, initargs=(self.threads,)) as pool:
                self._pool = pool
                try:
                    yield
                finally:
                    self._pool = None

    def steps(self, batches: Sequence[Batch], first: int) -> list[Step]:
        """Steps on these batches, numbered from `first`; the device is read once, at their end.

        A loss or gradient that is no number changes no weight, nor does any step after it among these.
        """
        done = torch.stack([self._step(batch, first + i) for i, batch in enumerate(batches)])
        return [Step(*figures) for figures in self.ranks.mean(done).tolist()]

    def _step(self, batch: Batch, step: int) -> Tensor:
        self.optimizers.set_rate(step)
        loss = self._gradients(batch, self.optimizers.prompt_weight(step))
        for optimizer in self.optimizers.all:
            self.scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        self._update(loss, norm)
        # A gradient that overflows in fp16 is no harm: the scaler skips its step, and scales less.
        return torch.stack([loss, norm.nan_to_num() if self.scaler.is_enabled() else norm])

    def _gradients(self, batch: Batch, prompt_weight: float) -> Tensor:
        """Leave the gradients of a batch in the parameters; the mean loss of this rank's share of it."""
        for parameter in self.parameters:
            parameter.grad = None
        ranks = self.ranks.size
        mine, part = batch.shares(ranks)[self.ranks.rank], float(ranks)
        if not len(mine.rows):  # it takes part all the same, with a row that counts nothing
            mine, part = Batch(batch.examples, batch.rows[:1]), 0.0
        learned = batch.tokens - (1.0 - prompt_weight) * batch.prompt_tokens
        share_of = _Share(prompt_weight, part / learned, part / batch.tokens)
        shares = [s for s in mine.shares(self.execution.accumulation * self.workers) if len(s.rows)]
        if self._pool is not None:
            return self._side_by_side(self._pool, shares, share_of)
        total = torch.zeros((), device=self.ranks.device)
        for number, share in enumerate(shares, start=1):
            # The ranks exchange gradients once a step, after the last share.
            with self.model.no_sync() if ranks > 1 and number < len(shares) else nullcontext():  # type: ignore[operator]
                objective, loss = self._loss(share, share_of)
                torch.autograd.backward(self.scaler.scale(objective))
            total += loss
        return total

    def _side_by_side(self, pool: ThreadPoolExecutor, shares: list[Batch], share_of: "_Share") -> Tensor:
        """Each share in a thread; added up in their order, so that the sum is the same every time."""

        def compute(share: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
            objective, loss = self._loss(share, share_of)
            return loss, torch.autograd.grad(self.scaler.scale(objective), self.parameters)

        total = torch.zeros(())
        for loss, gradients in pool.map(compute, shares):
            total += loss
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        return total

    def _loss(self, share: Batch, share_of: "_Share") -> tuple[Tensor, Tensor]:
        """This share's part of what is learned, and of the mean loss that is told."""
        ids_BT = self._moved(share.ids())
        mixed = self.precision is not torch.float32
        with torch.autocast(self.kind, dtype=self.precision) if mixed else nullcontext():
            losses_BT = next_token_losses(self.model, ids_BT)
        told = losses_BT.detach().sum() * share_of.report_scale
        if share_of.prompt_weight < 1.0:
            losses_BT = losses_BT * self._moved(share.weights(losses_BT.shape[1], share_of.prompt_weight))
        return losses_BT.sum() * share_of.objective_scale, told

    def _moved(self, tensor: Tensor) -> Tensor:
        return tensor.pin_memory().to(self.ranks.device, non_blocking=True) if self.on_gpu else tensor

    def _update(self, loss: Tensor, norm: Tensor) -> None:
        if self.scaler.is_enabled():
            for optimizer in self.optimizers.all:
                self.scaler.step(optimizer)
            self.scaler.update()
            return
        finite = loss.isfinite() & norm.isfinite()
        if self.stride > 1 and not self.optimizers.muons:
            # Nothing waits for the device: AdamW's fused kernel is told on the device to leave all as it is.
            self._nonfinite_seen = torch.maximum(self._nonfinite_seen, (~finite).float())
            self.optimizers.adamw.found_inf = self._nonfinite_seen  # type: ignore[attr-defined]
            self.optimizers.step()
        elif bool(finite):
            self.optimizers.step(self._pool)

    def state_dict(self) -> dict[str, Any]:
        """What goes on with the moments, as JSON: the scale of the gradients, where they are scaled."""
        return self.scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        if state and self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
