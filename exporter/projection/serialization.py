"""The folded state as JSON text and back, under names that no rename in the code changes. Pure.

`RUN_FIELDS` and the keys of the documents below are on disk: in checkpoints, which `STATE_VERSION` invalidates,
and in the baselines of pruned events, which only a migration may change.
"""

from __future__ import annotations

import hashlib
import json
from binascii import unhexlify
from dataclasses import astuple
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

from pydantic_core import from_json

from exporter.domain.events import Outage
from exporter.domain.exports import Expectation, ExportKey
from exporter.projection.fold.history import Baseline
from exporter.projection.fold.runs import DURATION_BOUNDS, Runs
from exporter.projection.fold.sort_keys import SORT_KEY, intern_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    from exporter.domain.exports import Declaration, Source
    from exporter.domain.terms import TermsChange
    from exporter.projection.fold.history import History

STATE_VERSION = 1
"""Raise it if the same events fold to another state, or if a checkpoint is written in another form."""
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What the functions that decode raise for any text that their counterpart did not write."""

RUN_FIELDS = (
    ("partner", "partner"),
    ("data_type", "data_type"),
    ("frequency", "frequency"),
    ("first_sequence", "first_sequence"),
    ("interval_s", "interval"),
    ("shortest_interval_s", "shortest_interval"),
    ("first_started_at", "first_start"),
    ("first_completed_at", "first_completed"),
    ("last_started_at", "last_initiated"),
    ("last_completed_at", "last_completed"),
    ("last_start_seen_at", "last_start_seen"),
    ("last_failed_at", "last_failed"),
    ("last_received_at", "last_received"),
    ("last_duration_s", "last_duration"),
    ("duration_buckets", "duration_buckets"),
    ("duration_sum_s", "duration_sum"),
    ("started_runs", "initiated"),
    ("completed_runs", "completed"),
    ("failed_runs", "failed"),
    ("superseded_runs", "superseded"),
    ("open_runs", "open_runs"),
    ("overlapping_runs", "overlapping"),
    ("scheduled_since", "scheduled_since"),
    ("slot_expectation", "slot_expectation"),
    ("last_slot_filled_at", "last_slot_filled"),
    ("slots", "slots"),
    ("late_slots", "late_slots"),
    ("missed_slots", "missed_slots"),
    ("unknown_slots", "unknown_slots"),
    ("recent_late_at", "recent_late_at"),
    ("recent_missed_at", "recent_missed_at"),
    ("recent_unknown_at", "recent_unknown_at"),
    ("last_slots", "last_slots"),
    ("outages_matter_until", "outages_matter_until"),
    ("recent_durations", "recent_durations"),
    ("configuration_changes_applied_until", "changes_applied_until"),
)
"""The stored name of every field of `Runs`, and the field. The names never change without a migration."""

_CHECKSUM_LENGTH = 8
"""Hexadecimal digits of the CRC-32 that `with_checksum` puts before a text."""
_DEFAULTS = tuple((name, attribute, getattr(Runs(), attribute)) for name, attribute in RUN_FIELDS)
_ATTRIBUTES = dict(RUN_FIELDS)
_TUPLES = frozenset(attribute for _, attribute, default in _DEFAULTS if isinstance(default, tuple))
_BYTES = frozenset(attribute for _, attribute, default in _DEFAULTS if isinstance(default, bytes))


def fingerprint(
    ledger_version: str,
    sources: Mapping[str, Source],
    declarations: Sequence[Declaration],
    declared_at: Mapping[tuple[str, str], float],
    terms: Mapping[tuple[str, str], Sequence[TermsChange]],
) -> str:
    """What the folded state depends on beside the events and outages: ``ledger_version``, a space, and a hash.

    Args:
        ledger_version: which ledger, and how often a replay changed its events.
        sources: by slug.
        declarations: in the order of the configuration, because the first that matches an event gets it.
        declared_at: when each export was first declared, by source and name.
        terms: when the terms of each declared export changed, by source and name.
    """
    parts = [
        STATE_VERSION,
        [name for name, _ in RUN_FIELDS],
        DURATION_BOUNDS,
        sorted((slug, source.timezone) for slug, source in sources.items()),
        [
            (
                declaration.name,
                astuple(declaration.match),
                declaration.interval,
                declaration.grace,
                declaration.max_runtime,
                declaration.first_expected,
                declared_at.get((declaration.match.source, declaration.name), 0),
                terms.get((declaration.match.source, declaration.name), ()),
            )
            for declaration in declarations
        ],
    ]
    return f"{ledger_version} {hashlib.sha256(_json(parts).encode()).hexdigest()}"


def is_other_configuration(first: str, second: str) -> bool:
    """Whether two fingerprints come from different configurations or releases; False if one of them is empty."""
    return bool(first and second) and first.rpartition(" ")[2] != second.rpartition(" ")[2]


def with_checksum(text: str) -> str:
    """A text with its checksum before it."""
    return f"{crc32(text.encode()):08x}{text}"


def verify_checksum(text: str) -> str:
    """The text that was given to `with_checksum`.

    Raises:
        ValueError: it was changed since.
    """
    rest = text[_CHECKSUM_LENGTH:]
    if f"{crc32(rest.encode()):08x}" != text[:_CHECKSUM_LENGTH]:
        message = "the checksum is not that of the text"
        raise ValueError(message)
    return rest


def encode_outages(outages: Iterable[Outage]) -> str:
    """All outages as one text."""
    return _json([(outage.began_at, outage.ended_at) for outage in outages])


def decode_outages(text: str) -> list[Outage]:
    """The outages that `encode_outages` wrote."""
    return [Outage(float(began_at), float(ended_at)) for began_at, ended_at in from_json(text)]


def encode_key(key: ExportKey) -> str:
    """The key of an export as a text."""
    return _json([key.source, key.kind, key.name, key.partner, key.data_type, key.frequency])


def decode_key(text: str) -> ExportKey:
    """The key that `encode_key` wrote."""
    return ExportKey(*map(str, from_json(text)))


def decode_keys(texts: Iterable[str]) -> list[ExportKey]:
    """Many keys that `encode_key` wrote; one parse of all takes a third of the time."""
    return [ExportKey(*map(str, fields)) for fields in from_json(f"[{','.join(texts)}]")]


def encode_history(history: History) -> str:
    """A history as a row of the checkpoint."""
    compacted, sort_keys, event_texts = history.compacted_and_recent()
    texts = list(dict.fromkeys(event_texts))
    return _json(
        {
            "events": history.event_count,
            "pruned_events": history.pruned_count,
            "outages": history.outages_folded,
            "current": _runs_document(history.runs()),
            "compacted": None if compacted is None else _baseline_document(compacted),
            "ignore_before": _encode_bytes(history.ignore_before),
            "texts": texts,
            "recent": [texts.index(event_text) for event_text in event_texts],
            "recent_sort_keys": _encode_bytes(b"".join(sort_keys)),
        }
    )


def restore_history(history: History, text: str, zone: tzinfo | None) -> None:
    """Fill a new history with what `encode_history` wrote.

    Args:
        history: a new one.
        text: the row of the checkpoint.
        zone: the time zone of the history's source.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError: `encode_history` did not write the text.
    """
    document = from_json(text)
    compacted = None if document["compacted"] is None else _baseline_from(document["compacted"], zone)
    joined = _decode_bytes(document["recent_sort_keys"])
    sort_keys = [joined[at : at + SORT_KEY.size] for at in range(0, len(joined), SORT_KEY.size)]
    texts = [intern_text(*fields) for fields in document["texts"]]
    event_texts = [texts[index] for index in document["recent"]]
    if len(joined) != len(event_texts) * SORT_KEY.size:
        message = "there is not one sort key for each event"
        raise ValueError(message)
    history.event_count, history.pruned_count = int(document["events"]), int(document["pruned_events"])
    history.restore(compacted, _decode_bytes(document["ignore_before"]), sort_keys, event_texts)
    history.restore_runs(_runs_from(document["current"], zone), int(document["outages"]))


def encode_baseline(baseline: Baseline) -> str:
    """The baseline of an export as a text."""
    return _json(_baseline_document(baseline))


def decode_baseline(text: str, zone: tzinfo | None) -> Baseline:
    """The baseline that `encode_baseline` wrote.

    Raises:
        KeyError, TypeError, ValueError: `encode_baseline` did not write the text.
    """
    return _baseline_from(from_json(text), zone)


def _baseline_document(baseline: Baseline) -> dict[str, Any]:
    return {
        "runs": _runs_document(baseline.runs),
        "compacted_up_to": _encode_bytes(baseline.compacted_up_to),
        "events": baseline.count,
    }


def _baseline_from(document: dict[str, Any], zone: tzinfo | None) -> Baseline:
    return Baseline(
        _runs_from(document["runs"], zone), _decode_bytes(document["compacted_up_to"]), int(document["events"])
    )


def _runs_document(runs: Runs) -> dict[str, Any]:
    """The fields that differ from their defaults, under their stored names."""
    document: dict[str, Any] = {}
    for name, attribute, default in _DEFAULTS:
        value = getattr(runs, attribute)
        if value != default or type(value) is not type(default):
            document[name] = _encode_field(value)
    return document


def _encode_field(value: object) -> object:
    if isinstance(value, Expectation):
        return [value.interval, value.grace, value.max_runtime]
    return _encode_bytes(value) if isinstance(value, bytes) else value


def _runs_from(document: dict[str, Any], zone: tzinfo | None) -> Runs:
    values = {_ATTRIBUTES[name]: value for name, value in document.items()}
    for name in _TUPLES & values.keys():
        values[name] = tuple(values[name])
    for name in _BYTES & values.keys():
        values[name] = _decode_bytes(values[name])
    if "slot_expectation" in values:
        interval, grace, max_runtime = values["slot_expectation"]
        values["slot_expectation"] = _expectation(interval, grace, max_runtime, zone)
    return Runs(**values)


@lru_cache(maxsize=256)
def _expectation(interval: int, grace: int, max_runtime: int, zone: tzinfo | None) -> Expectation:
    return Expectation(interval, grace, max_runtime, zone)


def _encode_bytes(value: bytes) -> str:
    return value.hex()


def _decode_bytes(text: str) -> bytes:
    return unhexlify(text)  # in a quarter of the time that base64 takes


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
