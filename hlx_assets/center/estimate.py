"""What a session will take, before it starts: epochs, tokens, time, device, memory, disk.

    estimate(center, StartRequest(corpus="Curriculum")).summary

Nothing is measured here: a speed is that of this machine's own trainings, or is not known yet. Memory is what the
trainer itself requires, and what it would refuse is refused with its line.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import psutil

from hlx_assets.center import providers
from hlx_assets.center.context import Center, CenterError
from hlx_assets.center.models import TARGETS, Estimate, PhaseEstimate
from hlx_assets.center.places import max_concurrent
from hlx_assets.center.requests import MAX_EPOCHS, StartRequest
from hlx_assets.curriculum.plan import execution_of, overrides_of
from hlx_assets.curriculum.session import PHASES_OF
from hlx_assets.curriculum.settings import TrainingConfig, launcher_named
from hlx_assets.io_manager import latest_path
from hlx_model.evaluation.milestones import due
from hlx_model.model.sizes import SIZES
from hlx_model.money import NANO, dollars
from hlx_model.phases import PHASES
from hlx_model.profiles import Profile, profile
from hlx_model.providers.catalogue import resolve
from hlx_model.runs.heartbeat import running_here
from hlx_model.shown import one_line
from hlx_model.supervision.schedule import WORST_TOKENS, expected_calls
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.forecast import LARGE, Forecast, duration, forecast_of_phase, is_slow, machine
from hlx_model.training.memory import advice, available_memory, estimate_disk, estimate_memory, gib
from hlx_model.training.plan import Overrides, settings_of

NOT_MEASURED = "measured in the first half minute of the training"
NOT_MADE = "known once its corpus is made"
_GPU_SECONDS = 10
"""For so long a figure of the GPU's free memory is used again: a process of its own reads it, which takes seconds."""


class _Planned(NamedTuple):
    """A phase of a session."""

    found: Forecast
    """Without its corpus: with the most epochs that there can be, and no tokens."""
    has_corpus: bool
    has_epochs: bool
    """Whether the number of its epochs is known."""


def profile_of(request: StartRequest) -> Profile:
    """Return the profile of a request, by default that of `HLX_PROFILE`; `CenterError` 422 if that is not valid."""
    with _refusing():
        return profile(request.profile)


def size_of(request: StartRequest) -> str:
    """Return the size of the model that a request trains: that of its target, else the profile's.

    Raises:
        CenterError: 422; the target does not exist; names those that do.
    """
    if request.target_model is None:
        return profile_of(request).size
    sizes = {target.lower(): size for target, size in TARGETS.items()}
    if (size := sizes.get(request.target_model.lower())) is None:
        raise CenterError(422, f"targetModel is {request.target_model!r}: choose one of {', '.join(TARGETS)}")
    return size


def estimate(center: Center, request: StartRequest) -> Estimate:
    """Return what a session will take; nothing is started.

    Raises:
        CenterError: 422; a setting is not valid, or the corpus cannot be read; 503: the GPU cannot be read.
    """
    size = size_of(request)
    own = {"profile": profile_of(request).name, "size": size, "epochs": request.epochs, **request.settings.given()}
    config = TrainingConfig(**own)
    with _refusing():
        launcher = launcher_named(config.trainer)
        execution, overrides = execution_of(config), overrides_of(dict(config))
        planned = [_planned(center, number, request, overrides, execution) for number in PHASES_OF[request.corpus]]
        if launcher.elsewhere:
            planned = [phase._replace(found=replace(phase.found, speed=None, basis="")) for phase in planned]
        memory = max(estimate_memory(phase.found.settings, execution).total for phase in planned)
    disk, free = sum(estimate_disk(phase.found.settings) for phase in planned), _free(center.home)
    settings, available = planned[0].found.settings, _available(center, execution, launcher.max_concurrent or 1)
    refusal = None
    if memory > available and not launcher.elsewhere:
        refusal = one_line(advice(settings, execution, available, size_fixed=settings.phase > 1))
    elif (known := sum(estimate_disk(phase.found.settings) for phase in planned if phase.has_epochs)) > free:
        refusal = (
            f"its checkpoints need up to {gib(known)}, {gib(free)} available under {center.home}: make room "
            "(`hlx clean`), or choose fewer epochs or a smaller targetModel"
        )
    phases = [_shown(phase) for phase in planned]
    times = [phase.seconds for phase in phases]
    seconds = None if None in times else sum(filter(None, times))
    device = str(launcher) if launcher.elsewhere else machine(execution, mixed=settings.mixed_precision)
    place = "" if launcher.elsewhere else f" of {gib(available)}"
    calls, cost, cap = _supervision(center, request, phases, config.gate_every)
    return Estimate(
        phases=phases,
        seconds=seconds,
        device=device,
        disk_bytes=round(disk),
        disk_free_bytes=free,
        memory_bytes=round(memory),
        memory_available_bytes=round(available),
        supervision_calls=calls,
        cost_usd=cost,
        cost_cap_usd=cap,
        refusal=refusal,
        must_confirm=None if launcher.elsewhere else _must_confirm(planned[0].found, execution, seconds),
        summary="; ".join([
            _length(request, size, phases, seconds), device, f"memory {gib(memory)}{place}",
            f"checkpoints up to {gib(disk)}, {gib(free)} free",
            *([_paid(calls, cost, cap)] if request.provider else []),
        ]),
    )  # fmt: skip


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn a setting that is not valid into an answer with its line."""
    try:
        yield
    except ValueError as error:
        raise CenterError(422, one_line(error)) from None
    except OverflowError:
        raise CenterError(422, "a number of the settings is too large: set a smaller one") from None


def _planned(
    center: Center, number: int, request: StartRequest, overrides: Overrides, execution: ExecutionConfig
) -> _Planned:
    own = profile_of(request)
    settings = settings_of(number, own, overrides)  # valid, with a corpus or without
    try:
        corpus = latest_path(center.instance, dg.AssetKey(PHASES[number].corpus))
    except dg.Failure:
        by_tokens = own.schedules[number].tokens if overrides.tokens is None else overrides.tokens
        return _Planned(Forecast(settings, 0, settings.epochs, 0, None), False, bool(overrides.epochs or not by_tokens))
    found = forecast_of_phase(number, corpus, own, overrides, execution, center.artifacts.training, measure=False)
    if found.epochs > MAX_EPOCHS:
        epochs = f"that is {found.epochs:,} epochs of {found.tokens_per_epoch:,} tokens"
        raise CenterError(422, f"tokens is {overrides.tokens}: {epochs}, and a session has at most {MAX_EPOCHS}")
    return _Planned(found, True, True)


def _shown(phase: _Planned) -> PhaseEstimate:
    found = phase.found
    return PhaseEstimate(
        phase=found.settings.phase,
        epochs=found.epochs if phase.has_epochs else None,
        tokens=found.tokens if phase.has_corpus else None,
        seconds=found.seconds,
        tokens_per_second=found.speed,
        basis=(found.basis or NOT_MEASURED) if phase.has_corpus else NOT_MADE,
    )


def _supervision(
    center: Center, request: StartRequest, phases: list[PhaseEstimate], gate_every: int | None
) -> tuple[int | None, float | None, float]:
    """Return how often the supervisor of a session is asked, what that costs at its worst, and the cap, in dollars."""
    if not request.provider:
        return 0, 0.0, 0.0
    calls: int | None = None
    if all(phase.epochs and phase.seconds for phase in phases):
        calls = sum(expected_calls(phase.seconds, _gated(phase.epochs or 0, gate_every or 0)) for phase in phases)
    with _refusing():
        choice = resolve(request.provider, request.model)
    return calls, *providers.worst_cost(center, choice, WORST_TOKENS, calls)


def _gated(epochs: int, every: int) -> int:
    """Return after how many of the epochs of a training its gates are evaluated."""
    return sum(due(epoch, epochs, every) for epoch in range(1, epochs + 1))


def _paid(calls: int | None, cost: float | None, cap: float) -> str:
    if cost is None:
        return "supervision: its price is not known"
    if not cost:
        return "supervision is free"
    asked = "" if calls is None else f"{calls} call{'s' if calls != 1 else ''}, "
    return f"supervision: {asked}at most {dollars(round(cost * NANO))}, cap {dollars(round(cap * NANO))}"


def _length(request: StartRequest, size: str, phases: list[PhaseEstimate], seconds: float | None) -> str:
    epochs = [phase.epochs for phase in phases if phase.epochs]
    said = f"{request.corpus}, {size}"
    if len(epochs) == len(phases):
        said += f": {' + '.join(map(str, epochs))} epoch{'s' if epochs != [1] else ''}"
    if seconds is not None:
        return f"{said}, about {duration(seconds)}"
    return f"{said}, its time is {NOT_MADE if any(phase.tokens is None for phase in phases) else NOT_MEASURED}"


def _must_confirm(found: Forecast, execution: ExecutionConfig, seconds: float | None) -> str | None:
    """Return why a person should confirm a session; None if it is not large for this machine."""
    if not is_slow(found, execution):
        return None
    size, targets = found.settings.size, {size: target for target, size in TARGETS.items()}
    time = "hours to weeks" if seconds is None else f"about {duration(seconds)} or more"
    smaller = [targets[other] for other in SIZES if list(SIZES).index(other) <= list(SIZES).index(LARGE)]
    advice = "" if size == LARGE else f": without a GPU choose {' or '.join(smaller)}"
    return f"{targets[size]} on a CPU takes {time}{advice}"


def _available(center: Center, execution: ExecutionConfig, gpus: int) -> float:
    """Return the bytes that the session may use when it is its turn: what is available, and what will be free then.

    Args:
        center: the Center.
        execution: how the session trains.
        gpus: how many GPUs share the trainings.
    """
    if execution.memory_limit is not None:
        return available_memory(execution)
    beats = running_here(center.artifacts.training)
    if execution.device == "cuda":
        available = _free_on_gpu(gpus, int(time.monotonic() / _GPU_SECONDS))
        used = [beat.gpu_memory_bytes or 0 for beat in beats]
    else:
        available, used = available_memory(execution), []
        for beat in beats:
            with suppress(psutil.Error):  # it has just ended
                used.append(psutil.Process(beat.pid).memory_info().rss)
    ending = max(0, len(used) - max_concurrent(center.instance) + 1)
    return available + sum(sorted(used, reverse=True)[:ending])


@lru_cache(maxsize=2)
def _free_on_gpu(gpus: int, now: int) -> float:
    """Return the free bytes of the GPU of the first `gpus` that has most; read again when `now` is another one.

    A process that reads them keeps hundreds of MiB of the GPU as long as it lives, so it is not this one.
    """
    code = (
        "import torch; print(max(torch.cuda.mem_get_info(gpu)[0] "
        f"for gpu in range(min({gpus}, torch.cuda.device_count()))))"
    )
    try:
        read = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
        return float(read.stdout)
    except (subprocess.SubprocessError, ValueError):
        raise CenterError(503, "the memory of the GPU cannot be read: see nvidia-smi and `hlx doctor`") from None


def _free(home: Path) -> int:
    place = next(path for path in (home / "artifacts").absolute().parents if path.exists())
    return shutil.disk_usage(place).free
