"""The events of an export are found in SQLite, by its indexes, whatever blocks they are in."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove

from builders import HOUR, accepted_event, at, event
from exporter.domain.exports import Selection
from exporter.ledger.schema import BLOCK_BITS
from exporter.ledger.sql import sqlite_lookup
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite.file import connect
from tools import thorough

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from exporter.domain.events import Event

BLOCK = 1 << BLOCK_BITS
IDS = ("one", "two", "three")
PARTNERS = ("Amazon S3", "Azure")
SELECTIONS = [
    Selection("shop"),
    Selection("nobody"),
    Selection("shop", partner="azure"),
    *(Selection(source, request_id=each) for source in ("shop", "other") for each in (*IDS, "no such")),
    *(Selection("shop", partner=each, data_type="EVENTS", frequency="4h") for each in PARTNERS),
    Selection("shop", request_id="one", partner="Azure", data_type="events", frequency="4h"),
]
made_up = st.tuples(st.sampled_from(("shop", "other")), st.sampled_from(IDS), st.sampled_from(PARTNERS))
distances = st.one_of(st.just(1), st.integers(1, BLOCK), st.integers(1, 9).map(lambda blocks: blocks * BLOCK))


def append(path: Path, ledger: SqlLedger, told: Sequence[tuple[tuple[str, str, str], int]]) -> None:
    """Append events of (source, id, partner), as many sequences after each other as told."""
    last = 0
    for index, ((source, request_id, partner), distance) in enumerate(told):
        last += distance
        with closing(connect(path, "rw")) as connection:
            connection.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'events'", (last - 1,))
        given = event("initiated", at("0:00") + index * HOUR, request_id=request_id, partner=partner, source=source)
        ledger.append([accepted_event(given)])


def request_ids(path: Path) -> list[tuple[str, str, int, int, int]]:
    with closing(connect(path, "ro")) as connection:
        return connection.execute("SELECT * FROM request_ids ORDER BY source, request_id").fetchall()


def counted(events: Sequence[Event]) -> list[tuple[str, str, int, int, int]]:
    """What is to be known of the ids of events."""
    found: dict[tuple[str, str], list[int]] = {}
    for each in events:
        found.setdefault((each.source, each.request_id), []).append(each.sequence)
    return sorted((*key, min(own), max(own), len(own)) for key, own in found.items())


@thorough
@given(
    told=st.lists(st.tuples(made_up, distances), max_size=30), upto=st.integers(0, 40 * BLOCK), page=st.integers(1, 4)
)
def test_every_lookup_finds_what_a_look_at_all_events_finds(
    told: list[tuple[tuple[str, str, str], int]], upto: int, page: int
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite_lookup, "PAGE_SIZE", page)
        patch.setattr(sqlite_lookup, "SMALL_PAGE", page)
        path = Path(folder) / "ledger.db"
        with closing(SqlLedger(f"sqlite:///{path}")) as ledger:
            append(path, ledger, told)
            everything = ledger.read(0)
            known = [each for each in everything if each.sequence <= upto]
            for selection in SELECTIONS:
                wanted = [each for each in known if selection.matches(each)]
                assert list(ledger.select(selection, upto)) == wanted
                assert list(ledger.select_newest_first(selection, upto)) == wanted[::-1]
            found = ledger.read_ids("shop", {"one", "three", "no such"}, upto)
            wanted = [each for each in known if each.source == "shop" and each.request_id in {"one", "three"}]
            assert sorted(found, key=lambda each: each.sequence) == wanted
            assert request_ids(path) == counted(everything)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[tuple[Path, SqlLedger]]:
    path = tmp_path / "ledger.db"
    with closing(SqlLedger(f"sqlite:///{path}")) as ledger:
        told = [(("shop", IDS[index % 3], PARTNERS[index % 2]), 1 + index % 2 * BLOCK) for index in range(40)]
        append(path, ledger, told)
        yield path, ledger


def test_an_id_is_known_until_its_last_event_is_removed(stored: tuple[Path, SqlLedger]) -> None:
    path, ledger = stored
    events = ledger.read(0)
    with closing(connect(path, "rw")) as connection:
        for each in events:
            connection.execute("DELETE FROM events WHERE sequence = ?", (each.sequence,))
            left = [other for other in events if other.sequence > each.sequence]
            found = [(source, request_id, number) for source, request_id, _, _, number in request_ids(path)]
            assert found == [(source, request_id, number) for source, request_id, _, _, number in counted(left)]
            assert list(ledger.select(Selection("shop", request_id="one"), BLOCK * 99)) == [
                other for other in left if other.request_id == "one"
            ]


def test_a_duplicate_and_an_event_that_is_taken_back_are_not_counted(stored: tuple[Path, SqlLedger]) -> None:
    path, ledger = stored
    before = request_ids(path)
    assert ledger.append([accepted_event(each) for each in ledger.read(0)]) == [False] * 40
    with closing(connect(path, "rw")) as connection:
        connection.execute("BEGIN")
        connection.execute("DELETE FROM events")
        connection.execute("ROLLBACK")
    assert request_ids(path) == before == counted(ledger.read(0))


def test_an_amended_event_is_found_under_its_other_id(stored: tuple[Path, SqlLedger]) -> None:
    path, ledger = stored
    events = ledger.read(0)
    with closing(connect(path, "rw")) as connection:
        for sequence, request_id in (
            (events[0].sequence, "two"),
            (events[20].sequence, "four"),
            (events[1].sequence, "two"),
        ):
            connection.execute("UPDATE events SET request_id = ? WHERE sequence = ?", (request_id, sequence))
    amended = ledger.read(0)
    assert list(ledger.select(Selection("shop", request_id="four"), BLOCK * 99)) == [amended[20]]
    assert list(ledger.select(Selection("shop", request_id="two"), BLOCK * 99)) == [
        each for each in amended if each.request_id == "two"
    ]
    found = {(source, request_id): number for source, request_id, _, _, number in request_ids(path)}
    assert found == {(source, request_id): number for source, request_id, _, _, number in counted(amended)}


BY_REQUEST = "SEARCH events USING INDEX events_by_block_and_request_id (<expr>=? AND source=? AND request_id=?"
BY_GROUP = "SEARCH events USING INDEX events_by_block_and_group (<expr>=? AND source=? AND group_key=?"
IN_ORDER = "SEARCH events USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"
A_GROUP = Selection("shop", partner="Azure", data_type="events", frequency="4h")


@pytest.mark.parametrize(
    ("looking", "plan"),
    [
        (lambda ledger: ledger.select(Selection("shop", request_id="one"), BLOCK * 99), BY_REQUEST),
        (lambda ledger: ledger.select(A_GROUP, BLOCK * 99), BY_GROUP),
        (lambda ledger: ledger.select_newest_first(A_GROUP, BLOCK * 99), BY_GROUP),
        (lambda ledger: ledger.select(Selection("shop"), BLOCK * 99), IN_ORDER),
        (lambda ledger: ledger.select_newest_first(Selection("shop"), BLOCK * 99), IN_ORDER),
        (lambda ledger: ledger.read_ids("shop", IDS, BLOCK * 99), BY_REQUEST),
        (lambda ledger: ledger.newest("shop", after=5), IN_ORDER.replace(" AND rowid<?", "")),
    ],
)
def test_events_are_only_read_where_an_index_says_that_they_are(
    stored: tuple[Path, SqlLedger], looking: Callable[[SqlLedger], Iterable[Event]], plan: str
) -> None:
    path, ledger = stored
    said: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, values: object, *_: object) -> None:
        said.append((statement, values))

    listen(Engine, "before_cursor_execute", note)
    try:
        assert list(looking(ledger))
    finally:
        remove(Engine, "before_cursor_execute", note)
    with closing(connect(path, "ro")) as connection:
        plans = [connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall() for statement, values in said]
    steps = {step for each in plans for *_, step in each if "events" in step}
    steps.discard("SEARCH events")  # the first and the last sequence: one hop each
    assert {step for step in steps if step.startswith(plan)} == steps != set()
