"""The trainer, which a launcher starts, and whose figures appear in the asset's plots while it trains.

Training needs what Dagster's subprocess client does not do: messages arrive while the trainer runs, a cancel stops all
of its processes in three steps, and it dies with the step.
"""

import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import check_result
from hlx_assets.curriculum.messages import WholeLinesReader
from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.launchers.launcher import Launcher
from hlx_assets.waiting import interruptible
from hlx_model.evaluation.milestones import recorded_milestones_gate
from hlx_model.files import staging
from hlx_model.reporting.render import markdown_block
from hlx_model.runs.directory import TrainingResult
from hlx_model.training.forecast import duration
from hlx_model.verdicts import Milestone

TERMINAL_TAG = "hlx/terminal"
"""The pid of the `make curriculum` that executes a run."""
PLOTTED = {
    "train_loss": "training loss (nats per token)", "held_out_loss": "validation loss (nats per token)",
    "learning_rate": "learning rate", "tokens_per_second": "tokens per second", "epoch": "epoch",
    "eta_seconds": "time left (seconds)",
}  # fmt: skip
"""The figures that an asset's plots show while it trains, with their units."""
_BY_SIGNAL = 128
LOG_SECONDS = 30.0
"""Seconds between two figures in the log; every figure is an observation."""

Figures = dict[str, Any]
"""A message of the trainer: the name of its event, and its figures (`hlx_model/training/events.py`)."""


class TrainerClient:
    """Runs `python -m hlx_model.training …` and reports its messages to Dagster.

    It has no configuration. A run may say where the trainer runs, by the options of a launcher alone.
    """

    poll_seconds = 0.5

    def train(
        self, context: dg.AssetExecutionContext, arguments: Mapping[str, object], launcher: Launcher
    ) -> TrainingResult:
        """Run the trainer to its end.

        Args:
            context: the step's.
            arguments: command-line options by name; True is a flag, None and False are left out.
            launcher: starts it.

        Raises:
            dg.Failure: the trainer ended without a result; its own line on why.
        """
        options = list(_options(arguments))
        context.log.info(f"{launcher}: python -m hlx_model.training {' '.join(options)}")
        result: TrainingResult | None = None
        milestones: list[Milestone] = []
        logged, code, lines = time.monotonic(), 0, list[str]()
        for figures in self._messages(context, options, launcher):
            match figures.pop("event"):
                case "progress":
                    # An observation appears in the asset's plots while the step runs.
                    known = {name: figures[key] for key, name in PLOTTED.items() if figures[key] is not None}
                    context.log_event(dg.AssetObservation(context.asset_key, metadata=known))
                    if figures["held_out_loss"] is not None or time.monotonic() - logged > LOG_SECONDS:
                        logged = time.monotonic()
                        context.log.info(_progress_line(figures))
                case "milestone":
                    milestones.append(Milestone.from_json(figures))
                    _report_milestone(context, milestones)
                case "note":
                    context.log.info(figures["text"])
                case "warning":
                    context.log.warning(figures["text"])
                case "result":
                    result = TrainingResult.of(Path(figures["checkpoint"]), found=figures["found"])
                case "exit":
                    code, lines = figures["code"], figures["errors"]
        if result is None:
            shown = dg.MetadataValue.md(markdown_block("\n".join(lines[-20:])))
            raise dg.Failure(_failure_reason(code, lines), {"standard error": shown}, allow_retries=False)
        return result

    def _messages(
        self, context: dg.AssetExecutionContext, options: Sequence[str], launcher: Launcher
    ) -> Iterator[Figures]:
        """Yield each message of the trainer as it arrives, and last the event `exit` with its exit code and errors."""
        # Not in the system's temporary folder, which is emptied by and by.
        with (
            staging(artifacts_at_home().training) as folder,
            dg.open_pipes_session(
                context, dg.PipesFileContextInjector(str(folder / "context")),
                WholeLinesReader(folder / "messages"),
            ) as session,
            interruptible(dg.DagsterExecutionInterruptedError, (signal.SIGINT, signal.SIGTERM)) as sleep,
            launcher.start(
                options, {**session.get_bootstrap_env_vars(), "HLX_RUN_ID": context.run.run_id},
                f"hlx-{context.run.run_id}-{context.op_execution_context.op.name}",
            ) as trainer,
        ):  # fmt: skip
            context.log.info(f"trainer is {trainer}")
            seen = 0
            interrupted: BaseException | None = None
            try:
                while trainer.poll() is None:
                    messages = session.get_custom_messages()
                    yield from messages[seen:]
                    seen = len(messages)
                    for line in trainer.notices():
                        context.log.info(line)
                    sleep(self.poll_seconds)
            except BaseException as error:
                interrupted = error
                now = "; a second signal ends it now" if _has_terminal(context.run) else ""
                context.log.warning(f"interrupted: the trainer writes a checkpoint{now}")
            trainer.stop(impatient=interrupted is not None and _has_terminal(context.run))
            end = {"event": "exit", "code": trainer.poll(), "errors": trainer.errors()}
        # The end of the session has read the last messages.
        last = session.get_custom_messages()[seen:]
        if interrupted is not None:
            for message in last:
                if message.get("event") == "note":  # one that was received before has lost its name
                    context.log.info(message["text"])
            raise interrupted
        yield from last
        yield end


def _has_terminal(run: dg.DagsterRun) -> bool:
    """Return whether this process executes a run at a terminal, where a second Ctrl-C means: now.

    Elsewhere several programs pass on the signal that ends a run, and a second one means nothing.
    """
    return run.tags.get(TERMINAL_TAG) == str(os.getpid())


def _options(arguments: Mapping[str, object]) -> Iterator[str]:
    for name, value in arguments.items():
        if value is not None and value is not False:
            yield f"--{name.replace('_', '-')}"
            if value is not True:
                yield str(value)


def _failure_reason(code: int, lines: Sequence[str]) -> str:
    """Return why a trainer ended without a result: its own line on bad input, or that it crashed or was killed."""
    # A launcher may write more after it.
    if own := [line for line in lines if line.startswith("error: ")]:
        return own[-1].removeprefix("error: ")
    if code - _BY_SIGNAL in set(signal.Signals):  # as a shell says it, and srun
        code = _BY_SIGNAL - code
    if code == -signal.SIGKILL:  # it had no time to write a line
        return "the trainer was killed (by the kernel if memory ran out, or by somebody): materialize again to resume"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    if code == 0:  # as srun ends if its node goes down
        how = "ended without a result"
    last = next((line for line in reversed(lines) if line.strip()), "")
    return f"the trainer {how}{f' ({last})' if last else ''}: materialize again to resume"


def _progress_line(figures: Figures) -> str:
    done = figures["step"] / figures["steps"]
    line = f"epoch {figures['epoch']} step {figures['step']} ({done:.0%}): loss {figures['train_loss']:.3f}"
    if figures["held_out_loss"] is not None:
        line += f", validation loss {figures['held_out_loss']:.3f}"
    if figures["tokens_per_second"] is not None:
        line += f", {figures['tokens_per_second']:,.0f} tokens/s"
    if figures["eta_seconds"] is not None:
        line += f", {duration(figures['eta_seconds'])} left"
    return line


def _report_milestone(context: dg.AssetExecutionContext, milestones: Sequence[Milestone]) -> None:
    """Write the last milestone into the log, and show all as a check of this run while the training continues."""
    milestone = milestones[-1]
    level = logging.ERROR if milestone.failed else logging.INFO
    context.log.log(level, milestone.summary)
    for gate in milestone.gates:
        level = logging.ERROR if gate.outcome == "fail" else logging.INFO
        context.log.log(level, f"  {gate.name}: {gate.outcome}: {gate.reason}")
    gate = recorded_milestones_gate(milestones)
    # It is logged at once; an asset returns its checks only at its end. The check of the finished training follows.
    context.log_event(dg.AssetCheckEvaluation(**check_result(context.asset_key, gate)._asdict()))
