"""Homes of Dagster."""

from tests.support.homes import curriculum, empty_home, home

__all__ = ["curriculum", "empty_home", "home"]
