"""Remove old runs from the history of a home: `make prune`.

    python -m hlx_assets.prune [--days 90] [--yes]

Kept are the runs that are not finished or not old enough, those that made the latest version of an asset, the latest
result of a check or something that is still there, and those that trained a checkpoint. So no gate opens or closes, and
lineage finds the runs that it names. What is removed are the older points of the plots in the UI.
"""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from hlx_assets import dagster_internals as internals
from hlx_assets.home import home_directory, open_home
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.layout import CHECKPOINTS
from hlx_model.provenance.events import read_events
from hlx_model.provenance.lookup import readable_manifest
from hlx_model.runs.heartbeat import Heartbeat

DAYS = 90
"""The age of what is removed."""
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def needed_runs(instance: dg.DagsterInstance) -> set[str]:
    """Return the ids of the runs that the graph, its gates or the lineage of a kept training name."""
    events = (instance.get_latest_materialization_event(key) for key in instance.get_asset_keys())
    needed = {event.run_id for event in events if event}
    needed |= internals.runs_of_latest_checks(instance)
    artifacts = artifacts_at_home()
    checkpoints = artifacts.training.glob(f"*/{CHECKPOINTS}/*")
    trainings = [Heartbeat.read(folder) for folder in artifacts.training.glob("*")]
    made = [*trainings, *map(readable_manifest, checkpoints)]
    needed |= {one.run_id for one in made if one is not None and one.run_id}
    latest = {event.artifact: event.run_id for event in read_events(artifacts.root)}
    return needed | {run_id for artifact, run_id in latest.items() if (artifacts.root / artifact).exists()}


def old_runs(instance: dg.DagsterInstance, before: datetime.datetime) -> list[str]:
    """Return the ids of the finished runs that were made before a time and that nothing needs."""
    needed = needed_runs(instance)
    records = instance.get_run_records(dg.RunsFilter(statuses=FINISHED, created_before=before))
    return [record.dagster_run.run_id for record in records if record.dagster_run.run_id not in needed]


def remove(instance: dg.DagsterInstance, home: Path, runs: Sequence[str]) -> None:
    """Remove runs with their events and logs."""
    for run_id in runs:
        internals.delete_run(instance, home, run_id)


def main() -> None:
    """List what would be removed, or remove it with --yes."""
    parser = argparse.ArgumentParser(prog="make prune", description="Remove old runs from the history of a home.")
    parser.add_argument("--days", type=float, default=DAYS, help=f"remove runs that are older ({DAYS})")
    parser.add_argument("--yes", action="store_true", help="remove them; without it they are only counted")
    arguments = parser.parse_args()
    if not 0 <= arguments.days <= 36_500:
        parser.error(f"--days is {arguments.days}: it must be a number of days, 0 or more")
    with open_home() as instance:
        before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=arguments.days)
        runs = old_runs(instance, before)
        if arguments.yes:
            remove(instance, home_directory(), runs)
        done = "removed" if arguments.yes else "nothing was removed; `make prune ARGS=--yes` removes them"
        sys.stdout.write(f"runs older than {arguments.days:g} days that nothing needs: {len(runs)}; {done}\n")


if __name__ == "__main__":
    main()
