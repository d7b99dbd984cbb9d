"""Epochs: stretches in which a clock that nobody can set ran without a break, and how they are dated. Pure.

A stamp is an instant as two facts: its epoch, and the microseconds on the clock of that epoch. The Unix time of a
stamp is computed: the microseconds plus the offset of the epoch, which is corrected when the wall clock was wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

STEP_US = 1_000_000
"""Microseconds by which a wall clock may differ from the offset of its epoch before the difference is a step."""
REPLICA_TOLERANCE_US = 60_000_000
"""Microseconds by which a heartbeat of another replica may seem to lie in the future."""


class Epoch(NamedTuple):
    """The epoch of an instant, with the offset that dated it.

    Attributes:
        id: its number in the store; 0 for an instant that was not read from a clock, such as an imported one.
        offset_us: microseconds to add to the clock of the epoch to get Unix time.
    """

    id: int = 0
    offset_us: int = 0


GIVEN = Epoch()
"""The epoch of instants that were not read from a clock."""


@dataclass(frozen=True, slots=True)
class StoredEpoch:
    """An epoch as the store has it.

    Attributes:
        id: its number; epochs are numbered in the order in which they began.
        boot_id: identifies the boot of the kernel whose clock it is.
        offset_us: microseconds from its clock to Unix time, as known now.
        dated_offset_us: the offset by which its events are dated; another one than ``offset_us`` until they are
            dated again.
        first_us: its first stamp, on its clock.
        last_us: its last heartbeat, on its clock.
    """

    id: int
    boot_id: str
    offset_us: int
    dated_offset_us: int
    first_us: int
    last_us: int

    @property
    def began_us(self) -> int:
        """Its beginning in Unix microseconds."""
        return self.first_us + self.offset_us

    @property
    def ended_us(self) -> int:
        """Its last heartbeat in Unix microseconds."""
        return self.last_us + self.offset_us


def bracketed_offsets(epochs: Sequence[StoredEpoch], live_id: int, behind: Container[int] = ()) -> dict[int, int]:
    """Return new offsets for the epochs before the live one, which cannot have been when their offsets say.

    Each of them ended before the next one began. An epoch is moved so that it ends just then if it

    - ends later than that,
    - begins before the previous one ended, which was not later than that, or
    - is one of ``behind``.

    Args:
        epochs: all epochs of one machine, in order.
        live_id: the epoch of the clock that shows the present.
        behind: epochs whose clock is known to have been behind.
    """
    offsets: dict[int, int] = {}
    latest_us = next(epoch.began_us for epoch in epochs if epoch.id == live_id)
    ended = [epoch for epoch in epochs if epoch.id < live_id]
    for index in range(len(ended) - 1, -1, -1):
        epoch = ended[index]
        previous_us = ended[index - 1].ended_us if index else epoch.began_us
        is_behind = epoch.id in behind or epoch.began_us + STEP_US < previous_us <= latest_us + STEP_US
        if epoch.ended_us > latest_us + STEP_US or (is_behind and epoch.ended_us < latest_us - STEP_US):
            offsets[epoch.id] = latest_us - epoch.last_us
        latest_us = min(latest_us, epoch.first_us + offsets.get(epoch.id, epoch.offset_us))
    return offsets


def offsets_not_ahead(epochs: Iterable[StoredEpoch], live_id: int, now_us: int) -> dict[int, int]:
    """Return new offsets for epochs of other replicas whose last heartbeat lies in the future: they end now."""
    return {
        epoch.id: now_us - epoch.last_us
        for epoch in epochs
        if epoch.id != live_id and epoch.ended_us > now_us + REPLICA_TOLERANCE_US
    }
