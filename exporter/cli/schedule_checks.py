"""Finds what can never raise an alert, for the command `doctor`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.cli.export_selector import describe_export

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.domain.states import ExportState


def exports_without_schedule(states: Iterable[ExportState]) -> Iterator[tuple[bool, str]]:
    """Yield a failed check for each export that can never be overdue although it is not known to run only once."""
    for state in states:
        if not state.has_no_schedule:
            continue
        if state.declared:
            remedy = 'set interval = "24h" on its [[exports]] entry, or match.frequency = "one-time" if it has none'
        else:
            remedy = f'its frequency "{state.frequency}" gives no interval: declare it, with interval = "24h"'
        yield False, f"no schedule, so never overdue; {remedy}: {describe_export(state)}"
