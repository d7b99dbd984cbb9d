"""Checks configuration, store, clocks and time zones for the command `doctor`, and suggests exports to declare."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from exporter.cli import export_selector, tables
from exporter.cli.landing_checks import landing_findings
from exporter.cli.schedule_checks import crowded_groups, exports_without_schedule, unheard_sources, unknown_statuses
from exporter.config import store_url
from exporter.config.suggestions import suggested_declarations
from exporter.domain.epochs import Epoch
from exporter.domain.event_time import CLOCK_TOLERANCE
from exporter.domain.frequency import QUARTER_HOUR
from exporter.domain.humanize import format_count, format_duration, format_instant, format_offset
from exporter.ingest.redating import Redating
from exporter.ledger.contract import HEARTBEAT_TIMEOUT
from exporter.ledger.instants import from_micros
from exporter.projection import serialization
from exporter.projection.unconfigured_sources import newest_of_unconfigured_sources

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.loader import Config
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector

MIN_FREE_BYTES = 200 << 20
"""Bytes; years of events need less, but something else may be filling the disk."""
MAX_BOOTS = 10
"""How many boots are checked: the newest ones."""


@dataclass(frozen=True, slots=True)
class Report:
    """The findings and suggestions as text, and whether every check passed."""

    text: str
    healthy: bool


def run_checks(config: Config, ledger: Ledger, projector: Projector, now: float) -> Report:
    """Run every check once; ``now`` in Unix seconds."""
    findings = [
        *_configuration(config),
        *_clock(projector, now),
        *_boots(config, ledger),
        *_store(config, ledger),
        _backup(config, ledger, now),
        *_replicas(ledger, projector, now),
        *_sources(projector),
        *_unconfigured_sources(config, ledger),
        *_quarantine(config, ledger),
        *_exports(config, projector, now),
        *exports_without_schedule(projector.list_states(now)),
        *crowded_groups(projector.list_states(now), projector),
        *unheard_sources(projector.list_sources(), now),
        *unknown_statuses(projector.list_sources(), now),
        *_decisions(projector, now),
        *landing_findings(config, ledger, projector, now),
    ]
    lines = [tables.format_check(text, passed=passed) for passed, text in findings]
    suggestion = "\n".join(suggested_declarations(projector.list_states(now), config.exports))
    if suggestion:
        lines += ["", "Declare these exports, to be alerted even if no event of them arrives any more:", "", suggestion]
    return Report("\n".join(lines), all(passed for passed, _ in findings))


def _configuration(config: Config) -> Iterator[tuple[bool, str]]:
    origin = config.path or "defaults and environment"
    sources = format_count(len(config.sources), "source")
    exports = format_count(len(config.exports), "declared export")
    yield True, f"configuration: {origin}: {sources}, {exports}"
    yield from ((True, f"configuration: {override}") for override in config.overrides)
    if config.ignored_variables:
        yield True, f"configuration: variables of Kubernetes are ignored: {', '.join(config.ignored_variables)}"
    for slug, settings in config.sources.items():
        credential = "a credential" if settings.credentials.are_required else "no credential (loopback only)"
        yield True, f"source {slug}: {credential}, time zone {settings.source.timezone}"


def _clock(projector: Projector, now: float) -> Iterator[tuple[bool, str]]:
    newest = max((state.last_accepted for state in projector.list_sources()), default=0)
    text = f"clock: {tables.format_iso(now)}"
    if now < newest - CLOCK_TOLERANCE:
        text += f", but something arrived at {tables.format_iso(newest)}: one of the two is wrong"
    yield now >= newest - CLOCK_TOLERANCE, text


def _boots(config: Config, ledger: Ledger) -> Iterator[tuple[bool, str]]:
    """Report boots of the machine whose clock was wrong, and was not corrected before they ended."""
    redating = Redating(ledger, config.sources_without_credentials)
    epochs = ledger.epochs()
    delays = {stored.id: redating.usual_delay(Epoch(stored.id, stored.offset_us)) for stored in epochs[-MAX_BOOTS:]}
    for stored in epochs[-MAX_BOOTS:-1]:
        ended = tables.format_iso(from_micros(stored.last_us + stored.offset_us))
        boot = f"boot {stored.id} of a machine, which ended at {ended}"
        delay, now = delays[stored.id], delays[epochs[-1].id]
        if delay is not None and abs(delay) > QUARTER_HOUR and (now is None or abs(now) < QUARTER_HOUR):
            wrong = f"{'ahead' if delay > 0 else 'behind'} {abs(delay):.0f}s"
            repair = f"dataexport-exporter redate {stored.id} --{wrong}"
            yield False, f"clock: {boot}: its clock was wrong, as the dates in its events show; run: {repair}"
        elif stored.offset_us != stored.measured_us:
            repair = f"dataexport-exporter redate {stored.id} --ahead DURATION, or --behind DURATION"
            text = "its clock was wrong, and what arrived in it is dated as late as possible"
            yield True, f"clock: {boot}: {text}; if you know better: {repair}"


def _store(config: Config, ledger: Ledger) -> Iterator[tuple[bool, str]]:
    yield True, f"store: {config.shown_store_url}: {format_count(ledger.last_sequence(), 'event')}"
    yield from ledger.checks()
    hosts = store_url.hosts_not_verified(config.store_url, os.environ.get("PGSSLMODE", ""))
    if hosts:
        why = "others in between could read the password and the events"
        yield False, f"store: the certificate of {', '.join(hosts)} is not verified: {why}; add sslmode=verify-full"
    file = store_url.sqlite_file(config.store_url)
    if file is not None:
        free = shutil.disk_usage(file.parent).free
        yield free >= MIN_FREE_BYTES, f"store: {free >> 20} MiB free in {file.parent.absolute()}"
    for outage in ledger.outages()[-3:]:
        length = format_duration(outage.ended_at - outage.began_at)
        period = f"from {format_instant(outage.began_at)} to {format_instant(outage.ended_at)}"
        yield True, f"store: outage: no exporter was running for {length} ({period}); slots in it are unknown"


def _backup(config: Config, ledger: Ledger, now: float) -> tuple[bool, str]:
    last = ledger.last_backup()
    text = f"store: the newest backup is of {tables.format_iso(last)}" if last else "store: no backup is recorded"
    if config.backup_max_age and now - last > config.backup_max_age:
        return (
            False,
            f"{text}, and store.backup_max_age is {config.backup_max_age} s: see dataexport-exporter backup --help",
        )
    return True, text


def _replicas(ledger: Ledger, projector: Projector, now: float) -> Iterator[tuple[bool, str]]:
    """Report a running exporter with another configuration: two of them show different states for the same events."""
    header = ledger.checkpoints.load_header()
    ago = max(now - ledger.checkpoints.owner_heartbeat(), 0)
    if header is None or ago > HEARTBEAT_TIMEOUT:
        return
    if serialization.is_other_configuration(header.fingerprint, projector.fingerprint):
        text = f"store: {ago:.0f} s ago an exporter was on it with another configuration or release"
        yield False, f"{text}: if it still runs, reload it, and give all of them the same"


def _sources(projector: Projector) -> Iterator[tuple[bool, str]]:
    for state in projector.list_sources():
        if not any(state.events.values()):
            yield True, f"source {state.slug}: no event yet"
            continue
        offset = "unknown" if state.suspected_offset is None else format_offset(state.suspected_offset)
        delay = f"delay of the newest event {state.delay:.0f} s"
        text = f"source {state.slug}: arrivals suggest UTC offset {offset}, {delay}"
        if state.suspect:
            remedy = 'set the zone of the project, or "auto" until you know it'
            text += f'; timezone = "{state.timezone}" contradicts that: {remedy}'
        yield not state.suspect, text


def _unconfigured_sources(config: Config, ledger: Ledger) -> Iterator[tuple[bool, str]]:
    """Name sources whose events are stored but not shown. It may be on purpose."""
    for slug, event in newest_of_unconfigured_sources(ledger, config.sources).items():
        newest = tables.format_iso(event.arrived_at)
        yield True, f"source {slug}: has events, the newest of {newest}, but is not configured, so nothing shows them"


def _quarantine(config: Config, ledger: Ledger) -> Iterator[tuple[bool, str]]:
    for slug, number in sorted(ledger.quarantine_counts().items()):
        if slug in config.sources:
            bodies = format_count(number, "body")
            yield False, f"source {slug}: {bodies} could not be parsed; see: dataexport-exporter quarantine"


def _decisions(projector: Projector, now: float) -> Iterator[tuple[bool, str]]:
    """List what is muted, retired or purged: no failure, but it explains what the metrics do not show."""
    for mute in projector.decisions_in_effect.active_mutes(now):
        if mute.key not in projector.exports:
            left_behind = f"export {mute.key.name} of source {mute.key.source} is not declared any more"
            yield True, f"muted until {tables.format_iso(mute.until)} by {mute.by} ({mute.why}): {left_behind}"
        elif mute.key in projector:
            export = export_selector.describe_export(projector.export_state(mute.key, now))
            yield True, f"muted until {tables.format_iso(mute.until)} by {mute.by} ({mute.why}): {export}"
    for retirement in projector.decisions_in_effect.latest_retirements():
        if retirement.key in projector.exports and retirement.key not in projector:
            export = export_selector.describe_export(projector.export_state(retirement.key, now))
            since = tables.format_iso(retirement.decided_at)
            yield True, f"retired since {since} by {retirement.by} ({retirement.why}): {export}"
    for purge in projector.decisions_in_effect.purges:
        decided_at = tables.format_iso(purge.decided_at)
        yield (
            True,
            f"purged at {decided_at} by {purge.by} ({purge.why}): source {purge.key.source}, received {purge.match}",
        )


def _exports(config: Config, projector: Projector, now: float) -> Iterator[tuple[bool, str]]:
    for key in projector.exports.detected_exports():
        state = projector.export_state(key, now)
        text = f"request id {key.name} is an export of its own: {state.partner}, {state.frequency}"
        yield True, f"source {key.source}: {text}"
    for slug, number in sorted(Counter(key.source for key in projector.list_keys()).items()):
        if number > config.limits.exports_per_source:
            limit = f"limits.exports_per_source = {config.limits.exports_per_source}"
            yield False, f"source {slug}: {number} exports, more than {limit}"
