"""What a training will cost, before its first step: epochs, tokens, minutes, device, room on the disk.

    found = forecast(plan.settings, plan.train, execution, plan.directory.parent)
    str(found)     # phase 1, tiny: 1 epoch of 612,345 tokens, about 15 s (41,000 tokens/s, measured on 3 steps)

Tokens are the characters of the texts and one more for each, as `Schedule` counts them. The time is that of the steps:
evaluations and checkpoints come on top.
"""

import platform
import shutil
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import torch

from hlx_model.corpus import store, tables
from hlx_model.corpus.documents import is_composed
from hlx_model.model.device import no_gpu_reason, precision_of
from hlx_model.model.sizes import SIZES
from hlx_model.model.transformer import Transformer
from hlx_model.profiles import Profile
from hlx_model.runs.heartbeat import heartbeats
from hlx_model.runs.metrics import read_metrics
from hlx_model.training.batches import TrainingData
from hlx_model.training.distributed import Ranks
from hlx_model.training.engine import Engine
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.memory import OutOfMemory, estimate_disk, gib, out_of_memory
from hlx_model.training.plan import Overrides, characters_of, epochs_of, repeats_of, sample, settings_of
from hlx_model.training.settings import Settings

TRIED_TEXTS, TRIED_STEPS, TRIED_SECONDS = 256, 6, 2.0
"""A speed is measured on batches of so many texts, for so many steps or seconds, whichever is less."""
LARGE = "10m"
"""From this size on a training takes hours to weeks on a CPU (`docs/performance.md` has the tokens a second)."""


@dataclass(frozen=True)
class Forecast:
    """What one training will take."""

    settings: Settings
    examples: int
    """Training texts in one epoch."""
    epochs: int
    """Epochs that are still to be trained."""
    tokens_per_epoch: int
    speed: float | None
    """Tokens a second; None if no training of this machine shows it, and none was measured."""
    basis: str = ""
    """What the speed was taken from."""

    @property
    def tokens(self) -> int:
        """Return the tokens of all epochs."""
        return self.epochs * self.tokens_per_epoch

    @property
    def seconds(self) -> float | None:
        """Return the time of all steps, if the speed is known."""
        return self.tokens / self.speed if self.speed else None

    def __str__(self) -> str:
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        line = f"phase {self.settings.phase}, {self.settings.size}: {epochs} of {self.tokens_per_epoch:,} tokens"
        if self.seconds is None:
            return line
        return f"{line}, about {duration(self.seconds)} ({self.speed:,.0f} tokens/s, {self.basis})"


def forecast(
    settings: Settings, train: Sequence[str], execution: ExecutionConfig, training: Path, first_epoch: int = 1,
    *, measure: bool = True,
) -> Forecast:  # fmt: skip
    """Return what a training will take.

    Args:
        settings: of the training.
        train: its texts, as often as one epoch has them.
        execution: the machine's settings.
        training: the folder of the trainings, whose speeds on this machine are known.
        first_epoch: the first one that is still to be trained.
        measure: do a few steps if no training of this machine shows the speed.
    """
    count = Count(len(train), characters_of(train))
    return _forecast(settings, count, train, execution, training, first_epoch, measure=measure)


def forecast_of_phase(
    phase: int, corpus: Path, profile: Profile, overrides: Overrides, execution: ExecutionConfig, training: Path,
    *, measure: bool = True,
) -> Forecast:  # fmt: skip
    """Return what the training of a phase will take on a kept corpus, from a parent that need not exist yet.

    The corpus is read batch by batch: one of a million entries does not fit in memory.

    Raises:
        ValueError: a setting or the corpus cannot be used.
    """
    settings = settings_of(phase, profile, overrides)
    own, composed, texts = _counts(corpus)
    share = settings.document_weight if own.examples and composed.examples else 0.0
    repeats = repeats_of(own.characters, composed.characters, share) if share else 1
    count = Count(own.examples * repeats + composed.examples, own.characters * repeats + composed.characters)
    epochs = overrides.epochs or epochs_of(phase, profile, overrides.tokens, max(1, count.tokens))
    settings = replace(settings, document_weight=share, epochs=epochs)
    return _forecast(settings, count, texts, execution, training, measure=measure)


class Count(NamedTuple):
    """How much text there is."""

    examples: int = 0
    characters: int = 0

    @property
    def tokens(self) -> int:
        """Return the tokens as schedules count them."""
        return self.characters + self.examples


def _counts(corpus: Path) -> tuple[Count, Count, tuple[str, ...]]:
    """Return the training texts of documents and of composed entries that a corpus has, and the first ones of them."""
    return _counted(corpus, store.examples_of(corpus))


@lru_cache(maxsize=16)
def _counted(corpus: Path, examples: Path | None) -> tuple[Count, Count, tuple[str, ...]]:
    """Count once for a process: both directories are named by what they contain."""
    composed = {document.name for document in store.made_from(corpus)[1] if is_composed(document)}
    rows = store.batches(corpus)
    counts, first = {False: Count(), True: Count()}, list[str]()
    for batch in rows if examples is None else store.with_places(rows, corpus, examples):
        table = pa.Table.from_batches([batch])
        names = table["document"] if "document" in table.column_names else pa.nulls(len(table), pa.string())
        for kind, count in counts.items():
            mask = pc.is_in(names, pa.array(sorted(composed), pa.string()))
            texts = tables.learned_texts(table.filter(mask if kind else pc.invert(mask)), "train")
            characters = pc.sum(pc.utf8_length(texts)).as_py() or 0
            counts[kind] = Count(count.examples + len(texts), count.characters + characters)
            first = first or texts.slice(0, TRIED_TEXTS).to_pylist()
    return counts[False], counts[True], tuple(first)


def _forecast(
    settings: Settings, count: Count, texts: Sequence[str], execution: ExecutionConfig, training: Path,
    first_epoch: int = 1, *, measure: bool,
) -> Forecast:  # fmt: skip
    speed: tuple[float, str] | tuple[None] = _known_speed(settings, execution, training) or (None,)
    if speed == (None,) and measure:
        with suppress(OutOfMemory):  # which the training will report
            speed = _measured_speed(settings, texts, execution)
    return Forecast(settings, count.examples, settings.epochs - first_epoch + 1, count.tokens, *speed)


def machine(execution: ExecutionConfig, *, mixed: bool) -> str:
    """Return device and precision in words: `cpu (no GPU: no NVIDIA driver is loaded), bf16`."""
    device = execution.device
    if device == "cuda":
        device = f"cuda ({torch.cuda.get_device_name()})"
    elif reason := no_gpu_reason():
        device = f"cpu (no GPU: {reason})"
    return f"{device}, {_SHORT[precision_of(execution.device, mixed=mixed)]}"


_SHORT = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


def disk(forecasts: Sequence[Forecast], training: Path) -> str:
    """Return what the checkpoints of some trainings need at most, and what is free where they are written."""
    needed = sum(estimate_disk(found.settings) for found in forecasts)
    place = next(path for path in (training / "new").absolute().parents if path.exists())
    return f"checkpoints need up to {gib(needed)}, {gib(shutil.disk_usage(place).free)} free"


def is_slow(found: Forecast, execution: ExecutionConfig) -> bool:
    """Return whether a person should confirm the training first: a large model on a CPU."""
    sizes = list(SIZES)
    return execution.device == "cpu" and sizes.index(found.settings.size) >= sizes.index(LARGE)


def duration(seconds: float) -> str:
    """Return a time as text: `40 s`, `7 min`, `3.2 hours`, `12 days`."""
    if seconds < 90:
        return f"{max(1.0, seconds):.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} hours" if seconds < 48 * 3600 else f"{seconds / 86400:.0f} days"


def _known_speed(settings: Settings, execution: ExecutionConfig, training: Path) -> tuple[float, str] | None:
    """Return the tokens a second of this machine's newest training of the same phase, size and device; else None."""
    here = platform.node()
    alike = [
        beat for beat in heartbeats(training)
        if (beat.host, beat.size, beat.phase) == (here, settings.size, settings.phase)
        and (beat.gpu_memory_total is not None) == (execution.device == "cuda")
    ]  # fmt: skip
    for beat in sorted(alike, key=lambda beat: beat.time, reverse=True):
        rates = [rate for row in read_metrics(training / beat.training_id) if (rate := row["tokens_per_second"])]
        if rates:
            return statistics.median(rates), f"as training {beat.training_id[:8]} here"
    return None


def _measured_speed(settings: Settings, train: Sequence[str], execution: ExecutionConfig) -> tuple[float, str]:
    """Return the tokens a second of a few steps on fresh weights."""
    data = TrainingData(sample(train, TRIED_TEXTS, settings.seed), [], settings)
    model = Transformer(SIZES[settings.size])
    model.initialize(settings.seed)
    batches = data.epoch(1)
    engine = Engine(model.to(execution.device), settings, TRIED_STEPS, execution, Ranks(execution.device))
    times: list[tuple[int, float]] = []
    with engine.active(), out_of_memory(settings, execution):
        begun = time.monotonic()
        for step in range(TRIED_STEPS):
            batch, before = batches[step % len(batches)], time.monotonic()
            engine.steps([batch], step)
            times.append((batch.tokens, time.monotonic() - before))
            if time.monotonic() - begun > TRIED_SECONDS:
                break
    # Each new shape of a batch costs time once, the first one most.
    kept = times[len(times) // 2 :]
    speed = sum(tokens for tokens, _ in kept) / max(1e-9, sum(seconds for _, seconds in kept))
    return speed, f"measured on {len(kept)} step{'s' if len(kept) > 1 else ''}"
