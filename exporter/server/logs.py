"""Logging to standard error: JSON by default, columns on a terminal."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor

    from exporter.config.settings import Log


def configure(settings: Log) -> None:
    """Configure one format for the logs of this package, gunicorn and the libraries."""
    as_json = settings.format == "json" or (settings.format == "auto" and not sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _escape_values,
    ]
    renderers: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if as_json
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[*shared, *renderers],
        logger_factory=lambda *_: StandardError(),
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[settings.level.upper()]),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    for name in ("gunicorn.error", "alembic"):
        # This package logs each start, stop and migration itself.
        logging.getLogger(name).setLevel(logging.DEBUG if settings.level == "debug" else logging.WARNING)


class StandardError:
    """The logger of this package: it writes to standard error; what cannot be written there is lost.

    The `logging` module, which other libraries use, takes three times as long for a line.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def write(self, line: str) -> None:
        """Write a line."""
        with self._lock, suppress(OSError, ValueError):  # such as a full disk, or a closed pipe
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = write


def _escape_values(_logger: object, _method: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    """Escape control characters, so that a client cannot forge log lines or control a terminal."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = value if value.isprintable() else value.encode("unicode_escape").decode()
    return event
