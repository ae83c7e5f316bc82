"""document → examples → english, hlx and paired corpus."""

import hashlib
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from hlx_assets.artifacts import artifacts_at_home
from hlx_assets.common import CORPUS_GROUP, OWNERS, user_errors
from hlx_model.artifacts import new_directory, read_json, write_bytes, write_json
from hlx_model.corpus import compose, examples_table, parse_document, quarantine_table, read_document
from hlx_model.corpus import store as corpora
from hlx_model.profiles import profile

DOCUMENT, SOURCE = "document.md", "source.json"


class CorpusDocumentConfig(dg.Config):
    """Which document: the user's, or a composed one."""

    corpus: str | None = Field(
        default=None,
        description="Path of a corpus document. Default: $HLX_CORPUS; without it, one is composed.",
    )
    profile: str | None = Field(default=None, description="quick or production. Default: $HLX_PROFILE, or quick.")
    entries: int | None = Field(default=None, description="Entries to compose. Default: the profile's.")
    seed: int | None = Field(default=None, description="Seed of the composition. Default: the profile's.")


class CorpusExamplesConfig(dg.Config):
    """How long an example may be."""

    seq_length: int | None = Field(
        default=None,
        description="Most tokens of an example; longer ones are quarantined. Default: the profile's.",
    )


@dg.asset(
    group_name=CORPUS_GROUP,
    owners=OWNERS,
    kinds={"markdown"},
    code_version="1",
    description="The corpus document as it was read: the user's file (`HLX_CORPUS`), or one composed from a seed.",
)
def corpus_document(config: CorpusDocumentConfig) -> dg.MaterializeResult[Path]:
    """Keep a copy of the document, named by the SHA-256 of its bytes."""
    with user_errors():
        named = config.corpus or os.environ.get("HLX_CORPUS")
        if named:
            content, source = (
                _read(Path(named)),
                {"name": Path(named).name, "source": str(Path(named).absolute())},
            )
        else:
            defaults = profile(config.profile)
            entries = defaults.entries if config.entries is None else config.entries
            seed = defaults.seed if config.seed is None else config.seed
            content = compose(entries, seed).encode()
            source = {
                "name": f"composed-{entries}-seed-{seed}.md",
                "source": f"composed: {entries} entries, seed {seed}",
            }
    version = hashlib.sha256(content).hexdigest()
    directory = artifacts_at_home().corpus("corpus_document", version)
    if not (directory / DOCUMENT).exists():
        with new_directory(directory) as temporary:
            write_json(temporary / SOURCE, source)
            write_bytes(temporary / DOCUMENT, content)
    return dg.MaterializeResult(
        value=directory,
        data_version=dg.DataVersion(version),
        metadata={**source, "bytes": len(content), "sha256": version},
    )


def _read(path: Path) -> bytes:
    """The bytes of a document that has something to train on; `CorpusError` otherwise."""
    read_document(path)
    return path.read_bytes()


@dg.asset(
    group_name=CORPUS_GROUP,
    owners=OWNERS,
    kinds={"parquet"},
    code_version="1",
    description="One row an entry: its sentence, its value in the four formats, and its split, decided here once.",
)
def corpus_examples(corpus_document: Path, config: CorpusExamplesConfig) -> dg.MaterializeResult[Path]:
    """Read the document; bad entries are set aside whole, with their line and reason."""
    seq_length = profile().seq_length if config.seq_length is None else config.seq_length
    source = read_json(corpus_document / SOURCE)
    with user_errors():
        text = (corpus_document / DOCUMENT).read_text(encoding="utf-8")
        document = parse_document(text, source["name"], seq_length=seq_length)
        rows, quarantined = examples_table([document]), quarantine_table([document])
        directory = corpora.store(artifacts_at_home(), "corpus_examples", rows, quarantined)
    metadata: dict[str, Any] = {
        "entries_read": document.entries_read,
        "quarantined": quarantined.num_rows,
        "respelled": document.respelled,
        "splits": dict(sorted(_counts(rows, "split").items())),
        "sections": {name or "-": count for name, count in sorted(_counts(rows, "section").items())},
        "quarantine": table_metadata(quarantined),
    }
    return _materialized(directory, rows, metadata)


def _split(asset: str, description: str) -> dg.AssetsDefinition:
    @dg.asset(
        name=asset,
        group_name=CORPUS_GROUP,
        owners=OWNERS,
        kinds={"parquet"},
        code_version="1",
        description=description,
    )
    def split(corpus_examples: Path) -> dg.MaterializeResult[Path]:
        with user_errors():
            rows = corpora.TABLE_OF[asset](corpora.load(corpus_examples))
            directory = corpora.store(artifacts_at_home(), asset, rows)
        return _materialized(directory, rows, {"splits": dict(sorted(_counts(rows, "split").items()))})

    return split


english_corpus = _split("english_corpus", "What phase 1 learns from: each English sentence once.")
hlx_corpus = _split("hlx_corpus", "What phase 2 learns from: each value once in each of the four formats.")
paired_corpus = _split("paired_corpus", "What phase 3 learns from: prompts and answers, English to HLX and back.")

assets = [corpus_document, corpus_examples, english_corpus, hlx_corpus, paired_corpus]


def quarantine_of(corpus_examples: Path) -> pa.Table:
    """The entries that were set aside: document, line, english, reason."""
    return pq.read_table(corpus_examples / corpora.QUARANTINE)


def table_metadata(table: pa.Table, limit: int = 25) -> dg.TableMetadataValue:
    """The first rows of a table, for the UI."""
    records = [dg.TableRecord({k: _cell(v) for k, v in row.items()}) for row in table.slice(0, limit).to_pylist()]
    columns = [dg.TableColumn(name, "string") for name in table.column_names]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def _cell(value: object) -> str:
    return str(value)[:200]


def _counts(table: pa.Table, column: str) -> dict[str, int]:
    return {row["values"]: row["counts"] for row in table[column].value_counts().to_pylist()}


def _materialized(directory: Path, rows: pa.Table, metadata: dict[str, Any]) -> dg.MaterializeResult[Path]:
    return dg.MaterializeResult(
        value=directory,
        data_version=dg.DataVersion(directory.name),
        metadata={"dagster/row_count": rows.num_rows, "sample": table_metadata(rows, 8), **metadata},
    )
