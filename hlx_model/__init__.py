"""The HLX Brain: its language, its corpora, its transformer, its training and its quality gates.

A library and a command (`hlx`) that work without Dagster; `hlx_assets` wires them into a graph.
"""

__version__ = "0.9.0"
