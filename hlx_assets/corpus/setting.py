"""The corpus setting of a home in Dagster: what the assets read, and what `make ui` applies when it starts."""

import os
from pathlib import Path

import dagster as dg

from hlx_assets.io_manager import artifacts_at_home, latest_path
from hlx_model.corpus.documents import StoredDocument, kept_documents
from hlx_model.corpus.setting import CorpusSetting, remember, remembered
from hlx_model.layout import DOCUMENT, EVALUATION_DOCUMENT

VARIABLES = ("HLX_CORPUS", "HLX_ENTRIES", "HLX_EVAL")
"""The environment variables that change it."""


def setting_of_home(instance: dg.DagsterInstance) -> CorpusSetting | None:
    """Return the setting of the home; of a home without one what its documents were last made from; else None.

    Raises:
        ValueError: the file of the setting is damaged.
    """
    if setting := remembered(artifacts_at_home()):
        return setting
    corpus, evaluation = _kept(instance, DOCUMENT), _kept(instance, EVALUATION_DOCUMENT)
    composed = next((document for document in corpus if document.entries), None)
    found = CorpusSetting(
        documents=tuple(document.source for document in corpus if not document.entries),
        entries=composed.entries if composed else None,
        seed=composed.seed if composed else None,
        evaluation=tuple(document.source for document in evaluation if Path(document.source).is_absolute()),
    )
    return found if corpus or evaluation else None


def _kept(instance: dg.DagsterInstance, asset: str) -> tuple[StoredDocument, ...]:
    try:
        return kept_documents(latest_path(instance, dg.AssetKey(asset)))
    except (dg.Failure, OSError, ValueError):
        return ()  # never made, or gone


def use(context: dg.AssetExecutionContext, before: CorpusSetting | None, setting: CorpusSetting) -> None:
    """Remember a setting that was used, and warn if it is not the one that the home had before."""
    if before is not None and before != setting:
        context.log.warning(f"the corpus of this home has changed: it was {before}; it is {setting}")
    remember(artifacts_at_home(), setting)


def apply_environment(instance: dg.DagsterInstance) -> str | None:
    """Let the environment change the setting once, and unset its variables: from then on the setting alone counts.

    Returns:
        One line if the setting has changed.

    Raises:
        ValueError: a document cannot be used; then nothing is changed.
    """
    before = setting_of_home(instance) or CorpusSetting()
    setting = before.by_environment()
    named = [name for name in VARIABLES if os.environ.pop(name, "").strip()]
    if named:
        remember(artifacts_at_home(), setting.require_usable())
    return f"the corpus of this home was {before}; it is {setting}" if setting != before else None
