"""The trainer as a child process, whose figures appear in the asset's plots as they come.

What the stock subprocess client does not do, and training needs: messages are delivered while the child
runs; a cancel stops the whole process group in three steps; and the child dies with its parent.
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
from dagster._core.events import DagsterEvent

from hlx_assets.common import shown
from hlx_model.evaluation.milestones import MILESTONES, recorded_milestone_gate
from hlx_model.runs.processes import die_with_parent
from hlx_model.verdicts import Milestone

SPOKEN_EVERY = 30.0
"""Seconds: every figure is observed; one in so long is a line in the log besides."""


class Ended(NamedTuple):
    """What the trainer said at its end."""

    checkpoint: Path
    found: bool
    """Whether this training had ended before, so that nothing was trained."""


@dataclass(frozen=True)
class TrainerClient:
    """Runs `python -m hlx_model.training …` and relays what it says.

    It is no configurable resource: which program trains is code, and no run can change it.
    """

    launcher: Sequence[str] = ()
    """What comes before the command: `srun` and its options, if the trainer runs on another machine."""
    poll_seconds: float = 0.5
    interrupt_grace: float = 30.0
    """Seconds to write a last checkpoint after SIGINT; then SIGTERM."""
    terminate_grace: float = 10.0
    """Seconds after SIGTERM; then SIGKILL."""

    def train(self, context: dg.AssetExecutionContext, arguments: Mapping[str, object]) -> Ended:
        """Run the trainer to its end; `dg.Failure` with the trainer's own line where it ended without a result.

        `arguments` are command-line options without their dashes; True is a flag, None is left out.
        """
        command = [*self.launcher, sys.executable, "-m", "hlx_model.training", *_options(arguments)]
        context.log.info(" ".join(command))
        ended: Ended | None = None
        spoken, code = time.monotonic(), 0
        with tempfile.TemporaryFile() as errors:
            for message in self._messages(context, command, errors):
                event = message.pop("event")
                if event == "progress":
                    _observe(context, message)
                    if message["held_out_loss"] is not None or time.monotonic() - spoken > SPOKEN_EVERY:
                        spoken = time.monotonic()
                        context.log.info(_line(message))
                elif event == "milestone":
                    _show_milestone(context, message)
                elif event == "warning":
                    context.log.warning(message["text"])
                elif event == "result":
                    ended = Ended(Path(message["checkpoint"]), bool(message["found"]))
                elif event == "exit":
                    code = message["code"]
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
        if ended is None:
            raise dg.Failure(
                _why(code, said),
                metadata={"standard error": dg.MetadataValue.md("```\n" + "\n".join(said[-20:]) + "\n```")},
                allow_retries=False,
            )
        return ended

    def _messages(
        self, context: dg.AssetExecutionContext, command: Sequence[str], errors: Any
    ) -> Iterator[dict[str, Any]]:
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
                    yield from (dict(message) for message in messages[seen:])
                    seen = len(messages)
                    time.sleep(self.poll_seconds)
            finally:
                self._stop(process)
        # The session is closed here, so that the tail of the messages was read.
        yield from (dict(message) for message in session.get_custom_messages()[seen:])
        yield {"event": "exit", "code": process.returncode}

    def _stop(self, process: "subprocess.Popen[bytes]") -> None:
        """Make sure that the whole process group is gone, its leader and all others: interrupt, terminate, kill."""
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
                    process.poll()  # it is there until it is waited for
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


def _why(code: int, said: Sequence[str]) -> str:
    """Why a trainer ended without a result: its own word on bad input, or that it crashed or was killed."""
    last = said[-1] if said else ""
    if last.startswith("error: "):
        return last.removeprefix("error: ")
    if code == -signal.SIGKILL:  # it had no time to say anything of it
        return (
            "the trainer was killed (by the kernel, where memory ran out, or by somebody): materialize again to resume"
        )
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return f"the trainer {how}{f' ({last})' if last else ''}: materialize again to resume"


def _observe(context: dg.AssetExecutionContext, figures: Mapping[str, Any]) -> None:
    """Figures as an observation: its numbers appear under the asset's plots while the step runs."""
    known = {name: value for name, value in figures.items() if value is not None}
    context.log_event(dg.AssetObservation(context.asset_key, metadata=known))


def _line(figures: Mapping[str, Any]) -> str:
    done = figures["step"] / figures["steps"]
    line = f"epoch {figures['epoch']} step {figures['step']} ({done:.0%}): loss {figures['train_loss']:.3f}"
    if figures["held_out_loss"] is not None:
        line += f", held-out {figures['held_out_loss']:.3f}"
    if figures["tokens_per_second"] is not None:
        line += f", {figures['tokens_per_second']:,.0f} tokens/s"
    if figures["eta_seconds"] is not None:
        line += f", {figures['eta_seconds'] / 60:.0f} min to go"
    return line


def _show_milestone(context: dg.AssetExecutionContext, milestone: Mapping[str, Any]) -> None:
    """A milestone as lines of the log, and as its check: of this run, while training goes on."""
    level = context.log.error if milestone["outcome"] == "fail" else context.log.info
    level(f"gates at epoch {milestone['epoch']}: {milestone['outcome']}")
    for gate in milestone["gates"]:
        level = context.log.error if gate["outcome"] == "fail" else context.log.info
        level(f"  {gate['name']}: {gate['outcome']}: {gate['reason']}")
    if milestone["epoch"] in MILESTONES:
        gate = recorded_milestone_gate([Milestone.from_json(milestone)], milestone["epoch"], milestone["epoch"])
        evaluation = dg.AssetCheckEvaluation(asset_key=context.asset_key, check_name=gate.name, **shown(gate))
        # An asset may hand over checks only at its end; what the check itself finds then takes this one's place.
        DagsterEvent.asset_check_evaluation(context.get_step_execution_context(), evaluation)
