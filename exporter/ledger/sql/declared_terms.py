"""The terms of declared exports in a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from exporter.domain.terms import Terms, TermsChange, in_effect
from exporter.ledger.instants import from_micros, to_micros
from exporter.ledger.schema import declared_terms, epochs
from exporter.ledger.sql.checked_writes import insert_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from exporter.domain.epochs import Epoch
    from exporter.ledger.sql.database import Database

_TERMS = (
    select(
        declared_terms.c.source,
        declared_terms.c.name,
        declared_terms.c.changed_us + epochs.c.offset_us,
        declared_terms.c.interval_s,
        declared_terms.c.grace_s,
    )
    .join(epochs, epochs.c.id == declared_terms.c.epoch)
    .order_by(declared_terms.c.sequence)
)
_NEWEST = select(func.max(declared_terms.c.sequence)).group_by(declared_terms.c.source, declared_terms.c.name)
_NEWEST_TERMS = select(
    declared_terms.c.source, declared_terms.c.name, declared_terms.c.interval_s, declared_terms.c.grace_s
).where(declared_terms.c.sequence.in_(_NEWEST))


def record_terms(database: Database, terms: Mapping[tuple[str, str], Terms], now: float, epoch: Epoch) -> None:
    """Append the terms that differ from the newest ones."""
    with database.writing("declare") as connection:
        newest = {
            (source, name): Terms(interval, grace)
            for source, name, interval, grace in connection.execute(_NEWEST_TERMS)
        }
        rows = [
            {
                "source": key[0],
                "name": key[1],
                "interval_s": each.interval,
                "grace_s": each.grace,
                "changed_us": to_micros(now) - epoch.offset_us,
                "epoch": epoch.id,
            }
            for key, each in terms.items()
            if newest.get(key) != each
        ]
        if rows:
            insert_rows(connection, insert(declared_terms), rows)


def read_terms(database: Database) -> Mapping[tuple[str, str], Sequence[TermsChange]]:
    """When the terms of each export changed."""
    loaded: dict[tuple[str, str], list[TermsChange]] = {}
    for source, name, changed_us, interval, grace in database.cached_query(_TERMS):
        loaded.setdefault((source, name), []).append(TermsChange(from_micros(changed_us), Terms(interval, grace)))
    return {key: in_effect(changes) for key, changes in loaded.items()}
