"""evaluation_document → evaluation_examples: what models that translate are evaluated on, and never trained.

Their checks block nothing. A report uses the latest examples that passed, and says so if these are not the newest.
"""

from pathlib import Path

import dagster as dg
from pydantic import ConfigDict

from hlx_assets.common import OWNERS, VALIDATION_GROUP, user_errors
from hlx_assets.corpus.assets import quarantine_table, records_metadata
from hlx_assets.corpus.checks import corpus_check, coverage_result, quarantine_result, schema_result
from hlx_assets.corpus.setting import setting_of_home, use
from hlx_assets.io_manager import artifacts_at_home
from hlx_model.corpus import store
from hlx_model.corpus.documents import kept_documents, unreadable_documents
from hlx_model.corpus.gates import COVERAGE, QUARANTINED, SCHEMA
from hlx_model.corpus.setting import CorpusSetting
from hlx_model.environment import MOST_QUARANTINED
from hlx_model.evaluation.documents import DEFAULT, keep_documents, keep_examples
from hlx_model.layout import EVALUATION
from hlx_model.shown import one_line

READABLE = "readable"
_SHOWN = ("document", "line", "section", "english", "HLXL")


class EvaluationDocumentConfig(dg.Config):
    """Which documents to evaluate on."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    eval: str | None = None
    """Paths of evaluation documents, with : between them, or default: the document of this project, which is for models
    that learned composed entries. Default: $HLX_EVAL, else what the home was last set to."""


@dg.asset(group_name=VALIDATION_GROUP, owners=OWNERS, code_version="1", kinds={"markdown"})
def evaluation_document(
    context: dg.AssetExecutionContext, config: EvaluationDocumentConfig
) -> dg.MaterializeResult[Path]:
    """Keep the evaluation documents (`HLX_EVAL`, or the project's own): sentences that no model is trained on.

    The home remembers what it was set to. One that cannot be read fails the check `readable` and stops nothing.
    """
    with user_errors():
        before = setting_of_home(context.instance)
        # The rest of the setting changes with the corpus alone.
        evaluation = (before or CorpusSetting()).by_environment().changed(evaluation=config.eval).evaluation
        setting = (before or CorpusSetting()).replace(evaluation=evaluation)
        directory = keep_documents(artifacts_at_home(), [*map(Path, evaluation)] or [DEFAULT])
        if before is not None or evaluation:
            use(context, before, setting)
    kept = [document.to_json() for document in kept_documents(directory)]
    return dg.MaterializeResult(
        value=directory,
        data_version=dg.DataVersion(directory.name),
        metadata={
            "documents": records_metadata(kept, ("name", "source", "sha256")),
            "unreadable": one_line("; ".join(one.reason for one in unreadable_documents(directory)) or "none"),
        },
    )


@dg.asset(group_name=VALIDATION_GROUP, owners=OWNERS, code_version="1", kinds={"parquet"})
def evaluation_examples(evaluation_document: Path) -> dg.MaterializeResult[Path]:
    """Keep a row for each right value of a sentence: its document, line and section, and the value in four formats.

    An entry with a defect goes to quarantine, with its line and the reason, and so does a document without sentences.
    """
    with user_errors():
        examples = keep_examples(artifacts_at_home(), evaluation_document)
    rows = store.load(examples)
    sentences = rows.select(["document", "english"]).group_by(["document", "english"]).aggregate([])
    return dg.MaterializeResult(
        value=examples.directory,
        data_version=dg.DataVersion(examples.version),
        metadata={
            "dagster/row_count": examples.rows,
            "sentences": sentences.num_rows,
            "quarantined": store.quarantined(examples.directory).num_rows,
            "quarantine": quarantine_table(examples.directory),
            "sample": records_metadata(rows.slice(0, 8).to_pylist(), _SHOWN),
        },
    )


@dg.asset_check(
    asset=evaluation_document, name=READABLE, description="Every document can be read and has something like an entry."
)
def readable(evaluation_document: Path) -> dg.AssetCheckResult:
    """Return whether every document could be read."""
    unreadable = unreadable_documents(evaluation_document)
    said = one_line("; ".join(one.reason for one in unreadable))
    return dg.AssetCheckResult(
        passed=not unreadable,
        description=said or f"{len(kept_documents(evaluation_document))} documents",
        metadata={"unreadable": records_metadata([one.to_json() for one in unreadable], ("name", "reason"))},
    )


_SCHEMA = f"Every row keeps the rules of the pandera schema {EVALUATION}."
_COVERAGE = "There are enough sentences to evaluate on."
_QUARANTINE = f"At most {MOST_QUARANTINED:.0%} of each document's entries (HLX_MOST_QUARANTINED) are in quarantine."

assets = [evaluation_document, evaluation_examples]
checks = [
    readable,
    corpus_check(evaluation_examples, SCHEMA, schema_result, _SCHEMA, blocking=False),
    corpus_check(evaluation_examples, COVERAGE, coverage_result, _COVERAGE, blocking=False),
    corpus_check(evaluation_examples, QUARANTINED, quarantine_result, _QUARANTINE, blocking=False),
]
