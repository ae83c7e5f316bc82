"""The quality gates: what a checkpoint is asked, by which figures, and the verdict on it."""
