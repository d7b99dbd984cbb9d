"""The last slots of an export and what became of each, packed into few bytes because each export has some. Pure."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SLOTS = 30
"""How many of the last slots are kept."""

ON_TIME = "on time"
LATE = "late"
MISSED = "missed"
UNKNOWN = "unknown"
OUTCOMES = (ON_TIME, LATE, MISSED, UNKNOWN)
"""What can become of a slot; stored as the index."""

_SLOT = Struct("<BII")
_MAX_SECONDS = 2**32 - 1


class SlotOutcome(NamedTuple):
    """A slot and what became of it; times are Unix seconds.

    Attributes:
        outcome: one of `OUTCOMES`.
        due_at: when the completion was expected, without the grace period. For a completion that begins a schedule,
            that completion.
        completed_at: 0 for a slot that is missed or unknown.
    """

    outcome: str
    due_at: float
    completed_at: float = 0


def with_slots(packed: bytes, slots: Iterable[tuple[str, float, float]]) -> bytes:
    """Return packed slots with the fields of later ones added, without those before the last `MAX_SLOTS`."""
    more = b"".join(
        _SLOT.pack(OUTCOMES.index(outcome), _whole_seconds(due_at), _whole_seconds(completed_at))
        for outcome, due_at, completed_at in slots
    )
    return (packed + more)[-MAX_SLOTS * _SLOT.size :]


def unpack(packed: bytes) -> tuple[SlotOutcome, ...]:
    """Return packed slots, the oldest first; their times are whole seconds."""
    return tuple(
        SlotOutcome(OUTCOMES[outcome], due, completed) for outcome, due, completed in _SLOT.iter_unpack(packed)
    )


def _whole_seconds(instant: float) -> int:
    return min(max(0, int(instant)), _MAX_SECONDS)
