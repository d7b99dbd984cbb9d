"""The text of exports as it stood at a stop, so that the next start need not work it out again.

A wrong line is worse than a slow start. So it is kept with everything that it depends on beside
the events and what people decided: the code that made it, the clocks, the configuration, the gaps.
It is used where all of that is the same, and then in the way in which a process goes on that was
merely asleep: what is new since then, and what the time alone has changed, is rendered again.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
import zoneinfo
from array import array
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import utils as client

from exporter.gzip_parts import Part
from exporter.model import ExportKey
from exporter.schedule import CLOCKS_THAT_GO_BACK
from exporter.snapshot import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.model import Source
    from exporter.sheet import Block

PACKED = 1
"""The level of compression for figures, most of which are like those of the export before."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Some sheets, and whose rows the first one has.

    Attributes:
        as_of: the instant at which they were right.
        keys: the exports, in the order of the rows of the first sheet.
        figures: what else is known of each of them, as many numbers each.
        sheets: their blocks.
    """

    as_of: float
    keys: Sequence[ExportKey]
    figures: Sequence[array[float]]
    sheets: Sequence[Sequence[Block]]


def code_in(folder: Path) -> str:
    """A digest of what makes a text out of a ledger; empty where that cannot be told."""
    files = sorted(folder.glob("*.py"))
    if not files:
        return ""
    digest = hashlib.sha256(f"{sys.version} {sys.byteorder}".encode())
    for file in (*files, Path(client.__file__)):
        digest.update(file.read_bytes())
    return digest.hexdigest()


_CODE = code_in(Path(__file__).parent)
"""Looked at when it is loaded: a running process is not what an upgrade has put in its place meanwhile."""


def origin_of(sources: Iterable[Source], code: str = _CODE) -> str:
    """What a text comes from beside the ledger and the configuration: code and clocks, as they are now.

    Empty where that cannot be told; then nothing is to be kept.
    """
    zones = {getattr(source.zone, "key", None) for source in sources}
    names = sorted({*(name for name in zones if name), *(CLOCKS_THAT_GO_BACK if None in zones else ())})
    digest = hashlib.sha256(code.encode())
    for name in names:
        digest.update(rules_of(name))
    return digest.hexdigest() if code else ""


@cache
def rules_of(zone: str) -> bytes:
    """The file of a time zone, looked for as `zoneinfo` does, and once: a zone that is known is not read again."""
    package = find_spec("tzdata")
    installed = package.submodule_search_locations if package else None
    folders = [*zoneinfo.TZPATH, *(f"{each}/zoneinfo" for each in installed or ())]
    return next((file.read_bytes() for each in folders if (file := Path(each, zone)).is_file()), b"")


def written(kept: Kept, premises: str) -> str:
    """All of it in one text.

    Args:
        kept: what is to be kept.
        premises: all that it depends on.
    """
    told = {
        "as_of": kept.as_of,
        "keys": _words(kept.keys),
        "figures": _packed(b"".join(kept.figures)),
        "sheets": list(map(_sheet_text, kept.sheets)),
    }
    return f"{_digest(premises)}\n{json.dumps(told, separators=(',', ':'))}"


def read(text: str, premises: str) -> Kept | None:
    """What was `written`; None where its premises were others."""
    digest, _, rest = text.partition("\n")
    if digest != _digest(premises):
        return None
    try:
        told = json.loads(rest)
        keys = list(map(ExportKey._make, _rows(told["keys"])))
        figures = array("d", _unpacked(told["figures"]))
        each = len(figures) // len(keys)
        rows = [figures[at : at + each] for at in range(0, len(figures), each)]
        return Kept(told["as_of"], keys, rows, list(map(_blocks, told["sheets"])))
    except (*UNREADABLE, zlib.error):
        return None


def _sheet_text(blocks: Sequence[Block]) -> dict[str, object]:
    chunks = [chunk for _, chunks in blocks for chunk in chunks]
    return {
        "rows": [len(places) for places, _ in blocks],
        "places": _words([place for places, _ in blocks for place in places]),
        "parts": [(len(part.deflated), *part.sum) for part, _ in chunks],
        "lengths": _packed(b"".join([lengths for _, lengths in chunks])),
        "deflated": _text(b"".join([part.deflated for part, _ in chunks])),
    }


def _blocks(told: dict[str, Any]) -> list[Block]:
    deflated, parts = b64decode(told["deflated"], validate=True), told["parts"]
    lengths = array("I", _unpacked(told["lengths"]))
    columns = len(parts) // len(told["rows"])
    places = _rows(told["places"])
    found: list[Block] = []
    length_at = deflated_at = place_at = 0
    for number, rows in enumerate(told["rows"]):
        chunks = []
        for size, checksum, length in parts[number * columns : (number + 1) * columns]:
            part = Part(deflated[deflated_at : deflated_at + size], (checksum, length))
            chunks.append((part, lengths[length_at : length_at + rows]))
            length_at, deflated_at = length_at + rows, deflated_at + size
        found.append((places[place_at : place_at + rows], chunks))
        place_at += rows
    return found


def _words(rows: Sequence[Sequence[str]]) -> dict[str, object]:
    """Rows of as many texts each, column by column, with each text once: a third of the time of reading them all."""
    numbers: dict[str, int] = {}
    columns = [[numbers.setdefault(word, len(numbers)) for word in column] for column in zip(*rows, strict=True)]
    return {"words": list(numbers), "columns": [_packed(array("I", column).tobytes()) for column in columns]}


def _rows(told: dict[str, Any]) -> list[tuple[str, ...]]:
    """The rows of which `_words` were made; what occurs in several is there once in memory."""
    words = told["words"]
    return list(zip(*[map(words.__getitem__, array("I", _unpacked(each))) for each in told["columns"]], strict=True))


def _digest(premises: str) -> str:
    return hashlib.sha256(premises.encode()).hexdigest()


def _packed(plain: bytes) -> str:
    return _text(zlib.compress(plain, PACKED))


def _unpacked(text: str) -> bytes:
    return zlib.decompress(b64decode(text, validate=True))


def _text(plain: bytes) -> str:
    return b64encode(plain).decode("ascii")
