"""The contract of what a ledger stores of the checks whether the files of exports have landed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from exporter.domain.epochs import Epoch
    from exporter.domain.landing import LandingCheck

LEASE_SECONDS = 60.0
"""A lease that its owner has not renewed for so long may be taken by another replica."""


class LandingStore(Protocol):
    """The checks of a ledger. Every method may raise `exporter.domain.errors.StoreError`."""

    def append(self, check: LandingCheck, epoch: Epoch) -> None:
        """Append a check, with its ``total`` counted by the store and its ``checked_at`` on the clock of an epoch."""

    def read_newest(self, limit: int) -> list[LandingCheck]:
        """The newest ``limit`` checks of each export, and its newest one of each result, in the order of storing."""

    def read(self, after: int) -> list[LandingCheck]:
        """The checks after a sequence, in order."""

    def lease(self, instance_id: str, now: float, epoch: Epoch) -> bool:
        """Take or renew the lease to make checks; returns whether this instance has it now."""

    def prune(self, before: float, limit: int) -> int:
        """Remove up to ``limit`` checks made before an instant, and return how many.

        The newest one of each export and result stays, since it has the total.
        """
