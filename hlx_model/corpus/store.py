"""Corpora on disk: one directory a version, named by the SHA-256 of its rows.

corpora/corpus_examples/<data version>/rows.parquet, quarantine.parquet
corpora/english_corpus/<data version>/rows.parquet          and so hlx_corpus, paired_corpus
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hlx_model.artifacts import Artifacts, new_directory
from hlx_model.corpus.document import CorpusError, Document, read_document
from hlx_model.corpus.tables import (
    data_version,
    english_table,
    examples_table,
    hlx_table,
    paired_table,
    quarantine_table,
)

ROWS, QUARANTINE = "rows.parquet", "quarantine.parquet"
CORPUS_OF_PHASE = {1: "english_corpus", 2: "hlx_corpus", 3: "paired_corpus"}
TABLE_OF = {"english_corpus": english_table, "hlx_corpus": hlx_table, "paired_corpus": paired_table}


def store(artifacts: Artifacts, asset: str, rows: pa.Table, quarantine: pa.Table | None = None) -> Path:
    """Keep a version of a corpus and return its directory; a version that is kept already stays."""
    directory = artifacts.corpus(asset, data_version(rows))
    if (directory / ROWS).exists():
        return directory
    with new_directory(directory) as temporary:
        if quarantine is not None:
            pq.write_table(quarantine, temporary / QUARANTINE)
        pq.write_table(rows, temporary / ROWS)
    return directory


def load(directory: Path) -> pa.Table:
    """The rows of a kept version; `CorpusError` where they are missing or not those of its name."""
    path = directory / ROWS
    if not path.is_file():
        raise CorpusError(f"{directory}: no corpus is kept here ({ROWS} is missing): materialize it again")
    try:
        rows = pq.read_table(path)
    except pa.ArrowInvalid as error:
        raise CorpusError(f"{path}: not a Parquet file ({str(error).splitlines()[0]}): materialize it again") from None
    if data_version(rows) != directory.name:
        raise CorpusError(f"{path}: its rows are not those of version {directory.name[:12]}: materialize it again")
    return rows


def build(
    documents: Sequence[Path], artifacts: Artifacts, *, seq_length: int
) -> tuple[dict[str, Path], list[Document]]:
    """Read documents, split them and keep every corpus; what Dagster does asset by asset, at once.

    Returns the directories by asset name, and what was read. Raises `CorpusError`.
    """
    read = [read_document(path, seq_length=seq_length) for path in documents]
    examples = examples_table(read)
    kept = {"corpus_examples": store(artifacts, "corpus_examples", examples, quarantine_table(read))}
    kept |= {asset: store(artifacts, asset, table(examples)) for asset, table in TABLE_OF.items()}
    return kept, read


def model_texts(rows: pa.Table, *splits: str) -> list[str]:
    """The texts that a model sees of these rows, in their order: of the named splits, or of all."""
    columns = rows.column_names
    if "prompt" in columns:
        texts = [p + a for p, a in zip(rows["prompt"].to_pylist(), rows["answer"].to_pylist(), strict=True)]
    else:
        texts = rows["english" if "english" in columns else "text"].to_pylist()
    if not splits:
        return texts
    return [text for text, split in zip(texts, rows["split"].to_pylist(), strict=True) if split in splits]
