"""A curriculum in this process: the corpora, the plan, and then one phase after the other, each as a run of its own.

A phase is not even planned before the one before it has passed: a run shows everything that it planned and did not make
as failed, also what was made before and is good.
"""

import os
import re
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from hlx_assets.common import exit_with_one_line
from hlx_assets.corpus.assets import CorpusDocumentConfig, chosen
from hlx_assets.corpus.setting import setting_of_home
from hlx_assets.curriculum.plan import Plan, plan_curriculum, show_corpus, show_plan
from hlx_assets.curriculum.summary import made_by, print_summary
from hlx_assets.curriculum.trainer import TERMINAL_TAG
from hlx_assets.dagster_internals import write_to_terminal_alone
from hlx_assets.definitions import defs
from hlx_assets.home import home_directory
from hlx_assets.settings import TRAINER, DagsterEnvironment
from hlx_assets.waiting import alone, wait_for_trainings
from hlx_assets.watchdog.runs import close_dead_runs, runs_elsewhere
from hlx_model.cli.show import DataConsole, require_yes
from hlx_model.files import open_input
from hlx_model.layout import DOCUMENT, EVALUATION, EVALUATION_DOCUMENT, EXAMPLES
from hlx_model.phases import PHASES
from hlx_model.shown import one_line
from hlx_model.training.forecast import duration

CORPORA = (DOCUMENT, EXAMPLES, *(phase.corpus for phase in PHASES.values()), EVALUATION_DOCUMENT, EVALUATION)
STAGES = [(phase.checkpoint_asset, phase.report_asset, phase.card_asset) for phase in PHASES.values()]
HISTORY = "training_history"
console = DataConsole(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 130)


def run_curriculum(instance: dg.DagsterInstance, config_file: Path | None, *, confirmed: bool) -> int:
    """Materialize everything; return 0 if every phase passed, 1 if a gate, an error or a person stopped it.

    Runs whose process has ended are closed first: otherwise this one would wait for the slot of a killed run for ever.

    Args:
        instance: of the home.
        config_file: a run configuration in YAML.
        confirmed: whether hours on a CPU need no question.
    """
    config = run_configuration(config_file)
    # Dagster's own modules call what Dagster calls preview or deprecated: a user cannot change that.
    warnings.filterwarnings("ignore", module=r"dagster\.")
    write_to_terminal_alone(instance)
    for run_id in close_dead_runs(instance):
        console.print(f"closed run {run_id[:8]}, whose process is gone; its training resumes")
    for line in runs_elsewhere(instance):
        console.print(line, markup=False)
    document = CorpusDocumentConfig(**(config.get("ops", {}).get(DOCUMENT, {}).get("config") or {}))
    with exit_with_one_line():
        DagsterEnvironment.read(TRAINER).trainer.require()
        setting = chosen(setting_of_home(instance), document).require_usable()
        _show(f"corpus: {setting} (CORPUS=, ENTRIES= and EVAL= change it; the home remembers it)")
        with alone(home_directory(), instance, _show):
            wait_for_trainings(instance, _show)
            return _run(instance, config, confirmed=confirmed)


def _run(instance: dg.DagsterInstance, config: Mapping[str, Any], *, confirmed: bool) -> int:
    started = time.monotonic()
    events, success = _materialize(instance, config, CORPORA)
    corpora = made_by(events)
    if EXAMPLES in corpora:
        show_corpus(console, corpora[EXAMPLES])
    if success:
        plan = plan_curriculum(instance, config, corpora)
        show_plan(console, plan, corpora[EXAMPLES])
        if not confirmed:
            _confirm(plan)
    for number, stage in enumerate(STAGES, start=1):
        if not success:
            _show(f"not started: {', '.join(assets[0] for assets in STAGES[number - 1 :])}")
            break
        own, success = _materialize(instance, config, (*stage, *([HISTORY] if number == len(STAGES) else [])))
        events += own
    print_summary(console, events, time.monotonic() - started)
    return 0 if success else 1


def _materialize(
    instance: dg.DagsterInstance, config: Mapping[str, Any], assets: Sequence[str]
) -> tuple[list[dg.DagsterEvent], bool]:
    """Materialize assets with their checks in one run; return its events, and whether it succeeded."""
    ops = {name: value for name, value in config.get("ops", {}).items() if name in assets}
    with dg.execute_job(
        dg.reconstructable(curriculum_job), instance, run_config={**config, "ops": ops},
        tags={TERMINAL_TAG: str(os.getpid())}, asset_selection=[dg.AssetKey(name) for name in assets],
    ) as result:  # fmt: skip
        return list(result.all_events), result.success


def _confirm(plan: Plan) -> None:
    """Let a person confirm a large model on a CPU; without a terminal, or without a yes, end the program."""
    if (slow := plan.slow) is None:
        return
    question = f"{slow.settings.size} on a CPU takes about {duration(plan.seconds)}"
    require_yes(question, "ARGS=--yes")


def _show(line: str) -> None:
    console.print(line, markup=False)


def curriculum_job() -> dg.JobDefinition:
    """Return the job; Dagster finds it again by this function's name."""
    return defs.resolve_job_def("curriculum")


def run_configuration(path: Path | None) -> Mapping[str, Any]:
    """Return the run configuration in a YAML file; end the program with one line if Dagster would refuse it."""
    try:
        config = (_read_yaml(path) if path else None) or {}
        if not isinstance(config, dict):
            raise ValueError("it must be a mapping, such as ops: {phase1_checkpoint: {config: {epochs: 40}}}")
        # Short lines instead of Dagster's own.
        merged = {**config, "loggers": config.get("loggers") or {"console": {}}}
        dg.validate_run_config(curriculum_job(), merged)
    except dg.DagsterInvalidConfigError as error:
        # What else is allowed there, which Dagster lists, is hundreds of words.
        sys.exit(f"error: --config {path}: {one_line(error.errors[0].message.split(' Expected: ')[0])}")
    except OSError as error:
        sys.exit(f"error: --config {path}: it cannot be read ({error.strerror})")
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        sys.exit(f"error: --config {path}: {one_line(error)}")
    return merged


def _read_yaml(path: Path) -> Any:
    with open_input(path) as file:
        return yaml.load(file.read().decode("utf-8-sig"), _Loader)


class _Loader(yaml.SafeLoader):
    """Reads `1e-4` as a number, as YAML 1.2 does; in YAML 1.1 it is text."""


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
