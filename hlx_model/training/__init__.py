"""The trainer, which runs in a process of its own (`hlx train`, `python -m hlx_model.training`)."""
