"""`hlx train`, which is also `python -m hlx_model.training`: train one phase.

Started by Dagster it reports through Dagster Pipes; otherwise it shows a progress bar.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typer import Option

from hlx_model.checkpoints.manifest import ParentVerdict, chosen_best
from hlx_model.checkpoints.seal import VerifiedCheckpoint, verify_checkpoint
from hlx_model.cli.options import Device, Directory, option
from hlx_model.cli.show import DataConsole, echo, require_yes
from hlx_model.corpus.setting import CorpusSetting
from hlx_model.environment import Environment
from hlx_model.evaluation.verdict import require_passed
from hlx_model.layout import TRAINING_LOG, Artifacts, default_training
from hlx_model.model.device import device_of
from hlx_model.outputs import require_output
from hlx_model.phases import PHASES
from hlx_model.profiles import profile as profile_of
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.runs.directory import TrainingResult
from hlx_model.runs.passing import parse_pass_on
from hlx_model.training.distributed import Ranks
from hlx_model.training.events import (
    Ended,
    Event,
    EventSink,
    MilestoneJudged,
    Noted,
    Recorded,
    best_effort,
    message,
    tensorboard_sink,
)
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.forecast import disk, duration, forecast, is_slow, machine
from hlx_model.training.loop import Interrupted, train
from hlx_model.training.plan import Overrides, TrainingPlan, plan_training
from hlx_model.verdicts import GateClosed

log = logging.getLogger(__name__)

INTERRUPTED = 130
"""Exit code of a training that a signal ended."""

# What the help says.
_PHASES = ", ".join(f"{phase.number} {phase.title}" for phase in PHASES.values())
_CORPUS = "A corpus document (repeat it for several), or the directory of a stored corpus."
_DEFAULT_CORPUS = "that of a checkpoint of this phase to resume from, else $HLX_CORPUS"
_RESUME_FROM = "A checkpoint (directory or ID/NAME) of the phase before (starts at epoch 1) or of this phase (resumes)."
_WEIGHT = "Least share of the tokens that is from your documents beside composed entries."
_TOKENS = "Train for about so many tokens, in whole epochs, instead of --epochs."
_GATE_EVERY = "Evaluate the gates every so many epochs too, beside the milestones; 0: never."
_FP16 = "Mixed precision: bf16 if the device has it, on an older GPU fp16."
_RECOMPUTE = "Less memory for a third more computing."
_PASS_ON = "final or best: the checkpoint that is evaluated, and that the next phase starts from."
_RETRY_STOPPED = "Train again what a gate or an abort rule stopped."
_UNGATED = "Train from a checkpoint whose gate is closed; its lineage shows it for good."
_YES = "Train a large model on a CPU without a question."
_PROFILES = "the profile's"


def train_command(
    phase: Annotated[int, option(f"{_PHASES}.")],
    corpus: Annotated[list[Path] | None, option(_CORPUS, _DEFAULT_CORPUS)] = None,
    resume_from: Annotated[str | None, option(_RESUME_FROM)] = None,
    epochs: Annotated[int | None, option("The last epoch to train.", _PROFILES)] = None,
    tokens: Annotated[int | None, option(_TOKENS, _PROFILES)] = None,
    size: Annotated[str | None, option("tiny, 10m, 50m, 100m, 250m, 500m or 1b.", _PROFILES)] = None,
    lr: Annotated[float | None, option("Peak learning rate.", _PROFILES)] = None,
    batch_size: Annotated[int | None, option("A batch has at most this × --seq-length tokens.", _PROFILES)] = None,
    seq_length: Annotated[int | None, option("Most tokens of an example.", _PROFILES)] = None,
    checkpoint_dir: Directory = None,
    profile: Annotated[str | None, option("quick or production.", "$HLX_PROFILE, or quick")] = None,
    seed: Annotated[int | None, option("Of weights and data order.", _PROFILES)] = None,
    replay: Annotated[float | None, option("Tokens replayed from each earlier phase, as a share.", _PROFILES)] = None,
    document_weight: Annotated[float | None, option(_WEIGHT, _PROFILES)] = None,
    use_fp16: Annotated[bool | None, Option("--use-fp16/--no-fp16", help=_FP16, show_default=_PROFILES)] = None,
    device: Device = None,
    gradient_checkpointing: Annotated[bool, Option("--gradient-checkpointing", help=_RECOMPUTE)] = False,
    accumulation: Annotated[int, option("Compute a batch in so many parts: less memory, the same result.")] = 1,
    compile: Annotated[bool, Option("--compile", help="Let torch.compile fuse operations, on a GPU.")] = False,
    memory_limit: Annotated[float | None, option("GiB the training may use.", "all available")] = None,
    gate_every: Annotated[int | None, option(_GATE_EVERY, _PROFILES)] = None,
    pass_on: Annotated[str, option(_PASS_ON)] = "final",
    tensorboard: Annotated[Path | None, option("Also write metrics for TensorBoard into this folder.")] = None,
    retry_stopped: Annotated[bool, Option("--retry-stopped", help=_RETRY_STOPPED)] = False,
    ungated: Annotated[bool, Option("--ungated", help=_UNGATED)] = False,
    yes: Annotated[bool, Option("--yes", help=_YES)] = False,
) -> None:
    """Train one phase of the curriculum.

    The same command resumes an interrupted training.
    """
    training, passed = checkpoint_dir or default_training(), parse_pass_on(pass_on)
    parent = verify_checkpoint(checkpoint_of(resume_from, training)) if resume_from else None
    documents = corpus or _own_corpus(parent, phase) or [*map(Path, CorpusSetting().by_environment().documents)]
    if not documents:
        raise ValueError("no corpus: name a document with --corpus (`hlx corpus compose` writes one)")
    _require_outputs(training, tensorboard)
    if not {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"} & os.environ.keys():
        # With fixed segments, batches of many shapes leave gaps in a GPU's memory.
        os.environ["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
    overrides = Overrides(size, epochs, batch_size, seq_length, lr, seed, replay, use_fp16, tokens, document_weight)
    execution = ExecutionConfig(
        device or device_of(), gradient_checkpointing, accumulation, compile, memory_limit,
        profile_of(profile).gate_every if gate_every is None else gate_every,
    )  # fmt: skip
    parent_verdict, closed = _gate(parent, phase, ungated=ungated)
    with Ranks(execution.device).process_group() as ranks:
        with ranks.rank_zero_first():
            plan = plan_training(
                phase, profile_of(profile), overrides,
                corpus=documents, training=training, parent=parent, execution=execution,
                parent_verdict=parent_verdict, ungated=closed, retry_stopped=retry_stopped,
                run_id=Environment.read("HLX_RUN_ID").run_id,
            )  # fmt: skip
        if not ranks.is_rank_zero:
            logging.getLogger("hlx_model").setLevel(logging.ERROR)
            with suppress(Interrupted):
                train(plan, execution=execution, ranks=ranks)
            return
        try:
            with _logged_to(plan.directory / TRAINING_LOG), _sinks(plan, tensorboard) as emit:
                before = partial(_announce, plan, execution, ranks, emit, confirmed=yes)
                outcome = train(
                    plan, execution=execution, pass_on=passed, ranks=ranks, emit=emit, before=before
                )  # fmt: skip
                emit(Ended(str(outcome.checkpoint.absolute()), outcome.found))
        except Interrupted as error:
            echo(f"interrupted: {error}; the same command resumes", err=True)
            raise typer.Exit(INTERRUPTED) from None
    _say(outcome)


def _announce(
    plan: TrainingPlan, execution: ExecutionConfig, ranks: Ranks, emit: EventSink, *, confirmed: bool
) -> None:  # fmt: skip
    """State what the training will take, before its first step; a large model on a CPU must be confirmed."""
    training = plan.directory.parent
    # Several processes have another speed than this one alone.
    found = forecast(
        plan.settings, plan.train, execution, training, plan.first_epoch, measure=ranks.size == 1
    )  # fmt: skip
    place = machine(execution, mixed=plan.settings.mixed_precision)
    for line in (str(found), f"{place}; {disk([found], training)}"):
        log.info("%s", line)
        emit(Noted(line))
    if is_slow(found, execution) and not confirmed:
        require_yes(f"{plan.settings.size} on a CPU takes {duration(found.seconds or 0)} or more", "--yes")


def _own_corpus(parent: VerifiedCheckpoint | None, phase: int) -> list[Path]:
    """Return the stored corpus that a checkpoint of the same phase learned from; none without such a parent."""
    if parent is None or parent.manifest.phase != phase:
        return []
    version = parent.manifest.corpora[PHASES[phase].corpus]
    return [Artifacts.of_checkpoint(parent.path).root / version.path]


def _require_outputs(training: Path, tensorboard: Path | None) -> None:
    """Require that neither the training nor TensorBoard's files overwrite what hlx has stored; `ValueError`.

    Each writes into a folder named after the training's id, which is known only after the corpus has been read.
    """
    directory = training / "<training id>"
    for folder, own in ((training, None), (tensorboard, directory)):
        if folder is not None:
            if folder.exists() and not folder.is_dir():
                raise ValueError(f"{folder}: this is a file: name a folder")
            require_output(folder / directory.name, own=own, folder=True)


def _gate(parent: VerifiedCheckpoint | None, phase: int, *, ungated: bool) -> tuple[ParentVerdict | None, bool]:
    """Return the verdict that allows training to start from the phase before, and whether its gate is closed.

    Raises:
        GateClosed: it is closed, and `ungated` is not set.
    """
    if parent is None or parent.manifest.phase != phase - 1:
        return None, False
    try:
        return require_passed(parent).parent_verdict, False
    except GateClosed as error:
        if not ungated:
            raise
        log.warning("training starts all the same (--ungated): %s", error)
        return None, True


@contextmanager
def _logged_to(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("hlx_model")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def _say(outcome: TrainingResult) -> None:
    stopped, validate = outcome.manifest.stopped, f"hlx validate --checkpoint {outcome.checkpoint}"
    if stopped:
        again = " before; change a setting, or pass --retry-stopped, to train again" if outcome.found else ""
        lines = [f"stopped{again}: {stopped}", f"its checkpoint: {outcome.checkpoint}", f"its report: {validate}"]
    else:
        found = "this training has already ended: nothing to do" if outcome.found else "trained"
        m = outcome.manifest
        chosen = [f"passed on: epoch {m.epoch}, {chosen_best(m.epochs)}"] if m.kind == "BEST" else []
        lines = [found, *chosen, f"next: {validate}"]
    echo("\n".join(lines), err=True)
    if stopped:
        raise typer.Exit(1)


@contextmanager
def _sinks(plan: TrainingPlan, tensorboard: Path | None) -> Iterator[EventSink]:
    """Yield a sink that passes events on to Dagster or a person at a terminal, and to TensorBoard."""
    with (
        _pipes() if "DAGSTER_PIPES_CONTEXT" in os.environ else _terminal(plan) as shown,
        tensorboard_sink(tensorboard / plan.id if tensorboard else None) as plotted,
    ):

        def emit(event: Event) -> None:
            shown(event)
            plotted(event)

        yield emit


@contextmanager
def _terminal(plan: TrainingPlan) -> Iterator[EventSink]:
    s = plan.settings
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with _log_above(Progress(*columns, console=DataConsole(stderr=True))) as bar:
        examples = len(plan.train)
        bar.console.print(f"training {plan.id}: phase {s.phase}, {s.size}, {s.epochs} epochs, {examples} examples")
        task = bar.add_task(f"epoch {plan.first_epoch}/{s.epochs}", total=s.epochs)

        def emit(event: Event) -> None:
            match event:
                case Recorded(row=row):
                    text = f"epoch {row['epoch']}/{s.epochs} loss {row['train_loss']:.3f}"
                    if row["held_out_loss"] is not None:
                        bar.update(task, completed=row["epoch"])
                        text += f" validation {row['held_out_loss']:.3f}"
                    bar.update(task, description=text)
                case MilestoneJudged(milestone):
                    bar.console.print(milestone.summary)

        yield best_effort("the progress bar", emit)


@contextmanager
def _log_above(progress: Progress) -> Iterator[Progress]:
    """Show a progress bar; in a terminal the log goes above it, and not into its line."""
    stderr = sys.stderr
    handlers = [one for one in logging.getLogger().handlers if isinstance(one, logging.StreamHandler)]
    shown = [handler for handler in handlers if handler.stream is stderr]
    with progress:
        # In a terminal the bar has replaced it.
        for handler in shown:
            handler.setStream(sys.stderr)
        try:
            yield progress
        finally:
            for handler in shown:
                handler.setStream(stderr)


@contextmanager
def _pipes() -> Iterator[EventSink]:
    from dagster_pipes import open_dagster_pipes

    with open_dagster_pipes() as pipes:
        yield best_effort("the report to Dagster", lambda event: pipes.report_custom_message(message(event)))
