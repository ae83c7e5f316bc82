"""teacher_requests → teacher_proposals → teacher_document: other English sentences for values of the corpus.

They are in the graph only if `HLX_TEACHER` names a model, and in no job: a person materializes them. What comes out is
one more corpus document, which a person adds to the corpus.
"""

from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ConfigDict, Field

from hlx_assets.common import OWNERS, PROVIDERS_POOL, TEACHING_GROUP, user_errors
from hlx_assets.corpus.assets import records_metadata
from hlx_assets.home import home_directory
from hlx_assets.io_manager import artifacts_at_home
from hlx_assets.settings import DagsterEnvironment
from hlx_model.corpus import data_version, store
from hlx_model.files import new_directory, read_json, write_json
from hlx_model.layout import (
    QUESTIONS,
    ROWS,
    TAUGHT,
    TEACHER_PROPOSALS,
    TEACHER_REQUESTS,
    WRITTEN,
)
from hlx_model.money import dollars
from hlx_model.provenance.evaluations import current_examples
from hlx_model.providers.catalogue import choice_named
from hlx_model.providers.files import ProviderFiles
from hlx_model.providers.question import Outcome
from hlx_model.teaching.admission import Refusal, admit, read_again
from hlx_model.teaching.proposals import judge, propose
from hlx_model.teaching.requests import Known, requests_table
from hlx_model.teaching.written import AskedQuestion, Written, document_lines, names_of_written, write_document

SHOWN = 20
"""Rows that Dagster shows."""


class TeacherConfig(dg.Config):
    """How much a teacher is asked."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    entries: int | None = Field(default=None, ge=1)
    """Values to ask for. Default: $HLX_TEACHER_ENTRIES, or 200."""


def assets(environment: DagsterEnvironment) -> list[dg.AssetsDefinition]:
    """Return the assets of a teacher if `HLX_TEACHER` names one; else nothing."""
    if environment.teacher is None:
        return []
    teacher, judging = environment.teacher, environment.teacher_judge

    @dg.asset(
        group_name=TEACHING_GROUP, owners=OWNERS, code_version="1", kinds={"parquet"},
        description=f"Values that models learn, each with a sentence of it: what {teacher} is asked for.",
    )  # fmt: skip
    def teacher_requests(corpus_examples: Path, config: TeacherConfig) -> dg.MaterializeResult[Path]:
        with user_errors():
            rows, names, evaluation = _known(corpus_examples)
            entries = config.entries or environment.teacher_entries
            table = requests_table(rows, entries, names, evaluation)
            if not table.num_rows:
                raise ValueError("the corpus has no value with a sentence to ask for")
            directory = _keep(TEACHER_REQUESTS, table)
        return _made(directory, values=table.num_rows, sample=_sample(table))

    @dg.asset(
        group_name=TEACHING_GROUP, owners=OWNERS, code_version="1", kinds={"parquet"}, pool=PROVIDERS_POOL,
        description=f"What {teacher} wrote, as it is. Asking may cost money, up to the caps of `hlx costs`; an answer "
        "is kept, and costs nothing again.",
    )  # fmt: skip
    def teacher_proposals(context: dg.AssetExecutionContext, teacher_requests: Path) -> dg.MaterializeResult[Path]:
        # A graph without a teacher loads nothing of it.
        from hlx_model.providers.client import ProviderClient
        from hlx_model.providers.replies import kept_cost

        with user_errors():
            files = ProviderFiles.of_home(home_directory())

            def cost_of(outcome: Outcome) -> int:
                return kept_cost(files, outcome)

            table, questions = propose(
                ProviderClient(files), choice_named(teacher, "HLX_TEACHER"), pq.read_table(teacher_requests / ROWS),
                cost_of=cost_of, session=context.run.run_id,
            )  # fmt: skip
            asked = {digest: question.to_json() for digest, question in questions.items()}
            directory = _keep(TEACHER_PROPOSALS, table, asked)
        cost = sum(question.cost_nanodollars for question in questions.values())
        return _made(
            directory, sentences=table.num_rows - table["english"].null_count, questions=len(questions),
            cost=dollars(cost), sample=_sample(table),
        )  # fmt: skip

    @dg.asset(
        group_name=TEACHING_GROUP, owners=OWNERS, code_version="1", kinds={"markdown"}, pool=PROVIDERS_POOL,
        description="The sentences of the teacher that keep every rule, as a corpus document; the others are in "
        "quarantine, with the reason.",
    )  # fmt: skip
    def teacher_document(
        context: dg.AssetExecutionContext, teacher_proposals: Path, corpus_examples: Path
    ) -> dg.MaterializeResult[Path]:
        from hlx_model.providers.client import ProviderClient

        with user_errors():
            rows, names, evaluation = _known(corpus_examples)
            proposals = pq.read_table(teacher_proposals / ROWS).to_pylist()
            admitted, refused = admit(proposals, Known.of(rows, names, evaluation))
            admitted, unreadable = read_again(admitted, document_lines)
            refused += unreadable
            if judging and admitted:
                client = ProviderClient(ProviderFiles.of_home(home_directory()))
                other = list(judge(client, choice_named(judging, "HLX_TEACHER_JUDGE"), admitted, context.run.run_id))
                refused += [Refusal(*one) for one in other]
                no = {row["id"] for row, _ in other}
                admitted = [row for row in admitted if row["id"] not in no]
            asked = _questions(teacher_proposals)
            directory = write_document(artifacts_at_home(), admitted, refused, asked, judging)
        quarantine = [{**row, "reason": reason} for row, reason in refused][:SHOWN]
        return _made(
            directory, sentences=len(admitted), quarantined=len(refused),
            add_it=f"make curriculum CORPUS=YOUR_DOCUMENTS:{directory / TAUGHT}",
            quarantine=records_metadata(quarantine, ("english", "HLXL", "reason")),
        )  # fmt: skip

    return [teacher_requests, teacher_proposals, teacher_document]


def written_of(directory: Path) -> Written:
    """Return who wrote what of the document in a directory of `teacher_document`; `ValueError` if it is damaged."""
    return Written.read(directory / WRITTEN)


def _known(corpus_examples: Path) -> tuple[pa.Table, frozenset[str], pa.Table | None]:
    """Return the rows of the examples, the names of the documents that a teacher wrote, and the evaluation."""
    artifacts = artifacts_at_home()
    evaluation = current_examples(artifacts.root).directory
    names = names_of_written(artifacts, store.sources_of(corpus_examples))
    return store.load(corpus_examples), names, store.load(evaluation) if evaluation else None


def _keep(asset: str, table: pa.Table, questions: dict[str, Any] | None = None) -> Path:
    target = artifacts_at_home().corpus(asset, data_version(table))
    with new_directory(target, keep=lambda folder: (folder / ROWS).is_file()) as made:
        pq.write_table(table, made / ROWS)
        if questions is not None:
            write_json(made / QUESTIONS, questions)
    return target


def _questions(directory: Path) -> dict[str, AskedQuestion]:
    return {digest: AskedQuestion.from_json(question) for digest, question in read_json(directory / QUESTIONS).items()}


def _sample(table: pa.Table) -> dg.TableMetadataValue:
    columns = [name for name in table.column_names if name not in ("value_sha256", "question")]
    return records_metadata(table.slice(0, SHOWN).to_pylist(), columns)


def _made(directory: Path, **metadata: Any) -> dg.MaterializeResult[Path]:
    return dg.MaterializeResult(value=directory, data_version=dg.DataVersion(directory.name), metadata=metadata)
