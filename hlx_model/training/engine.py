"""One step of training with what the machine has: CPU threads or a GPU, its precision, several processes.

A batch is split into shares: among the ranks of `torchrun`, then into parts that are computed one after another
(gradient accumulation), and on a CPU among threads. A share's loss is the sum over its tokens divided by the tokens of
the whole batch, so that the gradients of all shares add up to those of the batch.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from hlx_model.model.device import attention_kernel, precision_of, threads, threads_of
from hlx_model.model.tokenizer import PAD
from hlx_model.model.transformer import Transformer
from hlx_model.training.batches import Batch, TokenWeights
from hlx_model.training.distributed import Ranks
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import GIB
from hlx_model.training.optimizers import Optimizers
from hlx_model.training.settings import Settings

STRIDE = 16
"""Steps between two readings of a GPU: reading a value waits for all steps before it."""


class Step(NamedTuple):
    """The result of one step."""

    loss: float
    """Mean over the batch's next tokens before the step, in nats."""
    gradient_norm: float
    """Before clipping."""


def next_token_losses(model: nn.Module, ids_BT: Tensor) -> Tensor:
    """Return the loss (B, T - 1) in nats of each next token of `ids_BT`; 0 if that is padding.

    The label of a position is the token after it: `ids[:, 1:]` for `ids[:, :-1]`.
    """
    logits_BTV, labels_BT = model(ids_BT[:, :-1]).float(), ids_BT[:, 1:]
    losses = F.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten(), ignore_index=PAD, reduction="none")
    return losses.view_as(labels_BT)


class _Scales(NamedTuple):
    """How the losses of tokens count."""

    weights: TokenWeights
    objective_scale: float
    """One over the weight of the whole batch."""
    report_scale: float
    """Weight of each token in the reported mean loss: one over their number in the whole batch."""


class Engine:
    """A model, its optimizers, and how this machine computes them."""

    def __init__(
        self, model: Transformer, settings: Settings, steps: int, execution: ExecutionConfig, ranks: Ranks
    ) -> None:
        """`steps` is how many the whole training has; `model` is on the device of `ranks`."""
        self.settings, self.execution, self.ranks = settings, execution, ranks
        self.kind = torch.device(ranks.device).type
        self.on_gpu = self.kind == "cuda"
        self.precision = precision_of(ranks.device, mixed=settings.mixed_precision)
        # fp16 gradients below 6e-8 become 0, so they are scaled up; bf16 has the range of fp32.
        self.scaler = torch.amp.GradScaler(self.kind, enabled=self.precision is torch.float16)
        tokens = settings.batch_size * settings.seq_length // execution.accumulation
        self.workers = 1 if ranks.size > 1 else execution.workers(tokens)
        shared = self.workers > 1
        self.threads = max(1, torch.get_num_threads() // self.workers) if shared else threads_of(model.architecture)
        self.stride = STRIDE if self.on_gpu else 1
        model.gradient_checkpointing = execution.gradient_checkpointing
        if execution.compile:
            model.compile(dynamic=True)
        if self.on_gpu and execution.memory_limit is not None:
            share = execution.memory_limit * GIB / torch.cuda.get_device_properties(ranks.device).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, share), ranks.device)
        self.transformer = model
        # Averages the gradients over the ranks.
        self.model: nn.Module = DistributedDataParallel(model) if ranks.size > 1 else model
        self.parameters = list(model.parameters())
        self.optimizers = Optimizers(model, settings, steps, parts=self.workers)
        self._shared = shared
        self._pool: ThreadPoolExecutor | None = None
        self._nonfinite_seen = torch.zeros((), device=ranks.device)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Set threads and attention kernel for steps, while the block runs."""
        with attention_kernel(self.kind), threads(self.threads), ExitStack() as stack:
            if self._shared:
                initializer = partial(torch.set_num_threads, self.threads)
                self._pool = stack.enter_context(ThreadPoolExecutor(self.workers, initializer=initializer))
            yield

    def steps(self, batches: Sequence[Batch], first: int) -> list[Step]:
        """Do a step on each batch, numbered from `first`, and read the device once, at the end.

        A loss or gradient that is not finite changes no weight, and neither do the steps after it in this call.
        """
        done = torch.stack([self._step(batch, first + i) for i, batch in enumerate(batches)])
        return [Step(*figures) for figures in self.ranks.mean(done).tolist()]

    def _step(self, batch: Batch, step: int) -> Tensor:
        self.optimizers.set_rate(step)
        loss = self._gradients(batch, TokenWeights(self.optimizers.prompt_weight(step), self.settings.english_weight))
        self.optimizers.take_gradients()
        for optimizer in self.optimizers.all:
            self.scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.clip)
        self._update(loss, norm)
        # A gradient that overflows in fp16 does no harm: the scaler skips its step, and scales less.
        return torch.stack([loss, norm.nan_to_num() if self.scaler.is_enabled() else norm])

    def _gradients(self, batch: Batch, weights: TokenWeights) -> Tensor:
        """Set the parameters' gradients from a batch; return this rank's part of its mean loss."""
        for parameter in self.parameters:
            parameter.grad = None
        ranks = self.ranks.size
        mine, part = batch.shares(ranks)[self.ranks.rank], float(ranks)
        if not len(mine.rows):  # every rank must take part: with a row of weight 0
            mine, part = Batch(batch.examples, batch.rows[:1]), 0.0
        scales = _Scales(weights, part / batch.weight(weights), part / batch.tokens)
        shares = [s for s in mine.shares(self.execution.accumulation * self.workers) if len(s.rows)]
        if self._pool is not None:
            return self._in_threads(self._pool, shares, scales)
        total = torch.zeros((), device=self.ranks.device)
        for number, share in enumerate(shares, start=1):
            # The ranks exchange gradients once a step, after the last share.
            with self.model.no_sync() if ranks > 1 and number < len(shares) else nullcontext():  # type: ignore[operator]
                objective, loss = self._loss(share, scales)
                torch.autograd.backward(self.scaler.scale(objective))
            total += loss
        return total

    def _in_threads(self, pool: ThreadPoolExecutor, shares: list[Batch], scales: _Scales) -> Tensor:
        """Compute each share in a thread; add them up in order, so that the sum is the same every time."""

        def compute(share: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
            objective, loss = self._loss(share, scales)
            return loss, torch.autograd.grad(self.scaler.scale(objective), self.parameters)

        total = torch.zeros(())
        for loss, gradients in pool.map(compute, shares):
            total += loss
            for parameter, gradient in zip(self.parameters, gradients, strict=True):
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)
        return total

    def _loss(self, share: Batch, scales: _Scales) -> tuple[Tensor, Tensor]:
        """Return a share's part of the objective, and of the reported mean loss."""
        ids_BT = self._moved(share.ids())
        mixed = self.precision is not torch.float32
        with torch.autocast(self.kind, dtype=self.precision) if mixed else nullcontext():
            losses_BT = next_token_losses(self.model, ids_BT)
        reported = losses_BT.detach().sum() * scales.report_scale
        if scales.weights != TokenWeights():
            losses_BT = losses_BT * self._moved(share.weights(losses_BT.shape[1], scales.weights))
        return losses_BT.sum() * scales.objective_scale, reported

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
            # Nothing waits for the device: AdamW's fused kernel reads there whether it must change nothing.
            self._nonfinite_seen = torch.maximum(self._nonfinite_seen, (~finite).float())
            self.optimizers.adamw.found_inf = self._nonfinite_seen  # type: ignore[attr-defined]
            self.optimizers.step()
        elif bool(finite):
            self.optimizers.step(self._pool)
