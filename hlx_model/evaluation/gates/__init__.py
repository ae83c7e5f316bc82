"""The quality gates: what each phase requires."""
