"""Folded histories as JSON and back, field by field, so that what is read is what was written. Pure."""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from dataclasses import astuple, fields
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
    from exporter.projection.fold.history import History

STATE_VERSION = 3
"""To be raised when the same events amount to something else, or are stored in another form."""
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What comes of reading another text than was written."""

_CHECKSUM_LENGTH = 8
"""How long the checksum before a text is."""
_NAMES = tuple(each.name for each in fields(Runs))
_DEFAULTS = {name: getattr(Runs(), name) for name in _NAMES}


def fingerprint(identity: str, sources: Mapping[str, Source], declarations: Sequence[Declaration]) -> str:
    """What a fold depends on beside events and gaps, as a short text: the identity, and what else.

    Args:
        identity: of the ledger and its edition.
        sources: by slug.
        declarations: in their order, since the first that fits an event has it.
    """
    parts = [
        STATE_VERSION,
        _NAMES,
        DURATION_BOUNDS,
        sorted((slug, source.timezone) for slug, source in sources.items()),
        [
            (
                declaration.name,
                astuple(declaration.match),
                declaration.interval,
                declaration.grace,
                declaration.max_runtime,
            )
            for declaration in declarations
        ],
    ]
    return f"{identity} {hashlib.sha256(_json(parts).encode()).hexdigest()}"


def is_other_configuration(first: str, second: str) -> bool:
    """Whether two fingerprints tell of two configurations or releases; an empty one tells nothing."""
    return bool(first and second) and first.rpartition(" ")[2] != second.rpartition(" ")[2]


def with_checksum(text: str) -> str:
    """A text with a checksum before it."""
    return f"{crc32(text.encode()):08x}{text}"


def verify_checksum(text: str) -> str:
    """The text that was `with_checksum`.

    Raises:
        ValueError: it is not what it was.
    """
    rest = text[_CHECKSUM_LENGTH:]
    if f"{crc32(rest.encode()):08x}" != text[:_CHECKSUM_LENGTH]:
        message = "the checksum is not that of the text"
        raise ValueError(message)
    return rest


def encode_outages(outages: Iterable[Outage]) -> str:
    """Gaps in one text."""
    return _json([(each.began_at, each.ended_at) for each in outages])


def decode_outages(text: str) -> list[Outage]:
    """The gaps of a `encode_outages`."""
    return [Outage(float(began_at), float(ended_at)) for began_at, ended_at in from_json(text)]


def encode_key(key: ExportKey) -> str:
    """An export in one text."""
    return _json([key.source, key.kind, key.name, key.partner, key.data_type, key.frequency])


def decode_key(text: str) -> ExportKey:
    """The export of a `encode_key`."""
    return ExportKey(*map(str, from_json(text)))


def decode_keys(texts: Iterable[str]) -> list[ExportKey]:
    """The exports of many of them; at once, which takes a third of the time."""
    return [ExportKey(*map(str, each)) for each in from_json(f"[{','.join(texts)}]")]


def encode_history(history: History) -> str:
    """Everything that a history knows, in one line."""
    compacted, sort_keys, event_texts = history.compacted_and_recent()
    words = list(dict.fromkeys(event_texts))
    return _json(
        {
            "members": history.event_count,
            "based": history.pruned_count,
            "runs": _runs_document(history.runs()),
            "gaps": history.outages_folded,
            "settled": None if compacted is None else _baseline_document(compacted),
            "floor": _encode_bytes(history.ignore_before),
            "marks": _encode_bytes(b"".join(sort_keys)),
            "said": [words.index(each) for each in event_texts],
            "words": words,
        }
    )


def restore_history(history: History, text: str, zone: tzinfo | None) -> None:
    """Let a new history know a `encode_history`.

    Args:
        history: a new one.
        text: what was written.
        zone: the clock of its source.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError: the text is not a `encode_history`.
    """
    found = from_json(text)
    compacted = None if found["settled"] is None else _baseline_from(found["settled"], zone)
    joined = _bytes(found["marks"])
    sort_keys = [joined[at : at + SORT_KEY.size] for at in range(0, len(joined), SORT_KEY.size)]
    words = [intern_text(*each) for each in found["words"]]
    event_texts = [words[at] for at in found["said"]]
    if len(joined) != len(event_texts) * SORT_KEY.size:
        message = "there is not one mark for each event"
        raise ValueError(message)
    history.event_count, history.pruned_count = int(found["members"]), int(found["based"])
    history.restore(compacted, _bytes(found["floor"]), sort_keys, event_texts)
    history.restore_runs(_runs_from(found["runs"], zone), int(found["gaps"]))


def encode_baseline(base: Baseline) -> str:
    """What a history begins with."""
    return _json(_baseline_document(base))


def decode_baseline(text: str, zone: tzinfo | None) -> Baseline:
    """The base of a `encode_baseline`.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return _baseline_from(from_json(text), zone)


def _baseline_document(base: Baseline) -> dict[str, Any]:
    return {"runs": _runs_document(base.runs), "watermark": _encode_bytes(base.compacted_up_to), "count": base.count}


def _baseline_from(document: dict[str, Any], zone: tzinfo | None) -> Baseline:
    return Baseline(_runs_from(document["runs"], zone), _bytes(document["watermark"]), int(document["count"]))


def _runs_document(runs: Runs) -> dict[str, Any]:
    """The fields that say something, by name."""
    document: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(runs, name)
        if value != default or type(value) is not type(default):
            document[name] = (
                [value.interval, value.grace, value.max_runtime] if isinstance(value, Expectation) else value
            )
    return document


def _runs_from(document: dict[str, Any], zone: tzinfo | None) -> Runs:
    values = dict(document)
    if "duration_buckets" in values:
        values["duration_buckets"] = tuple(values["duration_buckets"])
    if "slot_expectation" in values:
        interval, grace, max_runtime = values["slot_expectation"]
        values["slot_expectation"] = _expectation(interval, grace, max_runtime, zone)
    return Runs(**values)


@lru_cache(maxsize=256)
def _expectation(interval: int, grace: int, max_runtime: int, zone: tzinfo | None) -> Expectation:
    return Expectation(interval, grace, max_runtime, zone)


def _encode_bytes(sort_key: bytes) -> str:
    return b64encode(sort_key).decode("ascii")


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
