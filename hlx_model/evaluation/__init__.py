"""Evaluate checkpoints: measurements, quality gates, verdicts, grades, and reports."""
