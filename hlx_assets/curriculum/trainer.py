"""The trainer as a child process, whose figures appear in the asset's plots while it trains.

Training needs what Dagster's subprocess client does not do: messages arrive while the child runs, a cancel stops the
whole process group in three steps, and the child dies with its parent.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg

from hlx_assets.common import check_result
from hlx_model.evaluation.milestones import MILESTONES, recorded_milestone_gate
from hlx_model.runs.processes import die_with_parent
from hlx_model.verdicts import Milestone

LOG_SECONDS = 30.0
"""Seconds between two figures in the log; every figure is an observation."""

Message = Mapping[str, Any]
"""An event of the trainer with its figures (`hlx_model/training/recorder.py`)."""


class TrainerResult(NamedTuple):
    """How a trainer ended."""

    checkpoint: Path
    found: bool
    """Whether this training had ended before, so that nothing was trained."""


@dataclass(frozen=True)
class TrainerClient:
    """Runs `python -m hlx_model.training …` and reports its messages to Dagster.

    It is no configurable resource: which program trains is code, and no run can change it.
    """

    launcher: Sequence[str] = ()
    """What precedes the command: `srun` and its options, if the trainer runs on another machine."""
    poll_seconds: float = 0.5
    interrupt_grace: float = 30.0
    """Seconds to write a last checkpoint after SIGINT; then SIGTERM."""
    terminate_grace: float = 10.0
    """Seconds after SIGTERM; then SIGKILL."""

    def train(self, context: dg.AssetExecutionContext, arguments: Mapping[str, object]) -> TrainerResult:
        """Run the trainer to its end.

        Args:
            context: the step's.
            arguments: command-line options without their dashes; True is a flag, None is left out.

        Raises:
            dg.Failure: the trainer ended without a result; its own line on why.
        """
        command = [*self.launcher, sys.executable, "-m", "hlx_model.training", *_options(arguments)]
        context.log.info(" ".join(command))
        result: TrainerResult | None = None
        logged, code = time.monotonic(), 0
        with tempfile.TemporaryFile() as errors:
            for message in self._messages(context, command, errors):
                match message["event"]:
                    case "progress":
                        _observe(context, message)
                        if message["held_out_loss"] is not None or time.monotonic() - logged > LOG_SECONDS:
                            logged = time.monotonic()
                            context.log.info(_progress_line(message))
                    case "milestone":
                        _report_milestone(context, _milestone_of(message))
                    case "warning":
                        context.log.warning(message["text"])
                    case "result":
                        result = TrainerResult(Path(message["checkpoint"]), bool(message["found"]))
                    case "exit":
                        code = message["code"]
            errors.seek(0)
            lines = errors.read().decode(errors="replace").strip().splitlines()
        if result is None:
            raise dg.Failure(
                _failure_reason(code, lines),
                metadata={"standard error": dg.MetadataValue.md("```\n" + "\n".join(lines[-20:]) + "\n```")},
                allow_retries=False,
            )
        return result

    def _messages(self, context: dg.AssetExecutionContext, command: Sequence[str], errors: Any) -> Iterator[Message]:
        """Yield the trainer's messages as they arrive, and its exit code last."""
        with dg.open_pipes_session(
            context=context,
            context_injector=dg.PipesTempFileContextInjector(),
            message_reader=dg.PipesTempFileMessageReader(),
        ) as session:
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
            try:
                while process.poll() is None:
                    messages = session.get_custom_messages()
                    yield from messages[seen:]
                    seen = len(messages)
                    time.sleep(self.poll_seconds)
            finally:
                self._stop(process)
        # The end of the session has read the last messages.
        yield from session.get_custom_messages()[seen:]
        yield {"event": "exit", "code": process.returncode}

    def _stop(self, process: "subprocess.Popen[bytes]") -> None:
        """End the whole process group, its leader and all others: interrupt, terminate, kill."""
        steps = (
            (signal.SIGINT, self.interrupt_grace),
            (signal.SIGTERM, self.terminate_grace),
            (signal.SIGKILL, 10.0),
        )
        for signum, grace in steps:
            deadline = time.monotonic() + grace
            try:
                os.killpg(process.pid, signum)
                while time.monotonic() < deadline:
                    process.poll()  # until it is waited for, an ended process is in its group
                    os.killpg(process.pid, 0)
                    time.sleep(0.05)
            except ProcessLookupError:
                return


def _options(arguments: Mapping[str, object]) -> list[str]:
    options: list[str] = []
    for name, value in arguments.items():
        if value is True:
            options.append(f"--{name}")
        elif value is not None and value is not False:
            options += [f"--{name}", str(value)]
    return options


def _failure_reason(code: int, lines: Sequence[str]) -> str:
    """Return why a trainer ended without a result: its own line on bad input, or that it crashed or was killed."""
    last = lines[-1] if lines else ""
    if last.startswith("error: "):
        return last.removeprefix("error: ")
    if code == -signal.SIGKILL:  # it had no time to write a line
        return "the trainer was killed (by the kernel if memory ran out, or by somebody): materialize again to resume"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"the trainer {how}{f' ({last})' if last else ''}: materialize again to resume"


def _observe(context: dg.AssetExecutionContext, message: Message) -> None:
    """Log figures as an observation: they appear in the asset's plots while the step runs."""
    known = {name: value for name, value in message.items() if value is not None and name != "event"}
    context.log_event(dg.AssetObservation(context.asset_key, metadata=known))


def _progress_line(message: Message) -> str:
    done = message["step"] / message["steps"]
    line = f"epoch {message['epoch']} step {message['step']} ({done:.0%}): loss {message['train_loss']:.3f}"
    if message["held_out_loss"] is not None:
        line += f", held-out {message['held_out_loss']:.3f}"
    if message["tokens_per_second"] is not None:
        line += f", {message['tokens_per_second']:,.0f} tokens/s"
    if message["eta_seconds"] is not None:
        line += f", {max(0.0, message['eta_seconds']) / 60:.0f} min left"
    return line


def _milestone_of(message: Message) -> Milestone:
    return Milestone.from_json({key: value for key, value in message.items() if key != "event"})


def _report_milestone(context: dg.AssetExecutionContext, milestone: Milestone) -> None:
    """Write a milestone into the log, and show it as a check of this run while the training continues."""
    log = context.log.error if milestone.failed else context.log.info
    log(f"gates at epoch {milestone.epoch}: {milestone.outcome}")
    for gate in milestone.gates:
        log = context.log.error if gate.outcome == "fail" else context.log.info
        log(f"  {gate.name}: {gate.outcome}: {gate.reason}")
    if milestone.epoch in MILESTONES:
        gate = recorded_milestone_gate([milestone], milestone.epoch, milestone.epoch)
        check = check_result(context.asset_key, gate)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=context.asset_key,
            check_name=gate.name,
            passed=check.passed,
            metadata=check.metadata,
            severity=check.severity,
            description=check.description,
        )
        # It is logged at once; an asset returns its checks only at its end. The check of the finished training follows.
        context.log_event(evaluation)
