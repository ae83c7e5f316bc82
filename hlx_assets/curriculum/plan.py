"""What a curriculum will take, stated before its first step: corpus, epochs, tokens, minutes, device, disk."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pyarrow.parquet as pq
from rich.markup import escape
from rich.table import Table

from hlx_assets.curriculum.settings import TrainingConfig, given, launcher_named, profile_named, settings_class
from hlx_assets.io_manager import artifacts_at_home, latest_path
from hlx_assets.launchers.launcher import Launcher
from hlx_model.checkpoints.manifest import read_manifest
from hlx_model.cli.show import DataConsole
from hlx_model.corpus import store
from hlx_model.corpus.documents import is_composed
from hlx_model.corpus.split import Split
from hlx_model.evaluation.fitness import MIN_HELD_OUT_VALUES
from hlx_model.layout import ROWS
from hlx_model.model.device import device_of
from hlx_model.phases import PHASES, Phase
from hlx_model.profiles import Profile
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.forecast import Forecast, disk, duration, forecast_of_phase, is_slow, machine
from hlx_model.training.memory import require_memory
from hlx_model.training.plan import Overrides

MAX_QUARANTINED_ROWS = 10


class Plan(NamedTuple):
    """The forecasts of the phases, and the settings of the machine for each."""

    forecasts: list[Forecast]
    executions: list[ExecutionConfig]
    launchers: list[Launcher]
    profile: Profile

    @property
    def slow(self) -> Forecast | None:
        """Return the first phase that takes so long that a person should confirm it; None if there is none."""
        for found, execution, launcher in zip(self.forecasts, self.executions, self.launchers, strict=True):
            if found.epochs and not launcher.elsewhere and is_slow(found, execution):
                return found
        return None

    @property
    def seconds(self) -> float:
        """Return the time of all steps of all phases."""
        return sum(found.seconds or 0.0 for found in self.forecasts)


def plan_curriculum(instance: dg.DagsterInstance, config: Mapping[str, Any], corpora: Mapping[str, Path]) -> Plan:
    """Return what the three phases will take.

    Args:
        instance: of the home.
        config: the run configuration.
        corpora: the directory of each phase's corpus, by asset.

    Raises:
        ValueError: a setting is not valid, or a training does not fit the machine's memory.
    """
    forecasts, executions, launchers, training = [], [], [], artifacts_at_home().training
    profile, size = profile_named(TrainingConfig()), None
    parent: str | None = ""
    for phase in PHASES.values():
        settings = settings_class(phase)(**(config.get("ops", {}).get(phase.checkpoint_asset, {}).get("config") or {}))
        profile, own = profile_named(settings), given(phase, settings)
        size = own["size"] or size  # that of the phase before
        execution, overrides = execution_of(settings), overrides_of({**own, "size": size})
        found = forecast_of_phase(phase.number, corpora[phase.corpus], profile, overrides, execution, training)
        parent = None if parent is None else _trained(instance, phase, found, corpora[phase.corpus].name, parent)
        if parent is not None:
            found = replace(found, epochs=0)
        launchers.append(launcher_named(settings.trainer))
        if not launchers[-1].elsewhere:
            require_memory(found.settings, execution)
        forecasts.append(found)
        executions.append(execution)
    return Plan(forecasts, executions, launchers, profile)


def execution_of(config: TrainingConfig) -> ExecutionConfig:
    """Return how this machine computes a training; `ValueError` names a setting that is not valid."""
    return ExecutionConfig(
        device_of(), config.gradient_checkpointing, config.accumulation, memory_limit=config.memory_limit,
        gate_every=config.gate_every or 0,
    )  # fmt: skip


def overrides_of(own: Mapping[str, Any]) -> Overrides:
    """Return what a training overrides of its profile, of its settings by name; None is not given."""
    return Overrides(
        own["size"], own["epochs"], own["batch_size"], own["seq_length"], own["lr"], own["seed"], own["replay"],
        tokens=own["tokens"], document_weight=own["document_weight"],
    )  # fmt: skip


def _trained(instance: dg.DagsterInstance, phase: Phase, found: Forecast, corpus: str, parent: str) -> str | None:
    """Return the id of the training that a forecast is of, if it has completed already; else None.

    Args:
        instance: of the home.
        phase: of the training.
        found: the forecast.
        corpus: the data version of its corpus.
        parent: the id of the training of the phase before.
    """
    try:
        manifest = read_manifest(latest_path(instance, dg.AssetKey(phase.checkpoint_asset)))
    except (dg.Failure, ValueError, OSError):
        return None
    same = manifest.settings == found.settings.to_json() and manifest.corpora[phase.corpus].data_version == corpus
    starts = manifest.parent is None or manifest.parent.training_id == parent
    return manifest.training_id if same and starts and not manifest.stopped else None


def show_corpus(console: DataConsole, examples: Path) -> None:
    """Print what was read, and what is in quarantine with line and reason."""
    for line in corpus_lines(examples):
        console.print(line, markup=False)


def show_plan(console: DataConsole, plan: Plan, examples: Path) -> None:
    """Print what each phase will take, and what a person should know of a small corpus."""
    columns = ("phase", "size", "examples", "epochs", "tokens", "tokens/s", "about")
    table = Table(*columns, title="plan", title_justify="left")
    for found in plan.forecasts:
        about = duration(found.seconds or 0) if found.epochs else "trained"
        table.add_row(
            str(found.settings.phase), escape(found.settings.size), f"{found.examples:,}", str(found.epochs),
            f"{found.tokens:,}", f"{found.speed or 0:,.0f}", about,
        )  # fmt: skip
    console.print(table)
    last, execution = plan.forecasts[-1], plan.executions[-1]
    place = machine(execution, mixed=last.settings.mixed_precision)
    if plan.launchers[-1].elsewhere:
        place = f"trained by {plan.launchers[-1]}; the times are those of this machine ({place})"
    console.print(f"{place}; speed {last.basis}; evaluations come on top", markup=False)
    console.print(disk(plan.forecasts, artifacts_at_home().training), markup=False)
    for line in advice(plan, examples):
        console.print(line, markup=False)


def corpus_lines(examples: Path) -> Iterator[str]:
    """Yield how many entries were read, and the first ones that are in quarantine, with line and reason."""
    rows = store.quarantined(examples).to_pylist()
    kept = pq.read_metadata(examples / ROWS).num_rows
    yield f"{kept + len(rows):,} entries read, {len(rows)} quarantined"
    for row in rows[:MAX_QUARANTINED_ROWS]:
        place = f"{row['document']} line {row['line']} ({row['english'] or 'no sentence'})"
        yield f"quarantined: {place}: {row['reason']}"
    if len(rows) > MAX_QUARANTINED_ROWS:
        yield f"and {len(rows) - MAX_QUARANTINED_ROWS} more: `hlx corpus check` lists them"


def advice(plan: Plan, examples: Path) -> Iterator[str]:
    """Yield what a person should know of a corpus that is small for its schedule."""
    last, documents = plan.forecasts[-1], store.sources_of(examples)
    composed = any(map(is_composed, documents))
    if not composed and (values := _judged_values(examples)) < MIN_HELD_OUT_VALUES:
        yield (
            f"{', '.join(document.name for document in documents)}: so small a corpus can only be learned by heart "
            f"(test values: {values}, required ≥ {MIN_HELD_OUT_VALUES} to show more); ENTRIES=20000 composes a "
            "corpus beside it"
        )
    budget = plan.profile.schedules[last.settings.phase].tokens
    if composed and budget and last.epochs > 2:
        yield (
            f"so few entries are no quicker: the budget of {budget:,} tokens reads them {last.epochs} times, and the "
            f"model is worse than after one reading of {plan.profile.entries:,} entries; quicker are fewer tokens: "
            f"{PHASES[last.settings.phase].checkpoint_asset}, `tokens: {budget // 4}`, in the launchpad or in --config"
        )


def _judged_values(examples: Path) -> int:
    """Return how many values models are judged by: those in test, or in validation without a test."""
    rows = set(zip(*store.load(examples).select(["split", "value_sha256"]).to_pydict().values(), strict=True))
    in_split = Counter(split for split, value in rows if value is not None)
    return in_split[Split.TEST] or in_split[Split.VALIDATION]
