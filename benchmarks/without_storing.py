"""The exporter with a ledger that claims to have stored what it is given: what everything but the store costs.

Started by `ingest.py` in the place of the command, with its arguments. Every request takes the same way through
connections, Flask, JSON and the vendor's format, and is answered as if its events were new.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.cli.main import main
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.ledger.contract import Entry


def _store_nothing(_: SqlLedger, entries: Sequence[Entry]) -> list[bool]:
    return [True] * len(entries)


SqlLedger.append = _store_nothing  # type: ignore[method-assign,assignment]
main()
