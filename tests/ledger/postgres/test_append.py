"""Why an append in PostgreSQL locks a row: without it, a reader passes by what is committed out of order."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import sql

from builders import accepted_event, at, event
from exporter.domain.events import QuarantinedBody
from exporter.ledger.postgres import append as postgres_append
from exporter.ledger.rows import Batch
from exporter.ledger.schema import events, quarantine
from exporter.ledger.sql.ledger import SqlLedger
from running import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from exporter.ledger.contract import Entry
    from postgres import Postgres

    Append = Callable[[Any, Batch], object]

EVENTS: tuple[Entry, ...] = (
    accepted_event(event("initiated", at("0:00"))),
    accepted_event(event("completed", at("0:10"))),
)
BODIES: tuple[Entry, ...] = tuple(
    QuarantinedBody("default", at("0:00"), "bad_date", "", body, body * 16) for body in (b"1", b"2")
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of two appends that were under way together, the first with the lower number.

    Attributes:
        waited: whether the second let the first be committed before it.
        followed: the sequences that a reader saw who looked in between and afterwards, each time past the last one.
        there: all sequences in the end.
    """

    waited: bool
    followed: list[int]
    there: list[int]


def numbered_by_the_server(cursor: Any, batch: Batch) -> None:  # noqa: ANN401 - psycopg's
    """As `postgres_append.append` would be without heads: with the numbers that the column has by default."""
    for table, rows in ((events, batch.events), (quarantine, batch.quarantined)):
        columns = [column for column in table.c if column.name != "sequence"]
        values = ("%s::integer::boolean" if column.name in {"skewed", "offset_in_text"} else "%s" for column in columns)
        insert = sql.SQL("INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING").format(
            sql.Identifier(table.name),
            sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
            sql.SQL(", ").join(map(sql.SQL, values)),
        )
        cursor.executemany(insert, rows)


def follow(postgres: Postgres, url: str, entries: tuple[Entry, ...], append: Append) -> Seen:
    """Append twice at the same time, commit the second as soon as it can be, and read before the first is."""
    database = url.rpartition("/")[2]
    with closing(SqlLedger(url)) as ledger:

        def read(after: int) -> list[int]:
            found = [each.sequence for each in ledger.read(after)]
            return found + [each.sequence for each in ledger.quarantine(after=after)]

        with (
            postgres.connect(database) as one,
            postgres.connect(database) as other,
            ThreadPoolExecutor(1) as pool,
        ):

            def second() -> None:
                with other.transaction():
                    append(other.cursor(), Batch([entries[1]]))

            with one.transaction():
                append(one.cursor(), Batch([entries[0]]))
                done = pool.submit(second)
                deadline = time.monotonic() + PATIENCE_SECONDS
                while not (waits := waiting(postgres, other.info.backend_pid)) and not done.done():
                    assert time.monotonic() < deadline
                followed = read(0)
            done.result(PATIENCE_SECONDS)
        followed += read(followed[-1] if followed else 0)
        return Seen(waits, followed, read(0))


def waiting(postgres: Postgres, pid: int) -> bool:
    """Whether a connection waits for another's lock."""
    return postgres.execute("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", pid) == [(True,)]


@pytest.mark.parametrize("entries", [EVENTS, BODIES], ids=["events", "quarantine"])
def test_the_second_of_two_appends_waits_and_a_reader_passes_nothing_by(
    postgres: Postgres, postgres_url: str, entries: tuple[Entry, ...]
) -> None:
    assert follow(postgres, postgres_url, entries, postgres_append.append) == Seen(
        waited=True, followed=[1, 2], there=[1, 2]
    )


@pytest.mark.parametrize("entries", [EVENTS, BODIES], ids=["events", "quarantine"])
def test_numbered_by_the_server_the_same_reader_would_lose_the_first_for_ever(
    postgres: Postgres, postgres_url: str, entries: tuple[Entry, ...]
) -> None:
    """The control of the test above."""
    assert follow(postgres, postgres_url, entries, numbered_by_the_server) == Seen(
        waited=False, followed=[2], there=[1, 2]
    )
