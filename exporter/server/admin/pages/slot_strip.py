"""The last slots of an export as a strip of bars, oldest left, each with a shape and a colour of its outcome. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from exporter.domain.slot_outcomes import LATE, MAX_SLOTS, MISSED, ON_TIME, OUTCOMES, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.slot_outcomes import SlotOutcome

SLOT_WIDTH = 6
WIDTH, HEIGHT = MAX_SLOTS * SLOT_WIDTH, 16

_SHAPES = {
    ON_TIME: "M{} 0h4v16h-4Z",
    LATE: "M{} 7h4v9h-4Z",
    MISSED: "M{0} 0h4v4h-4ZM{0} 6h4v4h-4ZM{0} 12h4v4h-4Z",
    UNKNOWN: "M{} 13h4v3h-4Z",
}
"""A full bar, half a bar, a broken bar, and a dash at the bottom, as paths with the left edge left out."""


LEGEND = {outcome.replace(" ", "-"): shape.format(0) for outcome, shape in _SHAPES.items()}
"""The path of one bar by the class of its outcome."""


class Strip(NamedTuple):
    """What a template draws.

    Attributes:
        label: the outcomes in words.
        paths: a class of the style sheet and an SVG path for each outcome that occurs.
    """

    label: str
    paths: tuple[tuple[str, str], ...]


def strip(slots: Sequence[SlotOutcome]) -> Strip:
    """Return the strip of the last slots, at the right if they are fewer than `MAX_SLOTS`."""
    begin = MAX_SLOTS - len(slots)
    drawn: dict[str, list[str]] = {}
    for number, slot in enumerate(slots, begin):
        drawn.setdefault(slot.outcome, []).append(_SHAPES[slot.outcome].format(number * SLOT_WIDTH))
    counts = Counter(slot.outcome for slot in slots)
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    return Strip(
        f"Last {len(slots)} slots: {words}",
        tuple((outcome.replace(" ", "-"), "".join(paths)) for outcome, paths in drawn.items()),
    )


def bars(slots: Sequence[SlotOutcome]) -> list[tuple[SlotOutcome, str, str]]:
    """Return for each slot, from the left edge on, its class of the style sheet and its SVG path."""
    return [
        (slot, slot.outcome.replace(" ", "-"), _SHAPES[slot.outcome].format(number * SLOT_WIDTH))
        for number, slot in enumerate(slots)
    ]
