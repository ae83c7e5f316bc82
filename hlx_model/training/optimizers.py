"""AdamW and Muon with one learning rate schedule: a warm-up, then a cosine."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hlx_model.model.device import precision_of
from hlx_model.training.settings import Settings

MUON_RATE = 5.0
"""Muon's learning rate divided by AdamW's: 0.02 and 4e-3 were the best of each (`docs/LOG.md`)."""

PROMPTS_FADE = (0.05, 0.4)
"""The shares of the steps between which prompts lose their weight. Learning from answers alone is far worse, and so are
prompts with their whole weight to the end; 20% and 70% cost 2 points of exact match (`docs/LOG.md`)."""

_FUSED, _BLOCKS = ".in_proj_weight", ("query", "key", "value")


class _Fp32ForBf16(TorchFunctionMode):
    """Casts to bf16 give fp32 while the block runs, in this thread."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (Tensor.float if func is Tensor.bfloat16 else func)(*args, **(kwargs or {}))


class Fp32Muon(torch.optim.Muon):
    """`torch.optim.Muon` for matrices (M, N) on a device without bf16 instructions: its iterations are in fp32.

    torch's own always casts to bf16. A CPU that emulates it would train `quick` 3.5 times as slowly (`docs/LOG.md`).
    """

    def step(self, closure: Any = None) -> Any:
        """Update the weights from their gradients."""
        with _Fp32ForBf16():
            return super().step(closure)  # type: ignore[no-untyped-call]


class Optimizers:
    """The optimizers of a model: AdamW for all weights, or Muon for the layers' matrices and AdamW for the rest."""

    def __init__(self, model: nn.Module, settings: Settings, steps: int, *, parts: int = 1) -> None:
        """`steps` is how many the whole training has; `parts` is how many Muons share the matrices."""
        self.settings, self.steps = settings, steps
        self.named = named = dict(model.named_parameters())
        layers = [name for name, p in named.items() if p.ndim == 2 and name.startswith("transformer.")]
        of_muon = layers if settings.optimizer == "muon" else []
        others = [p for name, p in named.items() if name not in of_muon]
        self._fused: list[tuple[nn.Parameter, list[nn.Parameter]]] = []
        """Parameters that hold several matrices, and these: each has a part of the parameter's memory."""
        matrices = {name: matrix for parameter in of_muon for name, matrix in self._matrices(parameter)}
        groups = [
            {"params": [p for p in others if p.ndim >= 2], "weight_decay": settings.weight_decay},
            {"params": [p for p in others if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98), fused=True)
        rate, decay = MUON_RATE * settings.learning_rate, settings.weight_decay
        shares = [list(matrices.values())[i::parts] for i in range(min(parts, len(matrices)))]
        self._device = others[0].device
        has_bf16 = precision_of(self._device.type, mixed=True) is torch.bfloat16
        muon = torch.optim.Muon if has_bf16 else Fp32Muon
        self.muons = [muon(share, lr=rate, weight_decay=decay) for share in shares]
        self.all: list[torch.optim.Optimizer] = [*self.muons, self.adamw]
        # A step uses a share of each group's rate at the peak.
        self._peaks = [(group, group["lr"]) for optimizer in self.all for group in optimizer.param_groups]
        name_of = {p: name for name, p in (named | matrices).items()}
        # The optimizers change these dictionaries in place.
        self._moments = {name_of[p]: o.state[p] for o in self.all for group in o.param_groups for p in group["params"]}

    def _matrices(self, name: str) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the matrices of a parameter by name.

        The fused projection of attention (3 D, D) holds three, (D, D) each. Muon gives all directions of a matrix the
        same length; in one matrix those of queries, keys and values would be mixed
        (https://kellerjordan.github.io/posts/muon/).
        """
        parameter = self.named[name]
        if not name.endswith(_FUSED):
            yield name, parameter
            return
        blocks = [nn.Parameter(block) for block in parameter.data.chunk(len(_BLOCKS))]
        self._fused.append((parameter, blocks))
        yield from ((f"{name}.{block}", matrix) for block, matrix in zip(_BLOCKS, blocks, strict=True))

    def take_gradients(self) -> None:
        """Give the matrices of fused parameters their parts of the gradients, which share memory with the whole ones.

        Called after each backward pass, before gradients are scaled or clipped: both happen in place.
        """
        for parameter, blocks in self._fused:
            assert parameter.grad is not None
            for block, gradient in zip(blocks, parameter.grad.chunk(len(blocks)), strict=True):
                block.grad = gradient

    def learning_rate(self, step: int) -> float:
        """Return AdamW's learning rate at a step: a linear warm-up to the peak, then a cosine down to zero."""
        warmup = max(1, round(self.settings.warmup * self.steps))
        if step < warmup:
            return self.settings.learning_rate * (step + 1) / warmup
        done = min(1.0, (step - warmup) / max(1, self.steps - warmup))
        return self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))

    def prompt_weight(self, step: int) -> float:
        """Return the weight of a prompt's token at a step: 1 at first, then falling to the settings' weight."""
        begin, end = PROMPTS_FADE
        share = min(1.0, max(0.0, (step / self.steps - begin) / (end - begin)))
        return 1.0 + share * (self.settings.prompt_weight - 1.0)

    def set_rate(self, step: int) -> None:
        """Set the learning rate of a step."""
        share = self.learning_rate(step) / self.settings.learning_rate
        for group, peak in self._peaks:
            group["lr"] = share * peak

    def step(self, pool: ThreadPoolExecutor | None = None) -> None:
        """Update the weights from their gradients, with the Muons in parallel if a pool is given."""
        if pool is None:
            for optimizer in self.all:
                optimizer.step()
        else:
            list(pool.map(lambda optimizer: optimizer.step(), self.all))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the optimizers' moments and step counts, by parameter name."""
        return {f"{name}.{key}": value for name, moments in self._moments.items() for key, value in moments.items()}

    def load_state_dict(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state_dict` returned; until version 0.2.0 a fused projection had one moment (3 D, D)."""
        for tensor_name, value in tensors.items():
            name, _, key = tensor_name.rpartition(".")
            if name in self._moments:
                # Also `step`: the fused AdamW needs its count on the device of the weights.
                self._moments[name][key] = value.to(self._device)
            else:
                for block, part in zip(_BLOCKS, value.chunk(len(_BLOCKS)), strict=True):
                    self._moments[f"{name}.{block}"][key] = part.clone().to(self._device)
