"""The settings of a training as the launchpad shows them: with the values of the profile.

A value that is as it is shown counts as not given. So `profile: production` alone changes all of them, `epochs: 5`
alone is enough if the profile counts tokens, and phases 2 and 3 have the size of the phase before. In a session every
value that its run configuration names is given.
"""

from collections.abc import Collection
from typing import Any

import dagster as dg
from pydantic import ConfigDict, Field, create_model

from hlx_assets.curriculum.session import SESSION
from hlx_assets.launchers.launcher import Launcher
from hlx_assets.launchers.setting import launcher_of
from hlx_assets.settings import TRAINER, DagsterEnvironment
from hlx_model.phases import PHASES, Phase
from hlx_model.profiles import Profile, profile

LATEST, PASSED = "latest", "passed"
"""Values of `parent` that name no checkpoint."""


class TrainingConfig(dg.Config):
    """The settings of a training, each an option of `hlx train`. What is as the launchpad shows it is the profile's."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    profile: str | None = None
    """quick or production. Default: $HLX_PROFILE, or quick."""
    size: str | None = None
    """tiny, 10m, 50m, 100m, 250m, 500m or 1b."""
    epochs: int | None = None
    """The last epoch to train."""
    tokens: int | None = None
    """Train for about so many tokens, in whole epochs, instead of `epochs`."""
    continue_from: str | None = None
    """A checkpoint of this phase to train longer, ID/NAME or its directory; with `tokens` or `epochs`."""
    lr: float | None = None
    """Peak learning rate."""
    batch_size: int | None = None
    """With seq_length, the most tokens of a batch."""
    seq_length: int | None = None
    """Most tokens of an example."""
    seed: int | None = None
    """Seed of fresh weights and of the order of the data."""
    replay: float | None = None
    """Share of tokens from each earlier phase."""
    document_weight: float | None = None
    """Least share of the tokens that is from your documents if composed entries lie beside them."""
    gradient_checkpointing: bool = False
    """Less memory for a third more computation."""
    accumulation: int = 1
    """Parts that a batch is computed in: less memory, the same result."""
    memory_limit: float | None = None
    """GiB that the training may use. Default: the free memory."""
    gate_every: int | None = None
    """Evaluate the gates every so many epochs too, beside the milestones; 0: never. Default: the profile's."""
    pass_on: str = "final"
    """final or best: the checkpoint that is evaluated, and that the next phase starts from."""
    trainer: str | None = None
    """Where it trains: local, torchrun, slurm or kubernetes, with options such as `slurm partition=gpu gpus=1`.
    Default: $HLX_TRAINER, or local."""
    retry_stopped: bool = False
    """Train again if a gate or an abort condition stopped a training with the same settings."""


class LaterTrainingConfig(TrainingConfig):
    """The settings of a training that starts from the phase before."""

    parent: str = LATEST
    """The checkpoint of the phase before to start from: ID/NAME, its directory, `latest` (the one that was materialized
    last) or `passed` (the newest of this size that passed its gates)."""


def settings_class(phase: Phase) -> type[TrainingConfig]:
    """Return the class of a phase's settings, without the values of a profile."""
    return LaterTrainingConfig if phase.number - 1 in PHASES else TrainingConfig


def profile_named(config: TrainingConfig) -> Profile:
    """Return the profile of a training; `ValueError` names those that exist."""
    return profile(config.profile)


def launcher_named(trainer: str | None) -> Launcher:
    """Return what starts a training: as the setting `trainer` says, else `HLX_TRAINER`.

    Raises:
        ValueError: one of them is not valid; names it.
    """
    if trainer is None:
        return DagsterEnvironment.read(TRAINER).trainer
    try:
        return launcher_of(trainer)
    except ValueError as error:
        raise ValueError(f"trainer is {trainer!r}: {error}") from None


def shown(phase: Phase) -> dict[str, Any]:
    """Return the settings of a phase that its launchpad shows, with the values of the profile of the environment.

    Raises:
        ValueError: `HLX_PROFILE` is not valid.
    """
    own = profile()
    schedule = own.schedules[phase.number]
    length = {"epochs": schedule.epochs} if schedule.tokens is None else {"tokens": schedule.tokens}
    return {
        "size": own.size, **length, "lr": schedule.learning_rate, "batch_size": own.batch_size,
        "seq_length": own.seq_length, "seed": own.seed,
    }  # fmt: skip


def config_of(phase: Phase) -> type[TrainingConfig]:
    """Return the class of a phase's settings, whose defaults are what the launchpad shows."""
    fields: dict[str, Any] = {}
    for name, value in shown(phase).items():
        field = TrainingConfig.model_fields[name]
        fields[name] = (field.annotation, Field(value, description=field.description))
    return create_model(f"Phase{phase.number}TrainingConfig", __base__=settings_class(phase), **fields)


def named(run: dg.DagsterRun, phase: Phase) -> Collection[str]:
    """Return the names of the settings of a phase in the run configuration of a session; none for any other run."""
    if SESSION not in run.tags:
        return ()
    ops: Any = run.run_config.get("ops") or {}
    return frozenset((ops.get(phase.checkpoint_asset) or {}).get("config") or ())


def given(phase: Phase, config: TrainingConfig, named: Collection[str] = ()) -> dict[str, Any]:
    """Return the settings that somebody changed, by name; None for the others.

    `tokens` counts as given if a checkpoint is continued: so many are trained more.

    Args:
        phase: of the training.
        config: all settings.
        named: those that count as given also if they are as shown.
    """
    usual = {name: value for name, value in shown(phase).items() if name not in named}
    if config.continue_from is not None and config.epochs is None:
        usual.pop("tokens", None)
    return {name: None if value == usual.get(name) else value for name, value in dict(config).items()}
