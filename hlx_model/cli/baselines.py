"""`hlx baselines`: how well other models translate the rows that a checkpoint is evaluated on."""

from typing import Annotated

from typer import Argument

from hlx_model.cli.options import NAMED, AsJson, Directory, training_folder
from hlx_model.cli.show import echo, echo_json, print_table
from hlx_model.layout import BASELINES, BASELINES_SAMPLE, Artifacts
from hlx_model.provenance.lookup import checkpoint_of
from hlx_model.reporting.baselines import BaselineModel, Baselines
from hlx_model.reporting.numbers import NOTHING, format_interval, format_number, format_percent


def baselines_command(
    named: Annotated[str, Argument(help=NAMED)] = "phase3_checkpoint",
    checkpoint_dir: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Show how well other models translate, beside ours.

    On the same test rows and sentences of the evaluation. It asks nobody: the asset phase3_baselines does, if
    HLX_BASELINES names models.
    """
    checkpoint = checkpoint_of(named, training_folder(checkpoint_dir, required=False))
    directory = Artifacts.of_checkpoint(checkpoint).baselines(checkpoint)
    if not (directory / BASELINES).exists():
        raise ValueError(
            f"{checkpoint.name} was not compared with other models: set HLX_BASELINES, and materialize phase3_baselines"
        )
    found = Baselines.read(directory / BASELINES)
    if as_json:
        echo_json(found.to_json())
        return
    print_table([row for model in found.models for row in _rows(model)])
    for model in found.models:
        if model.note:
            echo(f"{model.name} has {model.samples:,} rows: {model.note}")
    echo(f"cost of ours: {found.own_cost}")
    if found.evaluation_note:
        echo(found.evaluation_note)
    echo(f"for Inspect: {directory / BASELINES_SAMPLE}")


def _rows(model: BaselineModel) -> list[dict[str, object]]:
    figures = {"seconds": format_number(model.median_seconds), "1,000 cost": model.cost_per_1000 or NOTHING}
    return [
        {
            "model": model.name, "rows": source, "strict": format_percent(rates.exact_match),
            "interval": format_interval(rates.exact_match_interval), "lenient": format_percent(rates.value_match),
            "parses": format_percent(rates.parse_rate), "samples": f"{rates.samples:,}", **figures,
        }
        for source, rates in model.all_to_hlx.items()
    ]  # fmt: skip
