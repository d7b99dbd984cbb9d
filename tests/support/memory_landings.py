"""The checks of landings in memory, for `memory_ledger.MemoryLedger`."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from typing import TYPE_CHECKING

from exporter.ledger.landing_store import LEASE_SECONDS

if TYPE_CHECKING:
    from exporter.domain.epochs import Epoch
    from exporter.domain.landing import LandingCheck


class MemoryLandingStore:
    """An `exporter.ledger.landing_store.LandingStore` in a list."""

    def __init__(self) -> None:
        self._checks: list[LandingCheck] = []
        self._owner = ("", 0.0)

    def append(self, check: LandingCheck, _epoch: Epoch) -> None:
        same = [each.total for each in self._checks if _key(each) == _key(check)]
        sequence = self._checks[-1].sequence + 1 if self._checks else 1
        self._checks.append(replace(check, total=max(same, default=0) + 1, sequence=sequence))

    def read_newest(self, limit: int) -> list[LandingCheck]:
        newest = {_key(check): check for check in self._checks}.values()
        by_export: defaultdict[str, deque[LandingCheck]] = defaultdict(lambda: deque(maxlen=limit))
        for check in self._checks:
            by_export[check.export_id].append(check)
        return [check for check in self._checks if check in newest or check in by_export[check.export_id]]

    def read(self, after: int) -> list[LandingCheck]:
        return [check for check in self._checks if check.sequence > after]

    def lease(self, instance_id: str, now: float, _epoch: Epoch) -> bool:
        owner, renewed_at = self._owner
        if owner not in {"", instance_id} and abs(now - renewed_at) < LEASE_SECONDS:
            return False
        self._owner = (instance_id, now)
        return True

    def prune(self, before: float, limit: int) -> int:
        newest = {_key(check): check for check in self._checks}.values()
        old = [check for check in self._checks if check.checked_at < before and check not in newest][:limit]
        self._checks = [check for check in self._checks if check not in old]
        return len(old)


def _key(check: LandingCheck) -> tuple[str, str]:
    return check.export_id, check.result
