"""The trainer: a program of its own (`python -m hlx_model.training`, `hlx train`)."""
