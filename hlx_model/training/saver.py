"""Decides which checkpoints a training keeps: those of its milestones, its best, rolling ones, and the last."""

import platform
import subprocess
import time
from contextlib import suppress
from functools import cache, partial
from importlib import metadata
from pathlib import Path

import torch

import hlx_model
from hlx_model.checkpoints import weights
from hlx_model.checkpoints.manifest import Kind, Manifest, checkpoint_number
from hlx_model.checkpoints.progress import Progress
from hlx_model.checkpoints.seal import list_checkpoints, remove_checkpoint
from hlx_model.environment import Environment
from hlx_model.evaluation.milestones import MILESTONES
from hlx_model.files import utc_now
from hlx_model.layout import CHECKPOINTS
from hlx_model.model.tokenizer import VOCABULARY_SHA256
from hlx_model.monitoring.aborts import Aborts
from hlx_model.runs.passing import passed_on
from hlx_model.training.engine import Engine
from hlx_model.training.events import CheckpointSaved, EventSink
from hlx_model.training.plan import TrainingPlan
from hlx_model.training.settings import CODE_VERSION

SAVE_SHARE = 0.02
"""At most this share of the time goes into saving the rolling checkpoint, which is saved no more often than every
`HLX_SAVE_SECONDS`."""


class Saver:
    """Writes the checkpoints of a training; an older one is removed only when the newer is on the disk."""

    def __init__(self, plan: TrainingPlan, engine: Engine, aborts: Aborts, progress: Progress, emit: EventSink) -> None:
        self._plan, self._engine, self._aborts, self._progress, self._emit = plan, engine, aborts, progress, emit
        self._directory, self._started = plan.directory / CHECKPOINTS, utc_now()
        device = engine.parameters[0].device
        self._device = f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else "cpu"
        packages = {name: metadata.version(name) for name in ("numpy", "pyarrow", "safetensors", "torch")}
        self._versions = {"hlx": hlx_model.__version__, "python": platform.python_version(), **packages}
        self._every = Environment.read("HLX_SAVE_SECONDS").save_seconds
        self._saved, self._took = time.monotonic(), 0.0

    def after_steps(self) -> None:
        """Save the rolling checkpoint, if it is time."""
        if time.monotonic() - self._saved > max(self._every, self._took / SAVE_SHARE):
            self.rolling()

    def rolling(self) -> None:
        """Save weights, moments and progress as a LAST checkpoint.

        The LAST one before it is kept, so that a damaged file costs no more than the time between the two.
        """
        started = time.monotonic()
        self._save("LAST")
        self._discard("LAST", newest=weights.ROLLING, number=self._progress.step)
        self._saved = time.monotonic()
        self._took = self._saved - started

    def after_epoch(self, epoch: int, held_out: float) -> Path | None:
        """Save the epoch if its validation loss (in nats) is the best, or if its number is one to keep.

        Returns:
            The checkpoint; None if none was saved.
        """
        p, last, saved = self._progress, self._plan.settings.epochs, None
        if p.best_loss is None or held_out < p.best_loss:
            p.best_loss, p.best_epoch = held_out, epoch
            saved = self._save("BEST")
            self._discard("BEST", newest=1, number=p.current_epoch)
        if epoch != last and (epoch in MILESTONES or epoch % weights.EVERY_EPOCHS == 0):
            saved = self._save("EPOCH")
        return saved

    def end(self, stopped: str | None) -> Path:
        """Save the last checkpoint: FINAL, or STOPPED with its reason."""
        path = self._save("STOPPED" if stopped else "FINAL", stopped)
        self._discard("LAST", newest=0, number=self._progress.step)
        return path

    def _save(self, kind: Kind, stopped: str | None = None) -> Path:
        p, plan, s, model = self._progress, self._plan, self._plan.settings, self._engine.transformer
        p.aborts, p.scaler = self._aborts.memory, self._engine.scaler.state_dict()
        manifest = Manifest(
            kind=kind, phase=s.phase, epoch=p.current_epoch, epochs=s.epochs, step=p.step,
            training_id=plan.id, attempt=plan.attempt, run_id=plan.run_id, settings=s.to_json(),
            size=s.size, parameters=sum(parameter.numel() for parameter in model.parameters()),
            vocabulary_sha256=VOCABULARY_SHA256, weights_sha256="", files={},
            corpora=plan.corpora, parent=plan.parent_record, ungated=plan.ungated, resumed=plan.resumed,
            stopped=stopped, milestones={str(m.epoch): m.outcome for m in p.milestones},
            started=self._started, created=utc_now(),
            device=self._device, versions=self._versions, code=_code_state(),
        )  # fmt: skip
        moments = self._engine.optimizers.state_dict() if kind in ("LAST", "FINAL") else None
        path = weights.write_checkpoint(self._directory, manifest, model, p, moments)
        self._emit(CheckpointSaved(path.name, manifest.epoch, p.step))
        return path

    def _discard(self, kind: Kind, *, newest: int, number: int) -> None:
        """Remove the checkpoints of a kind, except the `newest` ones up to `number`, the present step or epoch.

        One with a higher number did not verify when this training was resumed, and must not take a good one's place.
        One that was passed on stays: another training may have started from it before this one lost its FINAL one.
        """
        kept = passed_on(self._plan.directory)
        paths = [path for path in list_checkpoints(self._directory) if f"_{kind}_" in path.name and path != kept]
        paths.sort(key=lambda path: (checkpoint_number(path) <= number, checkpoint_number(path)))
        for path in paths[: len(paths) - newest]:
            remove_checkpoint(path)


@cache
def _code_state() -> dict[str, str | bool | None]:
    """Return `version` of the code, raised by hand; `commit` and `dirty` of its git checkout, None if there is none.

    A checkout is dirty if a file of the packages differs from the commit or is not in it.
    """
    root = Path(hlx_model.__file__).parents[1]
    commit, dirty = None, None
    if (root / ".git").exists():  # else it is installed, perhaps inside another repository
        git = partial(subprocess.check_output, cwd=root, text=True, stderr=subprocess.DEVNULL, timeout=30)
        with suppress(OSError, subprocess.SubprocessError):
            dirty = bool(git(["git", "status", "--porcelain", "--", "hlx_model", "hlx_assets"]))
            commit = git(["git", "rev-parse", "HEAD"]).strip()
    return {"version": CODE_VERSION, "commit": commit, "dirty": dirty if commit else None}
