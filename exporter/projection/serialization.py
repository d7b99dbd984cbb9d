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

from exporter.domain.events import Gap
from exporter.domain.exports import ExportKey, Terms
from exporter.projection.fold.history import Base
from exporter.projection.fold.runs import DURATION_BOUNDS, Runs
from exporter.projection.fold.sort_keys import MARK, interned

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import tzinfo

    from exporter.domain.exports import Declaration, Source
    from exporter.projection.fold.history import History

FOLD_VERSION = 3
"""To be raised when the same events amount to something else, or are stored in another form."""
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What comes of reading another text than was written."""

_SEAL = 8
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
    said = [
        FOLD_VERSION,
        _NAMES,
        DURATION_BOUNDS,
        sorted((slug, source.timezone) for slug, source in sources.items()),
        [(each.name, astuple(each.match), each.interval, each.grace, each.max_runtime) for each in declarations],
    ]
    return f"{identity} {hashlib.sha256(_json(said).encode()).hexdigest()}"


def differ(one: str, other: str) -> bool:
    """Whether two fingerprints tell of two configurations or releases; an empty one tells nothing."""
    return bool(one and other) and one.rpartition(" ")[2] != other.rpartition(" ")[2]


def sealed(text: str) -> str:
    """A text with a checksum before it."""
    return f"{crc32(text.encode()):08x}{text}"


def opened(text: str) -> str:
    """The text that was `sealed`.

    Raises:
        ValueError: it is not what it was.
    """
    rest = text[_SEAL:]
    if f"{crc32(rest.encode()):08x}" != text[:_SEAL]:
        message = "the checksum is not that of the text"
        raise ValueError(message)
    return rest


def gaps_text(gaps: Iterable[Gap]) -> str:
    """Gaps in one text."""
    return _json([(each.began_at, each.ended_at) for each in gaps])


def gaps_of(text: str) -> list[Gap]:
    """The gaps of a `gaps_text`."""
    return [Gap(float(began_at), float(ended_at)) for began_at, ended_at in from_json(text)]


def key_text(key: ExportKey) -> str:
    """An export in one text."""
    return _json([key.source, key.kind, key.name, key.partner, key.data_type, key.frequency])


def key_of(text: str) -> ExportKey:
    """The export of a `key_text`."""
    return ExportKey(*map(str, from_json(text)))


def keys_of(texts: Iterable[str]) -> list[ExportKey]:
    """The exports of many of them; at once, which takes a third of the time."""
    return [ExportKey(*map(str, each)) for each in from_json(f"[{','.join(texts)}]")]


def history_text(history: History) -> str:
    """Everything that a history knows, in one line."""
    settled, marks, said = history.parts()
    words = list(dict.fromkeys(said))
    return _json(
        {
            "members": history.members,
            "based": history.based,
            "runs": _runs(history.runs()),
            "gaps": history.gaps_known,
            "settled": None if settled is None else _base(settled),
            "floor": _text(history.floor),
            "marks": _text(b"".join(marks)),
            "said": [words.index(each) for each in said],
            "words": words,
        }
    )


def restore_history(history: History, text: str, zone: tzinfo | None) -> None:
    """Let a new history know a `history_text`.

    Args:
        history: a new one.
        text: what was written.
        zone: the clock of its source.

    Raises:
        AttributeError, IndexError, KeyError, TypeError, ValueError: the text is not a `history_text`.
    """
    found = from_json(text)
    settled = None if found["settled"] is None else _base_of(found["settled"], zone)
    joined = _bytes(found["marks"])
    marks = [joined[at : at + MARK.size] for at in range(0, len(joined), MARK.size)]
    words = [interned(*each) for each in found["words"]]
    said = [words[at] for at in found["said"]]
    if len(joined) != len(said) * MARK.size:
        message = "there is not one mark for each event"
        raise ValueError(message)
    history.members, history.based = int(found["members"]), int(found["based"])
    history.restore(settled, _bytes(found["floor"]), marks, said)
    history.restore_runs(_runs_of(found["runs"], zone), int(found["gaps"]))


def base_text(base: Base) -> str:
    """What a history begins with."""
    return _json(_base(base))


def base_of(text: str, zone: tzinfo | None) -> Base:
    """The base of a `base_text`.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    return _base_of(from_json(text), zone)


def _base(base: Base) -> dict[str, Any]:
    return {"runs": _runs(base.runs), "watermark": _text(base.watermark), "count": base.count}


def _base_of(found: dict[str, Any], zone: tzinfo | None) -> Base:
    return Base(_runs_of(found["runs"], zone), _bytes(found["watermark"]), int(found["count"]))


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
        values["anchor_promise"] = _terms(interval, grace, max_runtime, zone)
    return Runs(**values)


@lru_cache(maxsize=256)
def _terms(interval: int, grace: int, max_runtime: int, zone: tzinfo | None) -> Terms:
    return Terms(interval, grace, max_runtime, zone)


def _text(mark: bytes) -> str:
    return b64encode(mark).decode("ascii")


def _bytes(text: str) -> bytes:
    return b64decode(text, validate=True)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
