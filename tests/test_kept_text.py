"""A start shows the text that a stop has kept where nothing is different by now, and never a line that is not right."""

from __future__ import annotations

import threading
import zlib
import zoneinfo
from collections import Counter
from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR, SHOP, at, event, received
from exporter import checkpoint, kept_text, snapshot
from exporter.collector import Collector
from exporter.decisions import MUTE, RETIRE, Decision
from exporter.errors import StoreError
from exporter.keeping import Keeper
from exporter.model import Declaration, ExportState, Selection, Source
from exporter.overflow import together
from exporter.reader import Reader
from exporter.sources.clevertap import REASONS
from memory_ledger import MemoryLedger
from reference import Reference, rendered_by_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from exporter.gzip_parts import Compressing, Inflating
    from exporter.ledger import Ledger

NIGHTLY = Declaration("nightly", Selection("shop", partner="nightly"), interval=DAY, muted_until=at("12:00"))
BY_ID = Declaration("by id", Selection("shop", request_id="3"), interval=4 * HOUR, owner="somebody")
SLUGS = ("shop", "other-shop")


class Configured(NamedTuple):
    """What a text depends on of the configuration."""

    sources: dict[str, Source]
    declarations: tuple[Declaration, ...] = (NIGHTLY, BY_ID)
    limit: int = 50


IN_UTC = {slug: Source(slug, "UTC", UTC) for slug in SLUGS}
USUAL = Configured(IN_UTC)
OTHERS = (
    Configured(IN_UTC, (replace(NIGHTLY, owner="data"), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, runbook_url="https://runbooks.example/nightly"), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, muted_until=at("12:00", day=2)), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, objective=0.5), BY_ID)),
    Configured(IN_UTC, (replace(NIGHTLY, first_expected=at("18:00")), BY_ID)),
    Configured(IN_UTC, (NIGHTLY, replace(BY_ID, grace=60))),
    Configured(IN_UTC, (BY_ID,)),
    Configured({slug: Source(slug, "Europe/Berlin", ZoneInfo("Europe/Berlin")) for slug in SLUGS}),
    Configured({slug: Source(slug) for slug in SLUGS}),
    Configured(IN_UTC, limit=2),
)


class Counting:
    """zlib, and how many parts it has compressed; each of them is rendered anew."""

    __name__ = zlib.__name__
    crc32 = staticmethod(zlib.crc32)

    def __init__(self) -> None:
        self.parts = 0

    def compressobj(self, level: int, method: int, wbits: int) -> Compressing:
        self._stream = zlib.compressobj(level, method, wbits)
        return self

    def decompressobj(self, wbits: int) -> Inflating:
        return zlib.decompressobj(wbits)

    def compress(self, data: bytes | memoryview, /) -> bytes:
        self.parts += 1
        return self._stream.compress(data)

    def flush(self, mode: int = zlib.Z_FINISH, /) -> bytes:
        return self._stream.flush(mode)


class Process:
    """What one process knows and shows.

    Args:
        ledger: which it follows.
        configured: its configuration.
        now: when it is started.
    """

    def __init__(self, ledger: MemoryLedger, configured: Configured, now: float) -> None:
        self.ledger, self.configured = ledger, configured
        ledger.declare([(each.match.source, each.name) for each in configured.declarations], now)
        self._engine = Counting()
        self.reader = Reader(ledger, configured.sources, configured.declarations)
        self.collector = Collector(self.reader, configured.limit, REASONS, by=self._engine)
        before = self._engine.parts
        self.collector.refresh(now)
        self.rendered = self._engine.parts - before

    def stop(self, now: float, *, leaving: bool = True) -> None:
        self.collector.refresh(now)
        keeper = Keeper(self.ledger, "me", threading.Lock(), lambda: self.reader, self.text)
        assert keeper.write(now, leaving=leaving)

    def text(self) -> str | None:
        return self.collector.kept(50)

    def shown(self) -> str:
        return b"".join(self.collector.body(openmetrics=False).plain(b"")).decode()

    def expected(self, now: float) -> str:
        """What the library writes of everything, read and worked out anew, and not from a checkpoint."""
        reader = Reader(self.ledger.without_checkpoint(), self.configured.sources, self.configured.declarations)
        reader.refresh()
        shown: list[ExportState] = []
        for slug in self.configured.sources:
            keys = [key for key in reader.shown() if key.source == slug]
            keys.sort(key=lambda key: (reader.exports.birth(key), key))
            first, over = keys[: self.configured.limit], keys[self.configured.limit :]
            shown += [reader.export(key, now) for key in first]
            if over:
                shown.append(together(slug, [reader.export(key, now) for key in over]))
        return rendered_by_library(Reference(shown, reader.sources()), openmetrics=False)


def text_of(ledger: Ledger) -> str | None:
    return dict(ledger.folds.rows("", 100)).get(checkpoint.TEXT)


@pytest.fixture
def ledger() -> Iterator[MemoryLedger]:
    made = MemoryLedger()
    for run in range(3):
        for number, partner in enumerate(("Azure", "GCS", "nightly", "Amazon S3")):
            for status, late in (("initiated", 0), ("completed", 600)):
                began = at("0:00") + run * 4 * HOUR + late
                request_id = str(number) if number else f"{number} {run}"  # the first has no id that comes back
                made.append([received(event(status, began, request_id=request_id, partner=partner))])
    yield made
    made.close()


NOW = at("9:00")


def stopped(ledger: MemoryLedger, now: float = NOW) -> Process:
    process = Process(ledger, USUAL, now)
    process.stop(now)
    return process


def rendered_without(ledger: MemoryLedger, configured: Configured, now: float) -> int:
    """How many parts are rendered where there is no checkpoint to go on from."""
    reader = Reader(ledger, configured.sources, configured.declarations)
    reader.refresh()
    reader.text = None
    engine = Counting()
    collector = Collector(reader, configured.limit, REASONS, by=engine)
    reader.exports.changed.update(reader.exports.all())
    before = engine.parts
    collector.refresh(now)
    return engine.parts - before


OF_SOURCES = 10
"""The text of the sources is not kept; it is one part a family."""


def test_where_nothing_is_different_nothing_of_the_exports_is_rendered(ledger: MemoryLedger) -> None:
    first = stopped(ledger)
    second = Process(ledger, USUAL, NOW + 60)
    assert (first.rendered > OF_SOURCES, second.rendered) == (True, OF_SOURCES)
    assert second.shown() == first.shown() == second.expected(NOW + 60)
    assert (second.collector.series, second.collector.dropped) == (first.collector.series, 0)


def test_an_export_that_changed_meanwhile_is_rendered_and_the_others_are_not(ledger: MemoryLedger) -> None:
    first = stopped(ledger)
    ledger.append([received(event("initiated", NOW + 60, request_id="1", partner="GCS"))])
    second = Process(ledger, USUAL, NOW + 120)
    assert OF_SOURCES < second.rendered < first.rendered
    assert second.shown() == second.expected(NOW + 120) != first.shown()


def test_an_export_that_is_new_meanwhile_may_be_over_the_limit(ledger: MemoryLedger) -> None:
    limited = USUAL._replace(limit=4)
    Process(ledger, limited, NOW).stop(NOW)
    assert text_of(ledger) is not None
    ledger.append([received(event("initiated", NOW + 60, partner="SFTP"))])
    second = Process(ledger, limited, NOW + 120)
    assert 'export="other"' in second.shown()
    assert second.shown() == second.expected(NOW + 120)


def test_what_the_time_alone_changes_is_rendered(ledger: MemoryLedger) -> None:
    first = stopped(ledger)
    for later in (at("12:00"), at("12:00", day=1)):  # the end of a mute, and slots that were missed
        second = Process(ledger, USUAL, later)
        assert second.rendered > OF_SOURCES
        assert second.shown() == second.expected(later) != first.shown()


def test_what_people_decided_meanwhile_is_shown(ledger: MemoryLedger) -> None:
    first = stopped(ledger)
    muted, retired = (
        next(key for key in first.reader.exports.all() if key.kind == kind) for kind in ("recognised", "group")
    )
    ledger.decide(Decision(MUTE, muted, NOW, NOW + HOUR, "me", "because"))
    ledger.decide(Decision(RETIRE, retired, NOW, 0, "me", "because"))
    second = Process(ledger, USUAL, NOW + 60)
    assert 'partner="Azure"' in first.shown()
    assert 'partner="Azure"' not in second.shown()
    assert second.shown() == second.expected(NOW + 60) != first.shown()
    second.stop(NOW + 60)
    third = Process(ledger, USUAL, NOW + 2 * HOUR)
    assert third.shown() == third.expected(NOW + 2 * HOUR)


@pytest.mark.parametrize("configured", OTHERS)
def test_under_another_configuration_all_is_rendered(ledger: MemoryLedger, configured: Configured) -> None:
    stopped(ledger)
    second = Process(ledger, configured, NOW)
    assert second.rendered == rendered_without(ledger, configured, NOW)
    assert second.shown() == second.expected(NOW)


def test_where_the_clock_was_set_back_all_is_rendered(ledger: MemoryLedger) -> None:
    stopped(ledger, at("12:00", day=1))
    second = Process(ledger, USUAL, NOW)
    assert second.rendered == rendered_without(ledger, USUAL, NOW)
    assert second.shown() == second.expected(NOW)


def test_where_the_clock_was_set_back_before_the_stop_all_is_rendered(ledger: MemoryLedger) -> None:
    process = stopped(ledger, at("12:00", day=1))
    for _ in range(2):  # where it went on from a text, too
        process.stop(NOW)
        second = Process(ledger, USUAL, NOW)
        assert second.rendered == rendered_without(ledger, USUAL, NOW)
        assert second.shown() == second.expected(NOW)
        process.stop(at("12:00", day=1))
        process = Process(ledger, USUAL, at("12:00", day=1))
        assert process.rendered == OF_SOURCES


def test_with_another_code_all_is_rendered(ledger: MemoryLedger) -> None:
    stopped(ledger)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_text.origin_of, "__defaults__", ("another",))
        assert Process(ledger, USUAL, NOW).rendered == rendered_without(ledger, USUAL, NOW)


def test_where_a_declaration_is_of_another_time_all_is_rendered(ledger: MemoryLedger) -> None:
    silent = Configured(IN_UTC, (Declaration("silent", Selection("shop", request_id="nobody"), interval=DAY),))
    ledger.declare([("shop", "silent")], NOW)
    Process(ledger, silent, NOW).stop(NOW)
    for exports in ledger.declared(), {("shop", "silent"): NOW - HOUR}:
        patched = pytest.MonkeyPatch()
        patched.setattr(ledger, "_declared", dict(exports))
        second = Process(ledger, silent, NOW)
        assert (second.rendered > OF_SOURCES) == (exports != {("shop", "silent"): NOW})
        assert second.shown() == second.expected(NOW)
        patched.undo()


def test_nothing_is_kept_of_a_process_that_could_not_read_the_ledger(ledger: MemoryLedger) -> None:
    process = stopped(ledger)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ledger, "tallies", lambda: (_ for _ in ()).throw(StoreError("away")))
        with pytest.raises(StoreError, match="away"):
            process.collector.refresh(NOW)
    assert process.text() is None
    process.collector.refresh(NOW)
    assert process.text() is not None


def test_after_a_time_in_which_nobody_listened_all_is_rendered(ledger: MemoryLedger) -> None:
    ledger.beat("me", NOW)
    first = stopped(ledger)
    ledger.beat("me again", NOW + HOUR)
    second = Process(ledger, USUAL, NOW + HOUR)
    assert second.rendered == first.rendered
    assert second.shown() == second.expected(NOW + HOUR)


def test_only_a_stop_keeps_the_text_and_what_is_written_later_removes_it(ledger: MemoryLedger) -> None:
    process = stopped(ledger)
    assert text_of(ledger) is not None
    process.stop(NOW, leaving=False)
    assert text_of(ledger) is None


def test_of_more_exports_than_are_wanted_nothing_is_kept(ledger: MemoryLedger) -> None:
    shown = len(stopped(ledger).reader.shown())
    process = Process(ledger, USUAL, NOW)
    assert (process.collector.kept(shown) is None, process.collector.kept(shown - 1)) == (False, None)


def test_nothing_is_kept_where_nothing_is_shown_or_something_is_over_the_limit_or_not_yet_shown() -> None:
    ledger = MemoryLedger()
    configured = Configured(IN_UTC, (), 1)
    process = Process(ledger, configured, NOW)
    assert process.text() is None
    ledger.append([received(event("initiated", NOW))])
    process.collector.refresh(NOW)
    assert process.text() is not None
    ledger.append([received(event("initiated", NOW, partner="Azure"))])
    process.reader.refresh()
    assert process.text() is None
    process.collector.refresh(NOW)
    assert process.collector.hidden()
    assert process.text() is None


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: text[:8], lambda text: f"{text[:90]}x"])
def test_a_damaged_row_is_survived(ledger: MemoryLedger, damage: Callable[[str], str]) -> None:
    stopped(ledger)
    ledger.folds.kept[checkpoint.TEXT] = damage(ledger.folds.kept[checkpoint.TEXT])
    second = Process(ledger, USUAL, NOW)
    assert second.reader.saved is None
    assert second.shown() == second.expected(NOW)


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-1], lambda text: text.replace("figures", "f"), lambda text: text.replace("=", "")]
)
def test_a_row_whose_checksum_holds_and_that_says_something_else_is_survived(
    ledger: MemoryLedger, damage: Callable[[str], str]
) -> None:
    stopped(ledger)
    text = snapshot.opened(ledger.folds.kept[checkpoint.TEXT])
    assert damage(text) != text
    ledger.folds.kept[checkpoint.TEXT] = snapshot.sealed(damage(text))
    second = Process(ledger, USUAL, NOW)
    assert second.rendered == rendered_without(ledger, USUAL, NOW)
    assert second.shown() == second.expected(NOW)


def test_another_code_makes_another_text(tmp_path: Path) -> None:
    assert not kept_text.code_in(tmp_path)
    seen = Counter[str]()
    for number, (name, code) in enumerate([("a.py", "1"), ("a.py", "2"), ("b.py", "1")], 1):
        (tmp_path / name).write_text(code, "utf-8")
        seen.update([kept_text.code_in(tmp_path), kept_text.origin_of([SHOP], kept_text.code_in(tmp_path))])
        assert len(seen) == 2 * number
    assert not kept_text.origin_of([SHOP], "")


def test_where_the_code_cannot_be_told_nothing_is_kept(ledger: MemoryLedger) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_text.origin_of, "__defaults__", ("",))
        stopped(ledger)
    assert text_of(ledger) is None


def test_other_rules_of_a_clock_make_another_text(tmp_path: Path) -> None:
    berlin = Source("shop", "Europe/Berlin", ZoneInfo("Europe/Berlin"))
    found = {kept_text.origin_of([each]) for each in (berlin, SHOP, Source("shop", "UTC", ZoneInfo("UTC")))}
    assert len(found) == 3
    before = zoneinfo.TZPATH

    def in_a_new_process() -> str:
        kept_text.rules_of.cache_clear()
        return kept_text.origin_of([berlin])

    try:
        zoneinfo.reset_tzpath([])
        told = of_the_package = in_a_new_process()  # tzdata's, which is there wherever the system has none
        (tmp_path / "Europe").mkdir()
        zoneinfo.reset_tzpath([str(tmp_path)])
        assert in_a_new_process() == of_the_package
        for rules in (b"one", b"another"):
            (tmp_path / "Europe" / "Berlin").write_bytes(rules)
            assert kept_text.origin_of([berlin]) == told, "a zone that is known is not read again"
            told = in_a_new_process()
            found.add(told)
    finally:
        kept_text.rules_of.cache_clear()
        zoneinfo.reset_tzpath(before)
    assert len(found) == 5
