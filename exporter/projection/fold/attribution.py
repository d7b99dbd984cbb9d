"""Decides which export an event belongs to: a declared export, a detected one, or its group. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.domain.exports import (
    DECLARED,
    DETECTED,
    GROUP_LABEL,
    OVERFLOW_LABEL,
    ExportKey,
    Selection,
    key_of_declaration,
    key_of_group,
    key_of_request_id,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from exporter.domain.events import Event
    from exporter.domain.exports import Declaration


class Attribution:
    """The rules that attribute events to exports, and the request ids detected so far.

    Within its source, an event belongs to the first of these that applies:

    =====================================================  ==========================================
    event                                                  belongs to
    =====================================================  ==========================================
    matches one or more declared exports                   the first of them in the configuration
    has an interval, and its request id is detected        the detected export of that id
    has an interval, and its request id is not detected    its group; once the id is detected,
                                                           the earlier events move with it
    has no interval: one-time or unknown frequency         its group, whatever its request id
    has no request id, as from a vendor that gives none    its group
    =====================================================  ==========================================

    An id is detected when it recurs: a second run starts or completes at least half an interval
    after the first (`exporter.projection.fold.runs.has_recurred`). An id that equals the name of a
    declared export or a reserved label is never detected, because two exports would share a label.

    Args:
        declarations: in the order of the configuration.
        detected: exports that are already detected.
    """

    def __init__(self, declarations: Sequence[Declaration], detected: Iterable[ExportKey]) -> None:
        self._detected = set(detected)
        self.declared = {key_of_declaration(declaration): declaration for declaration in declarations}
        """The declared exports by key."""
        self._declared_by_source: dict[str, list[tuple[ExportKey, Declaration]]] = {}
        for key, declaration in self.declared.items():
            self._declared_by_source.setdefault(key.source, []).append((key, declaration))

    def key_of(self, event: Event) -> ExportKey:
        """Return the export that an event belongs to."""
        candidate = self.candidate(event)
        return candidate if self.is_existing(candidate) else key_of_group(event)

    def candidate(self, event: Event) -> ExportKey:
        """Return `key_of` the event as it would be if every request id that may recur were detected."""
        for key, declaration in self._declared_by_source.get(event.source, ()):
            if declaration.match.matches(event):
                return key
        return key_of_request_id(event) if event.request_id and event.schedule.interval else key_of_group(event)

    def may_recur(self, event: Event) -> bool:
        """Return whether an event counts towards the detection of its request id."""
        return self.candidate(event).kind == DETECTED

    def is_existing(self, candidate: ExportKey) -> bool:
        """Return whether a candidate is an export; False for a request id that is not detected yet."""
        return candidate.kind != DETECTED or candidate in self._detected

    def is_label_free(self, key: ExportKey) -> bool:
        """Return whether a request id can be the ``export`` label without clashing with another export."""
        declared_names = {declaration.name for _, declaration in self._declared_by_source.get(key.source, ())}
        return key.name not in declared_names | {GROUP_LABEL, OVERFLOW_LABEL}

    def detect(self, key: ExportKey) -> None:
        """Make a request id an export; this is never reverted."""
        self._detected.add(key)

    def selection(self, key: ExportKey) -> Selection:
        """Return a selection of all events of an export; it may select events of other exports as well."""
        if key.kind == DECLARED:
            return self.declared[key].match
        if key.kind == DETECTED:
            return Selection(key.source, request_id=key.name)
        return Selection(key.source, partner=key.partner, data_type=key.data_type, frequency=key.frequency)
