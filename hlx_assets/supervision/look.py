"""What a supervisor learns of a training: from its directory, and from what its newest checkpoint writes now."""

import logging
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from hlx_model.checkpoints.manifest import CheckpointError
from hlx_model.checkpoints.seal import list_checkpoints, verify_checkpoint
from hlx_model.checkpoints.weights import load_model
from hlx_model.corpus import prompt
from hlx_model.evaluation.writing import STANDARD_VALUES
from hlx_model.language import Format, parse, render
from hlx_model.layout import CHECKPOINTS, WEIGHTS
from hlx_model.model.device import threads
from hlx_model.model.generation import generate
from hlx_model.monitoring.rules import check
from hlx_model.monitoring.snapshots import read_milestones, take_snapshot
from hlx_model.phases import PHASES
from hlx_model.runs.heartbeat import Heartbeat
from hlx_model.runs.metrics import read_metrics
from hlx_model.supervision.briefing import Briefing, Sample

_WRITTEN = 96
"""Characters that the model writes after a prompt."""


def prompts_of(phase: int) -> list[str]:
    """Return the five prompts of a phase: to continue, to complete, or to answer in each format in turn."""
    pairs = zip(STANDARD_VALUES.items(), cycle(Format), strict=False)
    match PHASES[phase].writes:
        case "continuations":
            return list(STANDARD_VALUES)
        case "completions":
            lines = [render(parse(values[0], Format.HLXL), format) for (_, values), format in pairs]
            return [line[: len(line) // 2] for line in lines]
        case "translations":
            return [prompt(format, sentence) for (sentence, _), format in pairs]


def look_at(training: Path, log: logging.Logger, warnings: Sequence[str] = ()) -> Briefing:
    """Return what is known of the training in a directory.

    Args:
        training: its directory.
        log: gets a line on what cannot be read.
        warnings: of the watchdog, since the training began or was resumed.

    Raises:
        ValueError: its heartbeat is damaged.
        OSError: its heartbeat cannot be read.
    """
    beat = Heartbeat.load(training)
    problem = check(take_snapshot(training, log.warning), 0.0)
    found = dict.fromkeys([*warnings, *([problem.reason] if problem else []), *([beat.reason] if beat.reason else [])])
    settings, samples = _newest(training, beat.phase, log)
    return Briefing(
        phase=beat.phase, size=beat.size, step=beat.step, steps=beat.steps, epoch=beat.epoch, epochs=beat.epochs,
        curve=read_metrics(training, log.warning), settings=settings, gates=read_milestones(training, log.warning),
        found=list(found), samples=samples, hidden=[beat.host] if beat.host else [],
    )  # fmt: skip


def _newest(training: Path, phase: int, log: logging.Logger) -> tuple[Mapping[str, Any], list[Sample]]:
    """Return the settings in the newest checkpoint that can be read, and what it writes after the five prompts.

    A running trainer removes a checkpoint when it has a newer one.
    """
    for path in reversed(list_checkpoints(training / CHECKPOINTS)):
        try:
            checkpoint = verify_checkpoint(path, training_id=training.name, only=(WEIGHTS,))
            model = load_model(checkpoint)
        except (CheckpointError, SafetensorError, OSError) as error:
            log.info(f"not shown to the supervisor: {error}")
            continue
        prompts = prompts_of(phase)
        with threads(1):  # the training needs the others
            written = generate(model, prompts, max_new_tokens=_WRITTEN)
        return checkpoint.manifest.settings, [Sample(*pair) for pair in zip(prompts, written, strict=True)]
    log.info("there is no checkpoint yet: the supervisor sees no settings and no answers")
    return {}, []
