"""The trainer as a child process, whose figures appear in the asset's plots while it trains.

Training needs what Dagster's subprocess client does not do: messages arrive while the child runs, a cancel stops the
whole process group in three steps, and the child dies with its parent.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from hlx_assets.common import check_result
from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.waiting import interruptible
from hlx_model.evaluation.milestones import recorded_milestones_gate
from hlx_model.files import staging
from hlx_model.reporting.render import markdown_block
from hlx_model.runs.directory import TrainingResult
from hlx_model.runs.processes import SAME_SIGNAL, die_with_parent
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
LOG_SECONDS = 30.0
"""Seconds between two figures in the log; every figure is an observation."""

Figures = dict[str, Any]
"""A message of the trainer: the name of its event, and its figures (`hlx_model/training/events.py`)."""


@dataclass(frozen=True)
class TrainerClient:
    """Runs `python -m hlx_model.training …` and reports its messages to Dagster.

    It has no configuration, so no run can choose another program.
    """

    launcher: Sequence[str] = ()
    """What precedes the command: `srun` and its options, if the trainer runs on another machine."""
    poll_seconds: float = 0.5
    interrupt_grace: float = 30.0
    """Seconds to write a last checkpoint after SIGINT; then SIGTERM."""
    terminate_grace: float = 10.0
    """Seconds after SIGTERM; then SIGKILL."""

    def train(self, context: dg.AssetExecutionContext, arguments: Mapping[str, object]) -> TrainingResult:
        """Run the trainer to its end.

        Args:
            context: the step's.
            arguments: command-line options by name; True is a flag, None and False are left out.

        Raises:
            dg.Failure: the trainer ended without a result; its own line on why.
        """
        command = [*self.launcher, sys.executable, "-m", "hlx_model.training", *_options(arguments)]
        context.log.info(" ".join(command))
        result: TrainingResult | None = None
        milestones: list[Milestone] = []
        logged, code = time.monotonic(), 0
        with tempfile.TemporaryFile() as errors:
            for figures in self._messages(context, command, errors):
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
                        code = figures["code"]
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        if result is None:
            shown = dg.MetadataValue.md(markdown_block("\n".join(lines[-20:])))
            raise dg.Failure(_failure_reason(code, lines), {"standard error": shown}, allow_retries=False)
        return result

    def _messages(self, context: dg.AssetExecutionContext, command: Sequence[str], errors: Any) -> Iterator[Figures]:
        """Yield each message of the trainer as it arrives, and last the event `exit` with its exit code."""
        # Not in the system's temporary folder, which is emptied by and by.
        with (
            staging(artifacts_at_home().training) as folder,
            dg.open_pipes_session(
                context, dg.PipesFileContextInjector(str(folder / "context")),
                dg.PipesFileMessageReader(str(folder / "messages")),
            ) as session,
            interruptible(dg.DagsterExecutionInterruptedError, (signal.SIGINT, signal.SIGTERM)) as sleep,
        ):  # fmt: skip
            process = subprocess.Popen(
                command,
                env={**os.environ, **session.get_bootstrap_env_vars(), "HLX_RUN_ID": context.run.run_id},
                stdin=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
            context.log.info(f"trainer is process {process.pid}")
            seen = 0
            interrupted: BaseException | None = None
            try:
                while process.poll() is None:
                    messages = session.get_custom_messages()
                    yield from messages[seen:]
                    seen = len(messages)
                    sleep(self.poll_seconds)
            except BaseException as error:
                interrupted = error
                now = "; a second signal ends it now" if _has_terminal(context.run) else ""
                context.log.warning(f"interrupted: the trainer writes a checkpoint{now}")
            self._stop(process, impatient=interrupted is not None and _has_terminal(context.run))
        # The end of the session has read the last messages.
        last = session.get_custom_messages()[seen:]
        if interrupted is not None:
            for message in last:
                if message.get("event") == "note":  # one that was received before has lost its name
                    context.log.info(message["text"])
            raise interrupted
        yield from last
        yield {"event": "exit", "code": process.returncode}

    def _stop(self, process: "subprocess.Popen[bytes]", *, impatient: bool = False) -> None:
        """End the whole process group, its leader and all others: interrupt, terminate, kill.

        Args:
            process: the leader.
            impatient: kill them at once if this process gets another signal.
        """
        graces = {signal.SIGINT: self.interrupt_grace, signal.SIGTERM: self.terminate_grace, signal.SIGKILL: 10.0}
        with _received() if impatient else nullcontext[list[int]]([]) as received:
            for signum, grace in graces.items():
                deadline = time.monotonic() + grace
                try:
                    os.killpg(process.pid, signum)
                    while time.monotonic() < deadline and (signum == signal.SIGKILL or not received):
                        process.poll()  # until it is waited for, an ended process is in its group
                        os.killpg(process.pid, 0)
                        time.sleep(0.05)
                except ProcessLookupError:
                    return


def _has_terminal(run: dg.DagsterRun) -> bool:
    """Return whether this process executes a run at a terminal, where a second Ctrl-C means: now.

    Elsewhere several programs pass on the signal that ends a run, and a second one means nothing.
    """
    return run.tags.get(TERMINAL_TAG) == str(os.getpid())


@contextmanager
def _received() -> Iterator[list[int]]:
    """Yield the signals that have come since, but for those that come with the first: a terminal sends several."""
    received: list[int] = []
    begun = time.monotonic()

    def receive(signum: int, frame: object) -> None:
        if time.monotonic() - begun > SAME_SIGNAL:
            received.append(signum)

    with ExitStack() as stack:
        for signum in (signal.SIGINT, signal.SIGTERM):
            stack.callback(signal.signal, signum, signal.signal(signum, receive))
        yield received


def _options(arguments: Mapping[str, object]) -> Iterator[str]:
    for name, value in arguments.items():
        if value is not None and value is not False:
            yield f"--{name.replace('_', '-')}"
            if value is not True:
                yield str(value)


def _failure_reason(code: int, lines: Sequence[str]) -> str:
    """Return why a trainer ended without a result: its own line on bad input, or that it crashed or was killed."""
    last = lines[-1] if lines else ""
    if last.startswith("error: "):
        return last.removeprefix("error: ")
    if code == -signal.SIGKILL:  # it had no time to write a line
        return "the trainer was killed (by the kernel if memory ran out, or by somebody): materialize again to resume"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
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
