"""Instants as the store has them: whole microseconds since 1970, so that it returns what was written."""

from __future__ import annotations

MICROSECONDS = 1e6
"""In a second."""


def to_micros(seconds: float) -> int:
    """Unix seconds as whole microseconds."""
    return round(seconds * MICROSECONDS)


def from_micros(micros: float) -> float:
    """Whole microseconds as Unix seconds."""
    return micros / MICROSECONDS
