"""Checkpoints on disk: manifest, seal, weights, and the import of .pt files."""
