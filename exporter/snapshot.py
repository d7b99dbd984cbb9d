"""Folded histories as JSON and back, field by field, so that what is read is what was written. Pure."""

from __future__ import annotations

import hashlib
import json
import zlib
from base64 import b64decode, b64encode
from dataclasses import astuple, fields
from typing import TYPE_CHECKING, Any

from exporter.history import DURATION_BOUNDS, Base, Runs
from exporter.model import ExportKey, Gap, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    from exporter.history import History
    from exporter.model import Declaration, Source

FOLD_VERSION = 1
"""To be raised when the same events amount to something else, or are stored in another form."""

_DEFAULTS = {name: getattr(Runs(), name) for name in (each.name for each in fields(Runs))}


def fingerprint(identity: str, sources: Mapping[str, Source], declarations: Sequence[Declaration]) -> str:
    """What a fold depends on beside events and gaps, as a short text.

    Args:
        identity: of the ledger and its edition.
        sources: by slug.
        declarations: in their order, since the first that fits an event has it.
    """
    said = [
        FOLD_VERSION,
        DURATION_BOUNDS,
        identity,
        sorted((slug, source.timezone) for slug, source in sources.items()),
        [(each.name, astuple(each.match), each.interval, each.grace, each.max_runtime) for each in declarations],
    ]
    return hashlib.sha256(_json(said).encode()).hexdigest()


def sealed(text: str) -> str:
    """A text with a checksum before it."""
    return f"{zlib.crc32(text.encode()):08x}{text}"


def opened(text: str) -> str:
    """The text that was `sealed`.

    Raises:
        ValueError: it is not what it was.
    """
    if sealed(text[8:]) != text:
        message = "the checksum is not that of the text"
        raise ValueError(message)
    return text[8:]


def gaps_text(gaps: Iterable[Gap]) -> str:
    """Gaps in one text."""
    return _json([(each.began_at, each.ended_at) for each in gaps])


def gaps_of(text: str) -> list[Gap]:
    """The gaps of a `gaps_text`."""
    return [Gap(float(began_at), float(ended_at)) for began_at, ended_at in json.loads(text)]


def key_text(key: ExportKey) -> str:
    """An export in one text."""
    return _json([key.source, key.kind, key.name, key.partner, key.data_type, key.frequency])


def key_of(text: str) -> ExportKey:
    """The export of a `key_text`."""
    return ExportKey(*map(str, json.loads(text)))


def history_text(history: History) -> str:
    """Everything that a history knows."""
    settled, marks, said = history.parts()
    words = list(dict.fromkeys(said))
    return _json(
        {
            "members": history.members,
            "based": history.based,
            "settled": None if settled is None else _base(settled),
            "floor": _text(history.floor),
            "said": words,
            "recent": [[_text(mark), words.index(each)] for mark, each in zip(marks, said, strict=True)],
        }
    )


def fill_history(history: History, text: str, zone: tzinfo | None) -> None:
    """Let a history know what a `history_text` says.

    Args:
        history: a new one.
        text: made by `history_text`.
        zone: the clock of its source.

    Raises:
        KeyError, TypeError, ValueError: it says something else.
    """
    found = json.loads(text)
    history.members, history.based = int(found["members"]), int(found["based"])
    settled = None if found["settled"] is None else _base_of(found["settled"], zone)
    recent = [(b64decode(mark, validate=True), found["said"][at]) for mark, at in found["recent"]]
    history.fill(settled, b64decode(found["floor"], validate=True), recent)


def base_text(base: Base) -> str:
    """What a history begins with."""
    return _json(_base(base))


def base_of(text: str, zone: tzinfo | None) -> Base:
    """The base of a `base_text`; as `fill_history`."""
    return _base_of(json.loads(text), zone)


def _base(base: Base) -> dict[str, Any]:
    return {"runs": _runs(base.runs), "watermark": _text(base.watermark), "count": base.count}


def _base_of(found: dict[str, Any], zone: tzinfo | None) -> Base:
    return Base(_runs_of(found["runs"], zone), b64decode(found["watermark"], validate=True), int(found["count"]))


def _runs(runs: Runs) -> dict[str, Any]:
    """The fields that say something, by name."""
    found: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        value = getattr(runs, name)
        if value != default or type(value) is not type(default):
            found[name] = [value.interval, value.grace, value.max_runtime] if isinstance(value, Terms) else value
    return found


def _runs_of(found: dict[str, Any], zone: tzinfo | None) -> Runs:
    values = dict(found)
    if "durations" in values:
        values["durations"] = tuple(values["durations"])
    if "anchor_promise" in values:
        interval, grace, max_runtime = values["anchor_promise"]
        values["anchor_promise"] = Terms(interval, grace, max_runtime, zone)
    return Runs(**values)


def _text(mark: bytes) -> str:
    return b64encode(mark).decode("ascii")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
