"""Opens the store for a command."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from exporter.ledger.access import Access

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from exporter.config.loader import Config
    from exporter.ledger.sql.ledger import SqlLedger
    from exporter.projection.projector import Projector


@contextmanager
def open_store(path: Path | None, access: Access = Access.READ) -> Iterator[tuple[Config, Projector, SqlLedger]]:
    """Yield the configuration, a projector that has caught up with the store, and the store itself.

    A missing store is not created: a mistyped path would look like an exporter without events.

    Raises:
        ConfigurationError: the configuration is invalid.
        StoreRefusedError: there is no database, or it cannot be used.
        StoreError: it cannot be read.
    """
    # These take most of a second to import, and a command that asks a running exporter needs none of them.
    from exporter.config import loader  # noqa: PLC0415
    from exporter.ledger.sql.ledger import SqlLedger  # noqa: PLC0415
    from exporter.projection.projector import Projector  # noqa: PLC0415

    settings = loader.load(path, os.environ)
    ledger = SqlLedger(settings.store_url, access=access)
    try:
        projector = Projector(ledger, settings.sources_without_credentials, settings.exports)
        projector.catch_up()
        yield settings, projector, ledger
    finally:
        ledger.close()
