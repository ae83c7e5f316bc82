"""The Training Center: queue trainings and watch them, from a page or over HTTP.

A session is a Dagster run with tags (`hlx_assets/curriculum/session.py`), and the queue is Dagster's. The Center keeps
nothing of its own: it reads runs, heartbeats, verdicts and reports, and a restart shows the same.
"""
