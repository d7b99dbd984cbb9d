"""Finds what can never raise an alert that an export is overdue, for the command `doctor`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from exporter.cli.export_selector import describe_export
from exporter.domain.frequency import DAY, HOUR
from exporter.domain.humanize import format_age, format_duration
from exporter.projection.crowded_groups import INTERVALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from exporter.domain.states import ExportState, SourceState
    from exporter.projection.projector import Projector

UNHEARD_AFTER = DAY
"""Seconds after which a source without any event is a problem; as in the alert ``ExportSourceNeverHeard``."""
UNKNOWN_STATUS_WINDOW = 30 * HOUR
"""Seconds within which two runs of a daily export begin; as in the alert ``ExportUnknownStatus``."""


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


def crowded_groups(states: Iterable[ExportState], projector: Projector) -> Iterator[tuple[bool, str]]:
    """Yield a failed check for each group in which more than one export is at work."""
    for state in states:
        ids = projector.crowding_ids(state)
        if ids:
            text = (
                f"{len(ids)} request ids completed within {INTERVALS} intervals, so several exports share this deadline"
            )
            remedy = (
                "and a missing run of one is hidden by another; give them different types or partners, or declare "
                f"those that keep their request id: match = {{ request_id = {json.dumps(ids[0])} }}"
            )
            yield False, f"{text}, {remedy}: {describe_export(state)}"


def unheard_sources(states: Iterable[SourceState], now: float) -> Iterator[tuple[bool, str]]:
    """Yield a failed check for each source that was configured long ago and has no event."""
    for state in states:
        if 0 < state.configured_at < now - UNHEARD_AFTER and not any(state.events.values()):
            since = format_age(state.configured_at, now)
            remedy = "create its webhook, switch on status alerts, and choose the webhook there"
            yield False, f"source {state.slug}: no event has ever arrived, and it was configured {since}; {remedy}"


def unknown_statuses(states: Iterable[SourceState], now: float) -> Iterator[tuple[bool, str]]:
    """Yield a failed check for each status word that is not known, of which two events arrived lately."""
    for state in states:
        for status, second_newest in sorted(state.unknown_statuses.items()):
            if second_newest > now - UNKNOWN_STATUS_WINDOW:
                lately = f"within the last {format_duration(now - second_newest)}"
                text = f'"{status}" is an unknown status, and two events with it arrived {lately}'
                yield False, f"source {state.slug}: {text}; they start and complete no run"
