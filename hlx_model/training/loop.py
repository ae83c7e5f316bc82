"""The training loop: step, record, save, evaluate, judge, stop?

`train` leaves a FINAL checkpoint, or a STOPPED one with its reason where a gate or an abort condition
ended it. A crash or a signal leaves a LAST one from which the next call goes on, to the same bytes on a
CPU: the order of the data follows from seed and epoch, and there is no other chance in a step.
"""

import logging
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

import hlx_model
from hlx_model import checkpoint
from hlx_model.artifacts import write_json
from hlx_model.checkpoint import Manifest, Parent
from hlx_model.device import device_of, threads_for
from hlx_model.metrics import Metrics
from hlx_model.quality.gate import Gate, worst
from hlx_model.quality.language_model import predict
from hlx_model.quality.milestones import MILESTONES, milestone_gates
from hlx_model.tokenizer import VOCABULARY_SHA256
from hlx_model.training.abort import AbortLimits, abort_reason, diverged
from hlx_model.training.batches import Examples, batches, replayed, tokens_to_predict
from hlx_model.training.directory import Outcome, ended_training, only_one, set_stopped_aside, sweep
from hlx_model.training.heartbeat import Heartbeat
from hlx_model.training.inputs import Inputs, sample
from hlx_model.training.optimization import NotFinite, Optimization
from hlx_model.transformer import SIZES, Transformer

log = logging.getLogger(__name__)

Listener = Callable[[str, dict[str, Any]], None]
"""Told of `progress`, `milestone` and `checkpoint` events, each with its figures."""

RECORDS = 60
"""Figures recorded within a training, beside those at the end of each epoch."""
HELD_OUT_SAMPLE = 512
SAVE_SHARE = 0.02
"""At most this share of the time goes into saving the rolling checkpoint …"""
SAVE_SECONDS = float(os.environ.get("HLX_SAVE_SECONDS", "20"))
"""… and it is saved at most this often (`HLX_SAVE_SECONDS`)."""


class Stop(NamedTuple):
    """Why a training must not go on: the status of its heartbeat, and a line for a person."""

    status: Literal["quality_failed", "aborted"]
    reason: str


class Interrupted(Exception):
    """A signal ended the training; the LAST checkpoint holds where it stood."""


@dataclass
class Progress:
    """Where a training stands; all that a resumed one needs beside weights and moments."""

    epoch: int = 1
    batch: int = 0
    """Batches of this epoch that are done."""
    step: int = 0
    epoch_loss: float = 0.0
    """Sum of the training loss over this epoch's tokens so far, in nats."""
    epoch_tokens: int = 0
    epoch_losses: list[float] = field(default_factory=list)
    best_loss: float | None = None
    best_epoch: int | None = None
    milestones: list[dict[str, Any]] = field(default_factory=list)


def train(
    inputs: Inputs,
    *,
    device: str | None = None,
    run_id: str | None = None,
    retry_stopped: bool = False,
    listen: Listener = lambda event, figures: None,
) -> Outcome:
    """Train, or go on with, or find, the training that `inputs` determine.

    Raises:
        Busy: another process trains the same.
        Interrupted: SIGINT or SIGTERM came; the next call resumes.
    """
    inputs.directory.mkdir(parents=True, exist_ok=True)
    with only_one(inputs.directory):
        if retry_stopped:
            set_stopped_aside(inputs.directory)
        ended = ended_training(inputs.directory)
        if ended is not None:
            return ended
        sweep(inputs.directory / "checkpoints")
        with threads_for(SIZES[inputs.settings.size]):
            return _Training(inputs, device or device_of(), run_id, listen).run()


class _Training:
    """One training at work: model, optimizer, data, and where they stand."""

    def __init__(self, inputs: Inputs, device: str, run_id: str | None, listen: Listener) -> None:
        self.inputs, self.settings, self.listen = inputs, inputs.settings, listen
        self.run_id = run_id
        self.checkpoints = inputs.directory / "checkpoints"
        self.device = device
        s = self.settings
        self.examples = Examples(inputs.train, s.seq_length)
        self.replay = [Examples(texts, s.seq_length) for texts in inputs.replay]
        self.held_out = sample(inputs.held_out, HELD_OUT_SAMPLE, s.seed)
        self.train_sample = sample(inputs.train, HELD_OUT_SAMPLE, s.seed)
        self.model = Transformer(SIZES[s.size]).initialize(s.seed)
        self.progress = Progress(epoch=inputs.first_epoch)
        steps = len(self._batches(inputs.first_epoch)) * (s.epochs - inputs.first_epoch + 1)
        self.metrics = Metrics(inputs.directory)
        moments = self._weights()
        self.model.to(device)
        self.optimization = Optimization(self.model, s, steps, device)
        if moments is not None:
            self.optimization.load(moments)
        self.epoch = self.progress.epoch
        self.heartbeat = Heartbeat(
            inputs.id, s.phase, s.size, s.epochs, steps=steps, step=self.progress.step,
            epoch=self.epoch, run_id=run_id,
        )  # fmt: skip
        self.record_every = max(1, steps // RECORDS)
        self.interrupted: int | None = None
        self.saved_at, self.save_took = time.monotonic(), 0.0

    def _weights(self) -> dict[str, torch.Tensor] | None:
        """Take up the newest checkpoint of this training, or the parent's weights; the moments with them."""
        found = checkpoint.newest_verified(self.checkpoints, with_optimizer=True)
        if found is not None:
            path, manifest = found
            self.model.load_state_dict(checkpoint.load_model(path).state_dict())
            self.progress = Progress(**checkpoint.read_state(path))
            self.metrics.rewind(manifest.step)
            log.info("resuming from %s (step %d)", path.name, manifest.step)
            return checkpoint.load_optimizer(path)
        self.metrics.rewind(-1)
        parent = self.inputs.parent
        if parent is None:
            return None
        self.model.load_state_dict(checkpoint.load_model(parent).state_dict())
        return checkpoint.load_optimizer(parent) if self.inputs.first_epoch > 1 else None

    def run(self) -> Outcome:
        """Epoch after epoch to the FINAL checkpoint, or to the reason not to go on."""
        status, reason = "failed", None
        with self._signals():
            try:
                self.heartbeat.status = "training"
                self.heartbeat.write(self.inputs.directory)
                stop = self._epochs()
                status, reason = stop or ("completed", None)
                path = self._save("STOPPED" if stop else "FINAL", stopped=reason)
                self._discard("LAST")
                return Outcome(path, checkpoint.read_manifest(path), found=False)
            except Interrupted as error:
                status, reason = "interrupted", str(error)
                raise
            except BaseException as error:
                status, reason = "failed", f"{type(error).__name__}: {error}"
                raise
            finally:
                self.heartbeat.status, self.heartbeat.reason = status, reason
                self.heartbeat.step = self.progress.step
                self.heartbeat.write(self.inputs.directory)

    def _epochs(self) -> Stop | None:
        for epoch in range(self.progress.epoch, self.settings.epochs + 1):
            if stop := self._epoch(epoch) or self._end_of_epoch(epoch):
                return stop
        return None

    def _epoch(self, epoch: int) -> Stop | None:
        """All batches of an epoch that are not done yet."""
        p = self.progress
        p.epoch = self.epoch = epoch
        pieces = self._batches(epoch)
        window_loss, window_tokens, window_start = 0.0, 0, time.monotonic()
        for batch in pieces[p.batch :]:
            ids_BT = batch()
            try:
                loss, tokens = self.optimization.step(ids_BT, p.step)
            except NotFinite as error:
                return Stop("aborted", str(error))
            p.step, p.batch = p.step + 1, p.batch + 1
            p.epoch_loss, p.epoch_tokens = p.epoch_loss + loss * tokens, p.epoch_tokens + tokens
            window_loss, window_tokens = window_loss + loss * tokens, window_tokens + tokens
            if p.step % self.record_every == 0:
                mean, seconds = window_loss / window_tokens, time.monotonic() - window_start
                self._record(mean, window_tokens / seconds, seconds)
                if reason := diverged(mean, AbortLimits()):
                    return Stop("aborted", reason)
                window_loss, window_tokens, window_start = 0.0, 0, time.monotonic()
            self._keep_alive()
        return None

    def _end_of_epoch(self, epoch: int) -> Stop | None:
        """Evaluate, save what is due, judge."""
        p, s = self.progress, self.settings
        p.epoch_losses.append(p.epoch_loss / p.epoch_tokens)
        self.model.eval()
        held_out = predict(self.model, self.held_out).loss
        best_before = p.best_loss
        p.epoch, p.batch, p.epoch_loss, p.epoch_tokens = epoch + 1, 0, 0.0, 0
        self._record(p.epoch_losses[-1], None, None, held_out)
        if not math.isfinite(held_out):
            return Stop("aborted", f"held-out loss is {held_out} at epoch {epoch}: use a lower learning rate")
        if p.best_loss is None or held_out < p.best_loss:
            p.best_loss, p.best_epoch = held_out, epoch
            self._discard("BEST", but=self._save("BEST"))
        gate_due = epoch in MILESTONES or epoch == s.epochs
        if epoch != s.epochs and (gate_due or epoch % 10 == 0):
            self._save("EPOCH")
        stop = None
        if gate_due:
            gates = milestone_gates(
                self.model, self.train_sample, self.held_out,
                step=p.step, reported_loss=p.epoch_losses[-1], best_loss=best_before,
                train_tokens=tokens_to_predict(self.examples.lengths),
            )  # fmt: skip
            stop = self._milestone(epoch, gates)
        self.model.train()
        if stop is None and (reason := abort_reason(p.epoch_losses, first_epoch=self.inputs.first_epoch)):
            stop = Stop("aborted", reason)
        return stop

    def _milestone(self, epoch: int, gates: list[Gate]) -> Stop | None:
        content = {"epoch": epoch, "outcome": worst(gates), "gates": [gate.to_json() for gate in gates]}
        self.progress.milestones.append(content)
        write_json(self.inputs.directory / "milestones.json", self.progress.milestones)
        self.listen("milestone", content)
        failed = [gate for gate in gates if gate.outcome == "fail"]
        if failed:
            return Stop("quality_failed", f"gate {failed[0].name} failed at epoch {epoch}: {failed[0].reason}")
        return None

    def _batches(self, epoch: int) -> list[Callable[[], torch.Tensor]]:
        """This epoch's batches in order, the replayed ones among them; the same for the same seed and epoch."""
        s = self.settings
        generator = torch.Generator().manual_seed(s.seed * 1_000_003 + s.phase * 10_007 + epoch)
        most_tokens = s.batch_size * s.seq_length
        pieces = [(self.examples, rows) for rows in batches(self.examples.lengths, most_tokens, generator)]
        share = int(s.replay * int(self.examples.lengths.sum()))
        for earlier in self.replay:
            rows = replayed(earlier.lengths, share, generator)
            pieces += [(earlier, rows[b]) for b in batches(earlier.lengths[rows], most_tokens, generator)]
        order = torch.randperm(len(pieces), generator=generator).tolist()
        return [lambda e=e, r=r: e.batch(r) for e, r in (pieces[i] for i in order)]  # type: ignore[misc]

    def _record(
        self,
        train_loss: float,
        tokens_per_second: float | None,
        seconds: float | None,
        held_out_loss: float | None = None,
    ) -> None:
        p, beat, epoch = self.progress, self.heartbeat, self.epoch
        rate = self.optimization.learning_rate(p.step)
        beat.epoch, beat.step, beat.train_loss, beat.learning_rate = epoch, p.step, train_loss, rate
        beat.held_out_loss = held_out_loss if held_out_loss is not None else beat.held_out_loss
        if tokens_per_second is not None and seconds is not None:
            beat.tokens_per_second = tokens_per_second
            beat.eta_seconds = (beat.steps - p.step) * seconds / self.record_every
        if self.device.startswith("cuda"):
            beat.gpu_memory_bytes = torch.cuda.max_memory_allocated()
        beat.write(self.inputs.directory)
        row = {
            "step": p.step, "epoch": epoch, "train_loss": train_loss, "held_out_loss": held_out_loss,
            "learning_rate": rate, "tokens_per_second": tokens_per_second,
        }  # fmt: skip
        self.metrics.append(row)
        self.listen("progress", row)

    def _keep_alive(self) -> None:
        """Between steps: heed a signal, save the rolling checkpoint when it is time, show a sign of life."""
        now = time.monotonic()
        if self.interrupted is not None:
            self._save_last()
            raise Interrupted(f"{signal.Signals(self.interrupted).name} at step {self.progress.step}")
        if now - self.saved_at > max(SAVE_SECONDS, self.save_took / SAVE_SHARE):
            self._save_last()
        if time.time() - self.heartbeat.time > 1:
            self.heartbeat.step = self.progress.step
            self.heartbeat.write(self.inputs.directory)

    def _save_last(self) -> None:
        started = time.monotonic()
        self._discard("LAST", but=self._save("LAST"))
        self.saved_at = time.monotonic()
        self.save_took = self.saved_at - started

    def _save(self, kind: str, *, stopped: str | None = None) -> Path:
        p, inputs = self.progress, self.inputs
        parent = inputs.parent_manifest
        manifest = Manifest(
            kind=kind,
            phase=self.settings.phase,
            epoch=self.epoch,
            epochs=self.settings.epochs,
            step=p.step,
            size=self.settings.size,
            parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            training_id=inputs.id,
            settings=self.settings.to_json(),
            vocabulary_sha256=VOCABULARY_SHA256,
            corpora=inputs.corpora,
            parent=Parent(
                parent.training_id, inputs.parent.name, parent.phase, parent.epoch, parent.weights_sha256
            ) if parent and inputs.parent else None,
            stopped=stopped,
            versions={"hlx": hlx_model.__version__, "torch": torch.__version__},
            run_id=self.run_id,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )  # fmt: skip
        moments = self.optimization.state() if kind in ("LAST", "FINAL") else None
        path = checkpoint.write(self.checkpoints, manifest, self.model, asdict(p), moments)
        self.listen("checkpoint", {"checkpoint": path.name, "epoch": manifest.epoch, "step": p.step})
        return path

    def _discard(self, kind: str, *, but: Path | None = None) -> None:
        for path in checkpoint.checkpoints(self.checkpoints):
            if f"_{kind}_" in path.name and path != but:
                checkpoint.remove(path)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the training after the step that runs."""

        def interrupt(signum: int, frame: object) -> None:
            self.interrupted = signum

        before = {s: signal.signal(s, interrupt) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)
