"""phase3_baselines: the held-out rows and the evaluation, asked of other models, beside what ours answers.

It is in the graph only if `HLX_BASELINES` names models, and in no job: a person materializes it. It is no gate.
"""

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ConfigDict, Field

from hlx_assets.common import BASELINES_GROUP, OWNERS, PROVIDERS_POOL, user_errors
from hlx_assets.home import home_directory
from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.settings import DagsterEnvironment
from hlx_model.baselines.compare import MAX_TOKENS, SENTENCES, Comparison, compare
from hlx_model.baselines.own import own_cost
from hlx_model.files import digest_of
from hlx_model.layout import BASELINES, BASELINES_SAMPLE, EVALUATION
from hlx_model.model.device import device_of
from hlx_model.phases import PHASES
from hlx_model.provenance.evaluations import current_examples
from hlx_model.providers.catalogue import choice_named
from hlx_model.providers.files import ProviderFiles
from hlx_model.reporting.pages import baselines_markdown

PHASE = PHASES[3]


class BaselinesConfig(dg.Config):
    """What is compared, and what our machine costs."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    sample: int = Field(default=SENTENCES, ge=1, le=1000)
    """Sentences of the test rows, and as many of the evaluation; each is asked in every format."""
    max_tokens: int = Field(default=MAX_TOKENS, ge=64, le=32_000)
    """Of an answer, its reasoning included. Together with the price it decides what is reserved for a call."""
    usd_per_hour: float | None = None
    """Rent of this machine in dollars, for the cost of our model."""
    watts: float | None = None
    """Its power instead, with usd_per_kwh."""
    usd_per_kwh: float | None = None
    """Price of electricity in dollars."""
    device: str | None = None
    """Of our model: cpu or cuda. Default: cuda if there is a GPU."""


def assets(environment: DagsterEnvironment) -> list[dg.AssetsDefinition]:
    """Return the asset `phase3_baselines` if `HLX_BASELINES` names models; else nothing."""
    return [_baselines(environment.baselines)] if environment.baselines else []


def _baselines(models: tuple[str, ...]) -> dg.AssetsDefinition:
    @dg.asset(
        name="phase3_baselines",
        ins={"checkpoint": dg.AssetIn(PHASE.checkpoint_asset)},
        # Not loaded: the manifest names the corpus, and the latest examples that passed are used.
        deps=[dg.AssetDep(PHASE.corpus), dg.AssetDep(EVALUATION)],
        group_name=BASELINES_GROUP,
        owners=OWNERS,
        kinds={"json"},
        pool=PROVIDERS_POOL,
        code_version="1",
        description=f"What {', '.join(models)} translate of the rows that phase 3 is evaluated on. No gate reads it. "
        "Asking costs money, up to the caps of `hlx costs`; an answer is kept, and costs nothing again.",
    )
    def baselines(
        context: dg.AssetExecutionContext, config: BaselinesConfig, checkpoint: Path
    ) -> dg.MaterializeResult[Path]:
        # A graph without this asset, or that does not run it, loads nothing of it.
        from hlx_model.providers.client import ProviderClient
        from hlx_model.providers.prices import price_of

        with user_errors():
            files = ProviderFiles.of_home(home_directory())
            choices = dict.fromkeys(choice_named(model, "HLX_BASELINES") for model in models)
            cost = own_cost(config.usd_per_hour, config.watts, config.usd_per_kwh)
            made = compare(
                checkpoint, ProviderClient(files), list(choices), lambda choice: price_of(choice, files),
                current_examples(artifacts_at_home().root), cost,
                sentences=config.sample, max_tokens=config.max_tokens, device=device_of(config.device),
                session=context.run.run_id,
            )  # fmt: skip
        for model in made.baselines.models:
            if model.note:
                context.log.warning(f"{model.name}: ended after {model.samples} rows: {model.note}")
        figures = [model.to_json()["all_to_hlx"] for model in made.baselines.models]
        return dg.MaterializeResult(
            value=made.directory, data_version=dg.DataVersion(digest_of(figures)), metadata=_metadata(made)
        )

    return baselines


def _metadata(made: Comparison) -> dict[str, Any]:
    """Return what Dagster shows: the tables, the files, and the rates that it plots."""
    plotted = {
        f"right on held-out rows, {'ours' if model.own else model.name} (share)": rates.exact_match
        for model in made.baselines.models
        if (rates := model.all_to_hlx.get("held-out")) is not None
    }
    return {
        "table": dg.MetadataValue.md(baselines_markdown(made.baselines)),
        "file": dg.MetadataValue.path(made.directory / BASELINES),
        "sample": dg.MetadataValue.path(made.directory / BASELINES_SAMPLE),
        "page": f"the report on phase 3 shows it when it is made again: materialize {PHASE.report_asset}",
        **plotted,
    }
