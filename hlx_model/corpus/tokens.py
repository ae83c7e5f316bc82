"""The texts of a corpus as token ids: one array for all of them, and no Python object for a text until it is read.

    corpora/paired_corpus/<data version>/tokens-<SHA-256>.bin

The ids of a large corpus are encoded from Arrow's buffers, written once beside its rows, and mapped into memory, so
that the system can drop them and read them again. The file has the ids of every row (uint8: `<BOS>`, the text,
`<EOS>`), zeros up to a multiple of 8 bytes, the offset of each row, and the end of the last one (int64, little-endian).

Its name is the SHA-256 of this content, of the version of the rows and of the vocabulary. It is verified each time it
is opened. One that is damaged, or of other rows, is never used: it is made again.
"""

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from hlx_model.corpus import store
from hlx_model.corpus.ahead import ahead
from hlx_model.corpus.store import VerifiedCorpus
from hlx_model.corpus.tables import TEXTS, max_tokens_of, text_column
from hlx_model.files import staging, write_bytes
from hlx_model.layout import ROWS, TOKENS
from hlx_model.model.tokenizer import (
    BOS,
    BOS_BYTE,
    EOS,
    EOS_BYTE,
    SYMBOLS,
    VOCABULARY_SHA256,
    encode_array,
    encode_utf8,
)

log = logging.getLogger(__name__)

LARGE = 1 << 24
"""Tokens from which a corpus gets a file: encoding fewer takes less than half a second, and 16 MiB of memory."""
_FORMAT = 1
"""Raised by hand if the content of the file changes for the same rows."""
_ALIGNED = 8
_MARKS = 2
"""`<BOS>` and `<EOS>`."""


class Texts(Sequence[str]):
    """Texts as token ids: a sequence of strings, each decoded when it is read.

    Args:
        ids: token ids (tokens,) of all texts, and of others.
        starts: where each text begins in `ids` (texts,), with `<BOS>`.
        lengths: tokens of each text (texts,), `<BOS>` and `<EOS>` included.
    """

    def __init__(self, ids: NDArray[np.uint8], starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> None:
        self.ids, self.starts, self.lengths = ids, starts, lengths

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Texts":
        """Encode texts; unknown characters become `<UNK>`."""
        ids, lengths = framed("".join(texts), np.fromiter(map(len, texts), np.int64, len(texts)))
        return cls(ids, np.cumsum(lengths) - lengths, lengths)

    @property
    def characters(self) -> int:
        """Return the number of characters of all texts."""
        return int(self.lengths.sum()) - _MARKS * len(self)

    def repeated(self, times: int, others: "Texts") -> "Texts":
        """Return these texts so many times, then others of the same ids."""
        assert self.ids is others.ids
        starts = np.concatenate([np.tile(self.starts, times), others.starts])
        return Texts(self.ids, starts, np.concatenate([np.tile(self.lengths, times), others.lengths]))

    def __len__(self) -> int:
        return len(self.starts)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Texts": ...
    def __getitem__(self, index: int | slice) -> "str | Texts":
        if isinstance(index, slice):
            return Texts(self.ids, self.starts[index], self.lengths[index])
        start, length = int(self.starts[index]), int(self.lengths[index])
        return "".join(map(SYMBOLS.__getitem__, self.ids[start + 1 : start + length - 1].tolist()))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Texts):
            return NotImplemented
        return np.array_equal(self.lengths, other.lengths) and all(map(str.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]


def framed(text: str, lengths: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Encode texts that follow each other in `text`.

    Args:
        text: all of them.
        lengths: the characters of each (texts,).

    Returns:
        The token ids of all, each text between `<BOS>` and `<EOS>`; and the tokens of each (texts,).
    """
    tokens = lengths + _MARKS
    ends = np.cumsum(tokens)
    ids = np.empty(len(text) + _MARKS * len(lengths), np.uint8)
    inside = np.ones(len(ids), bool)
    inside[ends - 1] = inside[ends - tokens] = False
    ids[inside] = encode_array(text)
    ids[ends - tokens], ids[ends - 1] = BOS, EOS
    return ids, tokens


@dataclass(frozen=True)
class CorpusTexts:
    """The texts that a model sees of a corpus."""

    texts: Texts
    """Of all rows, in their order."""
    sha256: str | None
    """The SHA-256 in the name of the token file; None if there is none."""
    columns: pa.Table
    """`split` and `document` of each row."""
    max_tokens: int | None
    """Texts with more tokens are left out; None if there are none."""

    def of(self, split: str, documents: Iterable[str] | None = None, *, others: bool = False) -> Texts:
        """Return the texts of a split that are not left out, in the order of the rows.

        Args:
            split: `train`, `validation` or `test`.
            documents: only the rows of these documents.
            others: only the rows of all other documents instead.
        """
        wanted = _one_of(self.columns["split"], {split})
        if documents is not None:
            wanted &= _one_of(self.columns["document"], set(documents)) != others
        texts = self.texts
        if self.max_tokens is not None:
            wanted &= texts.lengths <= self.max_tokens
        return Texts(texts.ids, texts.starts[wanted], texts.lengths[wanted])


def corpus_texts(corpus: VerifiedCorpus, large: int | None = None) -> CorpusTexts:
    """Return the texts of a kept corpus: from its token file, which is written if it is missing or damaged.

    If the file cannot be written (a read-only or full disk), the ids are kept in memory.

    Args:
        corpus: the corpus; its directory gets the file.
        large: tokens from which it gets one; by default `LARGE`.

    Raises:
        CorpusError: its rows cannot be read.
    """
    path = corpus.directory / ROWS
    names = ["split", "document"]
    columns = corpus.table.select(names) if corpus.table is not None else pq.read_table(
        path, columns=names, read_dictionary=names
    )  # fmt: skip
    schema = pq.read_schema(path) if corpus.table is None else corpus.table.schema
    ids, offsets, sha256 = _read(corpus, columns.num_rows) or _made(corpus, LARGE if large is None else large)
    texts = Texts(ids, offsets[:-1], np.diff(offsets))
    return CorpusTexts(texts, sha256, columns, max_tokens_of(schema))


def token_files(directory: Path) -> list[Path]:
    """Return the token files beside the rows of a corpus, by name."""
    return sorted(directory.glob(TOKENS.format("*")))


def is_intact(path: Path) -> bool:
    """Return whether a token file has the content of its name; `OSError` if it cannot be read."""
    with path.open("rb") as file:
        return path.name == TOKENS.format(hashlib.file_digest(file, lambda: _hash(path.parent.name)).hexdigest())


class _Ids(NamedTuple):
    ids: NDArray[np.uint8]
    offsets: NDArray[np.int64]
    sha256: str | None


def _hash(version: str) -> "hashlib._Hash":
    """Return the hash of a token file of a version of a corpus, before its content."""
    return hashlib.sha256(f"{_FORMAT} {VOCABULARY_SHA256} {version}\n".encode())


def _read(corpus: VerifiedCorpus, rows: int) -> _Ids | None:
    """Return the ids in the token file of a corpus; None if there is none that is intact."""
    for path in token_files(corpus.directory):
        try:
            if is_intact(path):
                return _mapped(path, rows)
            log.warning("%s is damaged: it is made again", path)
        except OSError as error:
            log.warning("%s cannot be read: %s", path, error.strerror)
    return None


def _mapped(path: Path, rows: int) -> _Ids:
    """Map a token file with so many rows into memory."""
    # Private pages: PyTorch takes no array that it could not write to.
    content = np.memmap(path, np.uint8, "c").view(np.ndarray)
    offsets = content[len(content) - 8 * (rows + 1) :].view(np.dtype("<i8"))
    return _Ids(content[: offsets[-1]], offsets, path.stem.partition("-")[2])


def _made(corpus: VerifiedCorpus, large: int) -> _Ids:
    """Encode a corpus, and write the token file if it is large."""
    lengths: list[NDArray[np.int64]] = [np.zeros(1, np.int64)]
    pieces = ahead(_pieces(corpus, lengths))  # they are hashed and written beside
    first, tokens = list[NDArray[np.uint8]](), 0
    for piece in pieces:
        first.append(piece)
        tokens += len(piece)
        if tokens >= large:
            break
    else:
        return _in_memory(first, lengths)
    hashed = _hash(corpus.version)
    try:
        with staging(corpus.directory) as temporary:
            path = temporary / "tokens"
            write_bytes(path, _content(chain(first, pieces), lengths, hashed), durable=False)
            target = corpus.directory / TOKENS.format(hashed.hexdigest())
            path.replace(target)
        return _mapped(target, sum(map(len, lengths)) - 1)
    except OSError as error:
        log.warning("no token file in %s (%s): the texts are kept in memory", corpus.directory, error.strerror)
    lengths = [np.zeros(1, np.int64)]
    return _in_memory(list(_pieces(corpus, lengths)), lengths)


def _in_memory(pieces: list[NDArray[np.uint8]], lengths: list[NDArray[np.int64]]) -> _Ids:
    ids = np.concatenate(pieces) if pieces else np.zeros(0, np.uint8)
    return _Ids(ids, np.cumsum(np.concatenate(lengths)), None)


def _pieces(corpus: VerifiedCorpus, lengths: list[NDArray[np.int64]]) -> Iterator[NDArray[np.uint8]]:
    """Yield the ids of the rows of a corpus slice by slice; append the tokens of each row to `lengths`."""
    for rows in store.slices(corpus, columns=TEXTS):
        texts = pc.fill_null(text_column(rows), pa.scalar("", pa.large_string()))
        tokens = pc.utf8_length(texts).to_numpy(zero_copy_only=False).astype(np.int64) + _MARKS
        ids = encode_utf8(_framed_bytes(texts))
        assert len(ids) == tokens.sum()
        lengths.append(tokens)
        yield ids


def _framed_bytes(texts: pa.Array) -> NDArray[np.uint8]:
    """Return the UTF-8 of all texts of an array of large strings, each with the bytes for `<BOS>` and `<EOS>`."""
    begin, end, nothing = (pa.scalar(bytes(mark), pa.large_binary()) for mark in ([BOS_BYTE], [EOS_BYTE], []))
    framed = pc.binary_join_element_wise(begin, texts.cast(pa.large_binary()), end, nothing)
    _, offsets, data = framed.buffers()
    if data is None or not len(framed):
        return np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int64)[framed.offset : framed.offset + len(framed) + 1]
    return np.frombuffer(data, np.uint8)[ends[0] : ends[-1]]


def _content(
    pieces: Iterable[NDArray[np.uint8]], lengths: list[NDArray[np.int64]], hashed: "hashlib._Hash"
) -> Iterator[bytes]:
    """Yield the content of a token file, and add it to a hash."""

    def whole() -> Iterator[bytes]:
        tokens = 0
        for piece in pieces:
            tokens += len(piece)
            yield piece.tobytes()
        yield bytes(-tokens % _ALIGNED)
        for start, some in zip(accumulate((int(one.sum()) for one in lengths), initial=0), lengths, strict=False):
            yield (np.cumsum(some) + start).astype("<i8").tobytes()

    for some in whole():
        hashed.update(some)
        yield some


def _one_of(column: pa.ChunkedArray, wanted: set[str]) -> NDArray[np.bool_]:
    """Return which cells of a column are among these texts (rows,)."""
    found = [np.zeros(0, bool)]
    for chunk in column.chunks:
        coded = chunk if pa.types.is_dictionary(chunk.type) else chunk.dictionary_encode()
        codes = [code for code, text in enumerate(coded.dictionary.to_pylist()) if text in wanted]
        found.append(np.isin(coded.indices.fill_null(-1).to_numpy(zero_copy_only=False), codes))
    return np.concatenate(found)
