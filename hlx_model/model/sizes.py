"""The seven sizes of the HLX Brain, and their numbers of parameters."""

from dataclasses import dataclass

from hlx_model.model.tokenizer import VOCABULARY_SIZE

POSITIONS = 512


@dataclass(frozen=True)
class Architecture:
    """The four numbers that define a model: width, depth, attention heads, feed-forward width."""

    d_model: int
    layers: int
    heads: int
    ffn: int

    @property
    def parameters(self) -> int:
        """Exact number of parameters."""
        d, f = self.d_model, self.ffn
        attention = 4 * d * d + 4 * d
        feed_forward = 2 * d * f + f + d
        norms = 4 * d
        embeddings = (VOCABULARY_SIZE + POSITIONS) * d
        head = VOCABULARY_SIZE * d + VOCABULARY_SIZE
        return embeddings + self.layers * (attention + feed_forward + norms) + head


SIZES = {
    "tiny": Architecture(d_model=128, layers=2, heads=4, ffn=512),
    "10m": Architecture(d_model=384, layers=4, heads=6, ffn=1536),
    "50m": Architecture(d_model=768, layers=6, heads=8, ffn=3072),
    "100m": Architecture(d_model=1024, layers=8, heads=16, ffn=4096),
    "250m": Architecture(d_model=1280, layers=12, heads=16, ffn=5120),
    "500m": Architecture(d_model=1536, layers=16, heads=12, ffn=6144),
    "1b": Architecture(d_model=2048, layers=20, heads=16, ffn=8192),
}


def architecture(size: str) -> Architecture:
    """Return the architecture of a size.

    Raises:
        ValueError: there is no such size; names those that exist.
    """
    if size not in SIZES:
        raise ValueError(f"size is {size!r}: choose one of {', '.join(SIZES)}")
    return SIZES[size]
