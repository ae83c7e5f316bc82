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


class NotFinite(ArithmeticError):
    """Loss or gradient is NaN or infinite; raised before the step, so that the weights are whole."""


def device_of() -> str:
    """`cuda` where there is a GPU, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def next_token_loss(model: Transformer, ids_BT: Tensor) -> tuple[Tensor, Tensor]:
    """Mean loss in nats of each next token that is real, and how many there are.

    The label of a position is the token after it: `ids[:, 1:]` for `ids[:, :-1]`; padding is no label.
    """
    logits_BTV = model(ids_BT[:, :-1])
    labels_BT = ids_BT[:, 1:]
    loss = F.cross_entropy(logits_BTV.flatten(0, 1), labels_BT.flatten(), ignore_index=PAD)
    return loss, (labels_BT != PAD).sum()


class Optimization:
    """AdamW over a model, its learning rate and its precision."""

    def __init__(self, model: Transformer, settings: Settings, steps: int, device: str) -> None:
        self.model, self.settings, self.steps, self.device = model, settings, steps, device
        matrices = [p for p in model.parameters() if p.ndim >= 2]
        vectors = [p for p in model.parameters() if p.ndim < 2]
        self._names = {p: name for name, p in model.named_parameters()}
        self._adamw = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": settings.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            fused=True,
        )
        on_gpu = device.startswith("cuda") and settings.mixed_precision
        self._dtype = torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float16
        self._mixed = on_gpu
        # fp16 gradients vanish below 6e-8: they are scaled up; bf16 has the range of fp32.
        self._scaler = torch.amp.GradScaler("cuda", enabled=on_gpu and self._dtype is torch.float16)

    def learning_rate(self, step: int) -> float:
        """The rate of a step: a linear warm-up to the peak, then a cosine down to zero."""
        warmup = max(1, round(self.settings.warmup * self.steps))
        if step < warmup:
            return self.settings.learning_rate * (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, self.steps - warmup))
        return self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def step(self, ids_BT: Tensor, step: int) -> tuple[float, int]:
        """One step on a batch (B, T); its mean loss in nats and its number of tokens.

        Raises `NotFinite` before the weights are touched.
        """
        for group in self._adamw.param_groups:
            group["lr"] = self.learning_rate(step)
        precision = torch.autocast("cuda", dtype=self._dtype) if self._mixed else nullcontext()
        with precision:
            loss, tokens = next_token_loss(self.model, ids_BT.to(self.device))
        self._adamw.zero_grad(set_to_none=True)
        torch.autograd.backward(self._scaler.scale(loss))
        self._scaler.unscale_(self._adamw)
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        value = float(loss.detach())
        # The scaler skips a step whose scaled gradients overflow, and lowers its scale: that is no harm.
        if reason := not_finite(value, 0.0 if self._scaler.is_enabled() else float(norm)):
            raise NotFinite(f"{reason} at step {step + 1}: use a lower learning rate")
        self._scaler.step(self._adamw)
        self._scaler.update()
        return value, int(tokens)

    def state(self) -> dict[str, Tensor]:
        """AdamW's moments and step counts, by parameter name."""
        return {
            f"{name}.{key}": value
            for parameter, name in self._names.items()
            for key, value in self._adamw.state[parameter].items()
        }

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `state` gave."""
        for parameter, name in self._names.items():
            self._adamw.state[parameter] = {
                key: tensors[f"{name}.{key}"].to(parameter.device if key != "step" else "cpu")
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
