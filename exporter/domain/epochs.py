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
"""Microseconds by which a heartbeat of another replica may seem to be in the future."""


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
        measured_us: microseconds from its clock to the wall clock, as measured last.
        offset_us: microseconds from its clock to Unix time, as far as is known now: as measured, unless other
            epochs show that this cannot be.
        dated_us: the offset by which its events are dated; another one than ``offset_us`` until they are dated again.
        first_us: its first stamp, on its clock.
        last_us: its last heartbeat, on its clock.
    """

    id: int
    boot_id: str
    measured_us: int
    offset_us: int
    dated_us: int
    first_us: int
    last_us: int


def bracketed_offsets(epochs: Sequence[StoredEpoch], live_id: int, behind: Container[int] = ()) -> dict[int, int]:
    """Return the offsets of all epochs before the live one.

    Each of them ended before the next one began. An epoch has the offset that was measured, unless it would then

    - end later than that,
    - begin before the previous one ended, which was not later than that, or
    - is one of ``behind``.

    Such an epoch ends just as the next one begins. Nothing else depends on what was computed before, so that a clock
    that was wrong for one epoch leaves no trace in the others.

    Args:
        epochs: all epochs of one machine, in order.
        live_id: the epoch of the clock that shows the present.
        behind: epochs whose clock is known to have been behind.
    """
    offsets: dict[int, int] = {}
    latest_us = next(epoch.first_us + epoch.measured_us for epoch in epochs if epoch.id == live_id)
    ended = [epoch for epoch in epochs if epoch.id < live_id]
    for index in range(len(ended) - 1, -1, -1):
        epoch = ended[index]
        began_us, ended_us = epoch.first_us + epoch.measured_us, epoch.last_us + epoch.measured_us
        previous_us = ended[index - 1].last_us + ended[index - 1].measured_us if index else began_us
        is_behind = epoch.id in behind or began_us + STEP_US < previous_us <= latest_us + STEP_US
        is_moved = ended_us > latest_us + STEP_US or (is_behind and ended_us < latest_us - STEP_US)
        offsets[epoch.id] = latest_us - epoch.last_us if is_moved else epoch.measured_us
        latest_us = min(latest_us, epoch.first_us + offsets[epoch.id])
    return offsets


def offsets_not_ahead(epochs: Iterable[StoredEpoch], live_id: int, now_us: int) -> dict[int, int]:
    """Return the offsets of the epochs of other replicas, none of which has a heartbeat in the future."""
    offsets: dict[int, int] = {}
    for epoch in epochs:
        if epoch.id != live_id:
            latest_us = now_us + REPLICA_TOLERANCE_US - epoch.last_us
            possible = [offset_us for offset_us in (epoch.measured_us, epoch.offset_us) if offset_us <= latest_us]
            offsets[epoch.id] = possible[0] if possible else now_us - epoch.last_us
    return offsets
