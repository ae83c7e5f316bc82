"""One optimizer step: shifted labels, loss on real tokens, AdamW, warm-up and cosine, clipping."""

import math
from contextlib import nullcontext

import torch
from torch import Tensor
from torch.nn import functional as F

from hlx_model.tokenizer import PAD
from hlx_model.training.abort import not_finite
from hlx_model.training.settings import Settings
from hlx_model.transformer import Transformer

MUON_RATE = 5.0
"""Muon's learning rate against AdamW's: 0.02 to 0.03 beside 4e-3 (`shared/design/findings.md`)."""


class NotFinite(ArithmeticError):
    """Loss or gradient is NaN or infinite; raised before the step, so that the weights are whole."""


def next_token_loss(model: Transformer, ids_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss in nats of each next token that is real, and how many there are.

    The label of a position is the token after it: `ids[:, 1:]` for `ids[:, :-1]`; padding is no label.
    """
    logits_BTV = model(ids_BT[:, :-1])
    labels_BT = ids_BT[:, 1:]
    loss = F.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten(), ignore_index=PAD)
    return loss, (labels_BT != PAD).sum()


class Optimization:
    """The optimizers of a model, their learning rate and the precision of a step."""

    def __init__(self, model: Transformer, settings: Settings, steps: int, device: str) -> None:
        self.model, self.settings, self.steps, self.device = model, settings, steps, device
        self._names = {p: name for name, p in model.named_parameters()}
        hidden = [p for p, name in self._names.items() if p.ndim == 2 and name.startswith("transformer.")]
        of_muon = hidden if settings.optimizer == "muon" else []
        others = [p for p in self._names if not any(p is q for q in of_muon)]
        self._optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": [p for p in others if p.ndim >= 2], "weight_decay": settings.weight_decay},
                    {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
                ],
                lr=settings.learning_rate,
                betas=(0.9, 0.98),
                fused=True,
            )
        ]
        if of_muon:
            self._optimizers.append(
                torch.optim.Muon(of_muon, lr=MUON_RATE * settings.learning_rate, weight_decay=settings.weight_decay)
            )
        # What a group's rate is at the peak; a step takes its share of it.
        self._peaks = [[group["lr"] for group in o.param_groups] for o in self._optimizers]
        on_gpu = device.startswith("cuda") and settings.mixed_precision
        self._dtype = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float16
        self._mixed = on_gpu
        # fp16 gradients vanish below 6e-8: they are scaled up; bf16 has the range of fp32.
        self._scaler = torch.amp.GradScaler("cuda", enabled=on_gpu and self._dtype is torch.float16)

    def learning_rate(self, step: int) -> float:
        """AdamW's rate of a step: a linear warm-up to the peak, then a cosine down to zero."""
        warmup = max(1, round(self.settings.warmup * self.steps))
        if step < warmup:
            return self.settings.learning_rate * (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, self.steps - warmup))
        return self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def step(self, ids_BT: Tensor, step: int) -> tuple[float, int]:
        """One step on a batch (B, T); its mean loss in nats and its number of tokens.

        Raises `NotFinite` before the weights are touched.
        """
        share = self.learning_rate(step) / self.settings.learning_rate
        for optimizer, peaks in zip(self._optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = share * peak
        precision = torch.autocast("cuda", dtype=self._dtype) if self._mixed else nullcontext()
        with precision:
            loss, tokens = next_token_loss(self.model, ids_BT.to(self.device))
        self.model.zero_grad(set_to_none=True)
        torch.autograd.backward(self._scaler.scale(loss))
        for optimizer in self._optimizers:
            self._scaler.unscale_(optimizer)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        value = float(loss.detach())
        # The scaler skips a step whose scaled gradients overflow, and lowers its scale: that is no harm.
        if reason := not_finite(value, 0.0 if self._scaler.is_enabled() else float(norm)):
            raise NotFinite(f"{reason} at step {step + 1}: use a lower learning rate")
        for optimizer in self._optimizers:
            self._scaler.step(optimizer)
        self._scaler.update()
        return value, int(tokens)

    def state(self) -> dict[str, Tensor]:
        """The optimizers' moments and step counts, by parameter name."""
        return {
            f"{self._names[parameter]}.{key}": value
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for parameter in group["params"]
            for key, value in optimizer.state[parameter].items()
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    prefix = f"{self._names[parameter]}."
                    optimizer.state[parameter] = {
                        # Also `step`: the fused AdamW wants its count where the weights are.
                        name.removeprefix(prefix): value.to(parameter.device)
                        for name, value in tensors.items()
                        if name.startswith(prefix)
                    }
