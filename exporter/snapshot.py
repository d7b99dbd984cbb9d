"""Folded histories as JSON and back, field by field, so that what is read is what was written. Pure."""

from __future__ import annotations

import hashlib
import json
import sys
from base64 import b64decode, b64encode
from contextlib import contextmanager
from dataclasses import astuple, fields
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from exporter.errors import UnreadableError
from exporter.gzip_parts import engine
from exporter.history import Base
from exporter.marks import MARK
from exporter.model import ExportKey, Gap, Terms
from exporter.runs import DURATION_BOUNDS, Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import tzinfo

    from exporter.history import History
    from exporter.model import Declaration, Source

FOLD_VERSION = 2
"""To be raised when the same events amount to something else, or are stored in another form."""
UNREADABLE = (ValueError, TypeError, KeyError, IndexError, AttributeError)
"""What comes of reading another text than was written."""

_SEAL = 8
"""How long the checksum before a text is."""
_NAMES = tuple(each.name for each in fields(Runs))
_DEFAULTS = {name: getattr(Runs(), name) for name in _NAMES}
_DURATIONS, _PROMISE = _NAMES.index("durations"), _NAMES.index("anchor_promise")
_WORDS = slice(_NAMES.index("partner"), _NAMES.index("frequency") + 1)
_figures = attrgetter(*_NAMES)
_crc32 = engine().crc32


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
    return f"{_crc32(text.encode()):08x}{text}"


def opened(text: str) -> str:
    """The text that was `sealed`.

    Raises:
        ValueError: it is not what it was.
    """
    refuse_changed(text)
    return text[_SEAL:]


def refuse_changed(text: str) -> None:
    """Do nothing, where a text is as it was `sealed`.

    Raises:
        ValueError: it is not what it was.
    """
    if f"{_crc32(memoryview(text.encode())[_SEAL:]):08x}" != text[:_SEAL]:
        message = "the checksum is not that of the text"
        raise ValueError(message)


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
    """Everything that a history knows: a line of what a start needs, and one that is read when an event comes."""
    figures = list(_figures(history.runs()))
    promise = figures[_PROMISE]
    figures[_PROMISE] = promise and (promise.interval, promise.grace, promise.max_runtime)
    rest = history.unread
    text = rest.line if isinstance(rest, Rest) else _rest_text(history)
    return f"{_json([history.members, history.based, history.gaps_known, figures])}\n{text}"


class HistoryRow:
    """A `history_text` of which nothing was read yet, an `exporter.histories.Row`.

    The text is kept as it came: to copy both lines of 10,000 exports takes 25 ms of a start.

    Args:
        text: made by `history_text`, and `sealed`.
        zone: the clock of its source.

    Raises:
        ValueError: the text is not what it was.
    """

    __slots__ = ("_text", "_zone")

    def __init__(self, text: str, zone: tzinfo | None) -> None:
        refuse_changed(text)
        self._text = text
        self._zone = zone

    def restore(self, history: History) -> None:
        """See `exporter.histories.Row.restore`."""
        with _unreadable():
            end = self._text.index("\n")
            members, based, gaps, figures = from_json(self._text[_SEAL:end])
            if len(figures) != len(_NAMES):
                message = f"there are {len(_NAMES)} figures"
                raise ValueError(message)
            figures[_WORDS] = map(sys.intern, figures[_WORDS])  # of which there are few, and many exports
            figures[_DURATIONS] = tuple(figures[_DURATIONS])
            if figures[_PROMISE]:
                figures[_PROMISE] = _terms(*figures[_PROMISE], self._zone)
            runs = Runs(*figures)
        history.members, history.based = members, based
        history.restore(runs, gaps, Rest(self._text, end + 1, self._zone))


@contextmanager
def _unreadable() -> Iterator[None]:
    try:
        yield
    except UNREADABLE as error:
        message = f"what is stored of an export cannot be read: {error}"
        raise UnreadableError(message) from error


class Rest:
    """What a `history_text` has in its second line.

    Args:
        text: both lines and what is before them.
        begins: where the second line begins.
        zone: the clock of its source.
    """

    __slots__ = ("_begins", "_text", "_zone")

    def __init__(self, text: str, begins: int, zone: tzinfo | None) -> None:
        self._text = text
        self._begins = begins
        self._zone = zone

    @property
    def line(self) -> str:
        """The second line."""
        return self._text[self._begins :]

    def read(self) -> tuple[Base | None, bytes, list[tuple[bytes, Sequence[str]]]]:
        """What is folded for good, the floor, and the loose events after it.

        Raises:
            UnreadableError: it is not what was written.
        """
        with _unreadable():
            found = from_json(self.line)
            settled = None if found["settled"] is None else _base_of(found["settled"], self._zone)
            recent = [(b64decode(mark, validate=True), found["said"][at]) for mark, at in found["recent"]]
            if any(len(mark) != MARK.size for mark, _ in recent):
                message = f"a mark has {MARK.size} bytes"
                raise ValueError(message)
            floor = b64decode(found["floor"], validate=True)
        return settled, floor, recent


def _rest_text(history: History) -> str:
    settled, marks, said = history.parts()
    words = list(dict.fromkeys(said))
    return _json(
        {
            "settled": None if settled is None else _base(settled),
            "floor": _text(history.floor),
            "said": words,
            "recent": [[_text(mark), words.index(each)] for mark, each in zip(marks, said, strict=True)],
        }
    )


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
        values["anchor_promise"] = _terms(interval, grace, max_runtime, zone)
    return Runs(**values)


@lru_cache(maxsize=256)
def _terms(interval: int, grace: int, max_runtime: int, zone: tzinfo | None) -> Terms:
    return Terms(interval, grace, max_runtime, zone)


def _text(mark: bytes) -> str:
    return b64encode(mark).decode("ascii")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
