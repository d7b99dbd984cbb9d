"""What a person would check first: configuration, store, clocks and zones, and what to declare."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from exporter.cli import export_selector, tables
from exporter.domain.event_time import CLOCK_TOLERANCE
from exporter.domain.exports import GROUP_LABEL
from exporter.domain.frequency import frequency_of_interval
from exporter.domain.humanize import format_offset
from exporter.ledger.sqlite.backup import HEARTBEAT_TIMEOUT
from exporter.projection import serialization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.loader import Config
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector

MIN_FREE_BYTES = 200 << 20
"""Bytes; years of events take less, but whatever else fills the disk will go on."""
MAX_STEM = 120
"""A name has at most 128 characters; the rest is for a number."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: lines for people, and whether nothing is wrong."""

    text: str
    healthy: bool


def run_checks(config: Config, ledger: Ledger, reader: Projector, now: float) -> Report:
    """Look at everything once."""
    findings = [
        *_configuration(config),
        *_clock(reader, now),
        *_store(config, ledger),
        *_replicas(ledger, reader, now),
        *_sources(config, reader),
        *_quarantine(config, ledger),
        *_ids(config, reader, now),
        *_decisions(reader, now),
    ]
    lines = [f"{'ok  ' if fine else 'BAD '} {text}" for fine, text in findings]
    suggestion = "\n".join(_suggestions(config, reader, now))
    if suggestion:
        lines += ["", "Declare these, so that their absence is noticed even after the history is gone:", "", suggestion]
    return Report("\n".join(lines), all(fine for fine, _ in findings))


def _configuration(config: Config) -> Iterator[tuple[bool, str]]:
    place = config.path or "defaults and environment"
    yield True, f"configuration: {place}: {len(config.sources)} sources, {len(config.exports)} declared exports"
    for slug, each in config.sources.items():
        shown = "a credential" if each.credentials.are_required else "no credential (loopback only)"
        yield True, f"source {slug}: {shown}, time zone {each.source.timezone}"


def _clock(reader: Projector, now: float) -> Iterator[tuple[bool, str]]:
    newest = max((state.last_accepted for state in reader.list_sources()), default=0)
    text = f"clock: {tables.format_iso(now)}"
    if now < newest - CLOCK_TOLERANCE:
        text += f", but something arrived at {tables.format_iso(newest)}: one of the two is wrong"
    yield now >= newest - CLOCK_TOLERANCE, text


def _store(config: Config, ledger: Ledger) -> Iterator[tuple[bool, str]]:
    yield True, f"store: {config.shown_store_url}: {ledger.last_sequence()} events"
    yield from ledger.checks()
    if config.store_url.startswith("sqlite:///"):
        folder = Path(config.store_url.removeprefix("sqlite:///")).parent
        free = shutil.disk_usage(folder).free
        yield free >= MIN_FREE_BYTES, f"store: {free >> 20} MiB free in {folder.absolute()}"
    for outage in ledger.outages()[-3:]:
        yield (
            True,
            f"store: nobody listened for {outage.ended_at - outage.began_at:.0f} s; slots in that time are unknown",
        )


def _replicas(ledger: Ledger, reader: Projector, now: float) -> Iterator[tuple[bool, str]]:
    """Two that fold the same events with two configurations show two truths."""
    head = ledger.checkpoints.load_header()
    ago = max(now - ledger.checkpoints.owner_heartbeat(), 0)
    if head and ago <= HEARTBEAT_TIMEOUT and serialization.is_other_configuration(head.fingerprint, reader.fingerprint):
        text = f"store: {ago:.0f} s ago an exporter was on it with another configuration or release"
        yield False, f"{text}: if it still runs, reload it, and give all of them the same"


def _sources(config: Config, reader: Projector) -> Iterator[tuple[bool, str]]:
    for state in reader.list_sources():
        if not any(state.events.values()):
            yield True, f"source {state.slug}: no event yet"
            continue
        seen = "unknown" if state.suspected_offset is None else format_offset(state.suspected_offset)
        text = f"source {state.slug}: arrivals suggest UTC offset {seen}, newest event {state.delay:.0f} s late"
        if state.suspect:
            text += (
                f'; timezone = "{config.sources[state.slug].source.timezone}" contradicts that: set timezone = "auto"'
            )
        yield not state.suspect, text


def _quarantine(config: Config, ledger: Ledger) -> Iterator[tuple[bool, str]]:
    for slug, number in sorted(ledger.quarantine_counts().items()):
        if slug in config.sources:
            yield False, f"source {slug}: {number} bodies not understood; see: dataexport-exporter quarantine"


def _decisions(reader: Projector, now: float) -> Iterator[tuple[bool, str]]:
    """What hides an export from a pager is worth a look, and nothing wrong."""
    for each in reader.decisions_in_effect.active_mutes(now):
        if each.key in reader:
            shown = export_selector.describe_export(reader.export_state(each.key, now))
            yield True, f"muted until {tables.format_iso(each.until)} by {each.by} ({each.why}): {shown}"
    for each in reader.decisions_in_effect.latest_retirements():
        if each.key in reader.exports and each.key not in reader:
            shown = export_selector.describe_export(reader.export_state(each.key, now))
            yield True, f"retired since {tables.format_iso(each.decided_at)} by {each.by} ({each.why}): {shown}"


def _ids(config: Config, reader: Projector, now: float) -> Iterator[tuple[bool, str]]:
    for key in reader.exports.detected_exports():
        state = reader.export_state(key, now)
        yield (
            True,
            f"source {key.source}: request id {key.name} is an export of its own: {state.partner}, {state.frequency}",
        )
    for slug, number in sorted(Counter(key.source for key in reader.list_keys()).items()):
        if number > config.limits.exports_per_source:
            most = f"limits.exports_per_source = {config.limits.exports_per_source}"
            yield False, f"source {slug}: {number} exports, more than {most}"


def _suggestions(config: Config, reader: Projector, now: float) -> Iterator[str]:
    """Recurring exports that nobody declared, as TOML."""
    taken = {(each.match.source, each.name) for each in config.exports}
    wanted = [state for state in reader.list_states(now) if state.recurring and not state.declared]
    # An event belongs to the first that fits, so the ones that name an id have to come first.
    for state in sorted(wanted, key=lambda state: state.export == GROUP_LABEL):
        words = f"{state.partner} {state.data_type} {state.frequency}".lower().split()
        match = {"partner": state.partner, "data_type": state.data_type, "frequency": state.frequency}
        if state.export != GROUP_LABEL:
            words.append(state.export)
            match = {"request_id": state.export, **match}
        stem = "-".join(words)[:MAX_STEM]
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        name = next(each for each in names if (state.source, each) not in taken)
        taken.add((state.source, name))
        yield (
            f"[[exports]]\nname = {_toml(name)}\nsource = {_toml(state.source)}\n"
            f"match = {{ {', '.join(f'{key} = {_toml(value)}' for key, value in match.items())} }}\n"
            f"interval = {_toml(frequency_of_interval(round(state.interval)).label)}\n"
        )


def _toml(text: str) -> str:
    """A text in quotation marks; TOML knows no surrogate pairs, so that nothing else is escaped."""
    return json.dumps(text, ensure_ascii=False)
