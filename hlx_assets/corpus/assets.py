"""The assets of the corpora: document → examples → english, hlx and paired corpus."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import ConfigDict

from hlx_assets.common import CORPUS_GROUP, OWNERS, markdown_metadata, user_errors
from hlx_assets.corpus.setting import setting_of_home, use
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.corpus import store
from hlx_model.corpus.build import read_documents
from hlx_model.corpus.documents import keep_documents, kept_documents
from hlx_model.corpus.gates import SHOWN
from hlx_model.corpus.setting import CorpusSetting
from hlx_model.corpus.statistics import statistics
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.model.device import device_of
from hlx_model.phases import CORPUS_OF_PHASE
from hlx_model.profiles import profile
from hlx_model.reporting.pages import statistics_markdown
from hlx_model.shown import one_line, shorten, show_unseen
from hlx_model.training.execution import ExecutionConfig
from hlx_model.training.forecast import forecast_of_phase
from hlx_model.training.plan import Overrides

_HIDDEN = {"value_sha256", "first_line", "last_line", "section", "document"}
"""Columns that only programs need."""


class CorpusDocumentConfig(dg.Config):
    """Which documents to read: the user's, composed entries, or both."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    corpus: str | None = None
    """Paths of corpus documents, with : between them, or composed. Default: $HLX_CORPUS, else what the home was last
    set to."""
    profile: str | None = None
    """quick or production. Default: $HLX_PROFILE, or quick."""
    entries: int | None = None
    """Entries to compose, beside the user's documents if there are any. Default: $HLX_ENTRIES, else as the home was set
    to; else none beside documents, and the profile's number if there are no documents."""
    seed: int | None = None
    """Seed of the composition. Default: as the home was set to, else the profile's."""


class CorpusExamplesConfig(dg.Config):
    """Settings for reading the documents."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    seq_length: int | None = None
    """Most tokens of an example; longer ones are left out. Default: the profile's."""


def chosen(before: CorpusSetting | None, config: CorpusDocumentConfig) -> CorpusSetting:
    """Return the setting of the corpus: of the run, else of the environment, else as it was before.

    Raises:
        ValueError: the number of entries is negative, or a variable is not valid.
    """
    setting = (before or CorpusSetting()).by_environment()
    setting = setting.changed(corpus=config.corpus, entries=config.entries, seed=config.seed)
    # The home has one profile. What another one composes for this run is composed again later.
    return setting if config.profile is None else setting.changed(entries=setting.to_compose(profile(config.profile)))


@dg.asset(group_name=CORPUS_GROUP, owners=OWNERS, code_version="2", kinds={"markdown"})
def corpus_document(context: dg.AssetExecutionContext, config: CorpusDocumentConfig) -> dg.MaterializeResult[Path]:
    """Keep the documents: the user's files (`HLX_CORPUS`), entries composed from a seed (`HLX_ENTRIES`), or both.

    The home remembers what it was set to. Their directory is named by the SHA-256 of their names and bytes.
    """
    with user_errors():
        before, own = setting_of_home(context.instance), profile(config.profile)
        setting = chosen(before, config)
        seed = own.seed if setting.seed is None else setting.seed
        paths, composed = list(map(Path, setting.documents)), setting.to_compose(own)
        directory = keep_documents(artifacts_at_home(), paths, composed=composed, seed=seed)
        use(context, before, setting)
    kept = kept_documents(directory)
    return dg.MaterializeResult(
        value=directory,
        data_version=dg.DataVersion(directory.name),
        metadata={
            "setting": str(setting),
            "documents": records_metadata([document.to_json() for document in kept], ("name", "source", "sha256")),
            "source": one_line("; ".join(document.source for document in kept)),
            "bytes": f"{sum(document.bytes for document in kept):,}",
        },
    )


@dg.asset(group_name=CORPUS_GROUP, owners=OWNERS, code_version="3", kinds={"parquet"})
def corpus_examples(corpus_document: Path, config: CorpusExamplesConfig) -> dg.MaterializeResult[Path]:
    """Keep one row an entry: its sentence, its value in the four formats, and its split, which is decided here once.

    An entry with any defect goes to quarantine whole, with its line and the reason; an example that is too long is left
    out alone.
    """
    seq_length = profile().seq_length if config.seq_length is None else config.seq_length
    with user_errors():
        examples, corpus = read_documents(artifacts_at_home(), corpus_document, seq_length=seq_length)
    readings = [asdict(reading) for reading in corpus.readings]
    return _materialized(
        examples,
        examples.directory,
        entries_read=corpus.entries_read,
        quarantined=len(corpus.quarantined),
        quarantine=quarantine_table(examples.directory),
        readings=records_metadata(readings, ("document", "line", "places", "reading")),
        statistics=markdown_metadata(statistics_markdown(statistics(store.load(examples))), "hlx corpus statistics"),
    )


def _derived(phase: int, description: str) -> dg.AssetsDefinition:
    asset = CORPUS_OF_PHASE[phase]

    @dg.asset(
        name=asset, group_name=CORPUS_GROUP, owners=OWNERS, code_version="2", kinds={"parquet"}, description=description
    )
    def derived(corpus_examples: Path) -> dg.MaterializeResult[Path]:
        with user_errors():
            artifacts, own, machine = artifacts_at_home(), profile(), ExecutionConfig(device_of())
            corpus = store.store_derived(artifacts, asset, corpus_examples)
            plan = forecast_of_phase(
                phase, corpus.directory, own, Overrides(), machine, artifacts.training, measure=False
            )
        return _materialized(corpus, corpus_examples, plan=f"with the profile {own.name}: {plan}")

    return derived


english_corpus = _derived(1, "What phase 1 learns from: each English sentence once.")
hlx_corpus = _derived(2, "What phase 2 learns from: each value once in each of the four formats.")
paired_corpus = _derived(3, "What phase 3 learns from: prompts and answers, English to HLX and back.")

assets = [corpus_document, corpus_examples, english_corpus, hlx_corpus, paired_corpus]


def quarantine_table(examples: Path) -> dg.TableMetadataValue:
    """Return the first quarantined entries of kept examples as a table for the UI."""
    return failing_table(store.quarantined(examples).slice(0, SHOWN).to_pylist())


def failing_table(rows: Iterable[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Return rows or entries that break a rule as a table for the UI."""
    named = [{**row, "English": row["english"]} for row in rows]
    return records_metadata(named, ("document", "line", "English", "reason", "found", "rule"))


def records_metadata(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> dg.TableMetadataValue:
    """Return rows as a table for the UI, with these columns."""
    names = tuple(columns)
    records = [dg.TableRecord({name: _cell(row[name]) for name in names}) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema([dg.TableColumn(name, "string") for name in names]))


def _cell(value: object) -> str:
    return "" if value is None else show_unseen(shorten(str(value), 200))


def _materialized(corpus: VerifiedCorpus, examples: Path, **metadata: Any) -> dg.MaterializeResult[Path]:
    """Return what an asset that made a corpus returns; the sample has the lines that these examples have."""
    rows = store.with_places(store.slices(corpus), corpus.directory, examples)
    sample = [row for batch in islice(rows, 1) for row in batch.slice(0, 8).to_pylist()]
    shown = [name for name in (sample[0] if sample else ()) if name not in _HIDDEN]
    metadata |= {"dagster/row_count": corpus.rows, "splits": dict(corpus.splits)}
    metadata["sample"] = records_metadata(sample, shown)
    version = dg.DataVersion(corpus.version)
    return dg.MaterializeResult(value=corpus.directory, data_version=version, metadata=metadata)
