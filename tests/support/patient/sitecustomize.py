"""Raises the time limits of the exporter that a busy machine may exceed, in every process that imports this.

`conftest` imports it. Python imports a module of this name whenever it starts, so an exporter in a process of its own
needs only this folder in ``PYTHONPATH``. The limits have tests of their own, which use the fixture `shipped_limits`.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

SECONDS = 120
"""Ends only a test that hangs."""


def _with_busy_timeout(settings: tuple[str, ...]) -> tuple[str, ...]:
    return (f"busy_timeout = {SECONDS * 1000}", *settings[1:])


def _with_network_timeouts(options: Mapping[str, object]) -> Mapping[str, object]:
    return {**options, "connect_timeout": SECONDS, "tcp_user_timeout": SECONDS * 1000}


RAISED: dict[str, dict[str, Any]] = {
    "exporter.cli.alertmanager": {"ROUTING_SECONDS": SECONDS, "TIMEOUT_SECONDS": SECONDS},
    "exporter.cli.remote_exporter": {"TIMEOUT_SECONDS": SECONDS},
    "exporter.cli.verification": {"ADMIN_TIMEOUT_SECONDS": SECONDS, "VENDOR_TIMEOUT_SECONDS": SECONDS},
    "exporter.cli.webhook_client": {"ADMIN_TIMEOUT_SECONDS": SECONDS, "VENDOR_TIMEOUT_SECONDS": SECONDS},
    "exporter.ledger.postgres.engine": {
        "CONNECT_SECONDS": SECONDS,
        "TRANSACTION_SECONDS": SECONDS,
        "_NETWORK": _with_network_timeouts,
    },
    "exporter.ledger.sql.database": {"RETRY_SECONDS": SECONDS},
    "exporter.ledger.sqlite.file": {
        "BUSY_TIMEOUT": SECONDS,
        "_READ_SETTINGS": _with_busy_timeout,
        "_SETTINGS": _with_busy_timeout,
    },
    "exporter.server.listeners": {"COMMIT_TIMEOUT_SECONDS": SECONDS},
}
"""By module and name: the raised limit, or what makes it from the shipped one."""
SHIPPED: dict[tuple[str, str], object] = {}
"""The shipped limits of the modules that were imported, by module and name."""


def _raise_limits(module: ModuleType) -> None:
    for name, raised in RAISED[module.__name__].items():
        shipped = SHIPPED[module.__name__, name] = getattr(module, name)
        setattr(module, name, raised(shipped) if callable(raised) else raised)


class _Finder:
    """Finds the modules of `RAISED` as usual, and raises their limits as soon as they are imported."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name in RAISED else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            _raise_limits(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Finder())
for imported in RAISED.keys() & sys.modules.keys():
    _raise_limits(sys.modules[imported])
