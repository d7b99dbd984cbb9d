"""What becomes of deadlines and slots when the configured interval or grace of a declared export changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, MINUTE, SHOP, at, event
from exporter.domain.exports import DECLARED, Declaration, ExportKey, Selection
from exporter.domain.terms import Terms, TermsChange
from exporter.projection.fold.exports import ExportProjection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Event
    from exporter.domain.states import ExportState

NIGHTLY = Declaration("nightly", Selection("shop"))
KEY = ExportKey("shop", DECLARED, "nightly")
DECLARED_AT = {("shop", "nightly"): at("0:00")}
DAILY, OFTEN = Terms(DAY), Terms(4 * HOUR)
COMPLETED = event("completed", at("0:10"), frequency="")


def state(
    changes: Sequence[tuple[float, Terms]],
    now: float,
    events: Sequence[Event] = (COMPLETED,),
    declared: Declaration = NIGHTLY,
    retired_at: float = 0,
) -> ExportState:
    """Fold events under terms since `DECLARED_AT`; the first terms are those before all changes."""
    terms = {("shop", "nightly"): [TermsChange(*change) for change in changes]}
    exports = ExportProjection({"shop": SHOP}, [declared], declared_at=DECLARED_AT, terms=terms)
    exports.set_retirements({KEY: [retired_at]} if retired_at else {})
    exports.rebuild(KEY, events)
    return exports.state(KEY, now)


def changed(before: Terms, at_: float, after: Terms, *more: tuple[float, Terms]) -> list[tuple[float, Terms]]:
    return [(at("0:00"), before), (at_, after), *more]


def test_a_shorter_interval_makes_nothing_overdue_and_misses_no_slot() -> None:
    shortened = changed(DAILY, at("20:10"), OFTEN)
    before, after = state(shortened, at("20:09")), state(shortened, at("20:11"))
    assert (before.deadline, before.interval, before.changes_at) == (at("4:58", 1), DAY, at("20:10"))
    assert (after.deadline, after.slots_missed, after.interval) == (at("4:58", 1), 0, 4 * HOUR)
    assert after.condition(at("20:11")) == "fine"
    late = state(shortened, at("5:00", 1))
    assert (late.deadline, late.slots_missed) == (at("4:58", 1), 0)


def test_the_next_completion_starts_the_new_interval() -> None:
    shortened = changed(DAILY, at("20:10"), OFTEN)
    again = [COMPLETED, event("completed", at("0:10", 1), frequency="")]
    on_time = state(shortened, at("0:11", 1), again)
    assert (on_time.deadline, on_time.slots, on_time.slots_late, on_time.slots_missed) == (at("4:58", 1), 2, 0, 0)
    assert state(shortened, at("12:11", 1), again).slots_missed == 2


def test_a_longer_interval_counts_from_the_change() -> None:
    lengthened = changed(OFTEN, at("2:10"), DAILY)
    assert state(lengthened, at("2:09")).deadline == at("4:58")
    assert state(lengthened, at("2:11")).deadline == at("2:10", 1) + DAY / 5
    overdue = state(changed(OFTEN, at("6:10"), DAILY), at("6:11"))
    assert (overdue.deadline, overdue.slots_missed) == (at("6:10", 1) + DAY / 5, 1)


@pytest.mark.parametrize(
    ("before", "after", "changed_at", "deadline"),
    [
        (None, 5 * HOUR, at("20:10"), at("5:10", 1)),
        (5 * HOUR, HOUR, at("20:10"), at("5:10", 1)),
        (5 * HOUR, HOUR, at("3:00", 1), at("5:10", 1)),
        (HOUR, 5 * HOUR, at("1:00", 1), at("5:10", 1)),
        (HOUR, 5 * HOUR, at("2:00", 1), at("1:10", 1)),  # overdue already, until it completes
    ],
)
def test_another_grace_leaves_the_slots_where_they_are(
    before: int | None, after: int, changed_at: float, deadline: float
) -> None:
    shown = state(changed(Terms(DAY, before), changed_at, Terms(DAY, after)), changed_at + MINUTE)
    assert (shown.deadline, shown.grace, shown.slots_missed) == (deadline, after, 0)


def test_the_next_completion_fills_a_slot_of_another_interval_and_with_another_grace_none_that_is_filled() -> None:
    again = [COMPLETED, event("completed", at("3:00"), frequency="")]
    graced = changed(Terms(DAY, HOUR), at("2:10"), Terms(DAY, 5 * HOUR))
    assert state(graced, at("3:01"), again).slots == 1
    assert state(changed(OFTEN, at("2:10"), DAILY), at("3:01"), again).slots == 2


def test_a_change_that_is_taken_back_before_the_next_completion_leaves_the_later_deadline() -> None:
    back = changed(DAILY, at("20:10"), OFTEN, (at("20:20"), DAILY))
    assert state(back, at("20:21")).deadline == at("4:58", 1)
    forth = changed(OFTEN, at("2:10"), DAILY, (at("2:20"), OFTEN))
    assert state(forth, at("2:21")).deadline == at("2:10", 1) + DAY / 5


def test_an_export_that_never_completed_is_due_no_earlier_after_a_change() -> None:
    shortened = changed(DAILY, at("20:10"), OFTEN)
    shown = state(shortened, at("20:11"), [])
    assert (shown.deadline, shown.slots_missed) == (at("0:00", 1) + DAY / 5, 0)
    started = [event("initiated", at("20:00"), frequency="")]
    assert state(shortened, at("20:11"), started).deadline == at("0:00", 1) + DAY / 5


@pytest.mark.parametrize("events", [(), (event("initiated", at("0:00"), frequency=""),)])
def test_a_first_expected_time_is_kept_by_a_change(events: Sequence[Event]) -> None:
    expected = replace(NIGHTLY, first_expected=at("6:00", 1))
    shortened = changed(DAILY, at("20:10"), OFTEN)
    assert state(shortened, at("20:11"), events, expected).deadline == at("6:00", 1) + DAY / 5


def test_a_change_before_the_first_interval_begins_is_as_if_it_had_always_been_so() -> None:
    expected = replace(NIGHTLY, first_expected=at("6:00", 2))
    assert state(changed(DAILY, at("20:10"), OFTEN), at("20:11"), [], expected).deadline == at("6:48", 2)
    later = replace(NIGHTLY, first_expected=at("6:00", 1))
    assert state(changed(OFTEN, at("20:10"), DAILY), at("20:11"), [], later).deadline == at("6:00", 1) + DAY / 5


def test_the_first_interval_counts_from_when_it_was_configured() -> None:
    given = changed(Terms(), at("20:10"), OFTEN)
    assert state(given, at("20:09")).deadline == 0
    assert state(given, at("20:11")).deadline == at("20:10") + 4.8 * HOUR
    expected = replace(NIGHTLY, first_expected=at("6:00", 2))
    assert state(given, at("20:11"), declared=expected).deadline == at("6:48", 2)


def test_without_an_interval_there_is_no_deadline_any_more() -> None:
    taken = changed(OFTEN, at("2:10"), Terms())
    assert (state(taken, at("4:00", 3)).deadline, state(taken, at("4:00", 3)).slots_missed) == (0, 0)
    overdue = changed(OFTEN, at("6:10"), Terms())
    assert (state(overdue, at("4:00", 3)).deadline, state(overdue, at("4:00", 3)).slots_missed) == (0, 1)
    given_again = changed(OFTEN, at("2:10"), Terms(), (at("20:10"), DAILY))
    assert state(given_again, at("20:11")).deadline == at("20:10", 1) + DAY / 5
    assert state(changed(Terms(), at("2:10"), Terms(None, HOUR)), at("3:00")).deadline == 0


def test_a_retired_export_stays_so_after_a_change() -> None:
    retired = state(changed(OFTEN, at("20:10"), DAILY), at("20:11"), retired_at=at("10:00"))
    assert (retired.deadline, retired.slots_missed) == (0, 1)


def test_another_interval_of_the_events_misses_nothing_of_the_time_in_retirement() -> None:
    events = [event("completed", at("0:10"), frequency="4h"), event("initiated", at("20:10"), frequency="24h")]
    assert state([], at("20:11"), events).slots_missed == 4
    back = state([], at("20:11"), events, retired_at=at("4:00"))
    assert (back.slots, back.slots_missed, back.deadline) == (1, 0, at("20:10", 1) + DAY / 5)


def test_start_and_run_deadlines_follow_what_was_configured_when_the_run_began() -> None:
    events = [event("initiated", at("0:00"), frequency=""), COMPLETED]
    assert state(changed(DAILY, at("20:10"), OFTEN), at("20:11"), events).start_deadline == at("0:00", 1) + DAY / 5
    assert state(changed(OFTEN, at("2:10"), DAILY), at("2:11"), events).start_deadline == at("2:10", 1) + DAY / 5
    graced = changed(OFTEN, at("2:10"), Terms(4 * HOUR, 2 * HOUR))
    assert state(graced, at("2:11"), events).start_deadline == at("6:00")
    assert state(changed(DAILY, at("5:00"), OFTEN), at("5:01"), events[:1]).run_deadline == at("6:00")
    given_again = changed(OFTEN, at("2:00"), Terms(), (at("3:00"), OFTEN))
    assert state(given_again, at("3:01"), events).start_deadline == at("7:48")
    assert state(changed(Terms(), at("3:00"), OFTEN), at("3:01"), events).start_deadline == at("7:48")


def test_only_exports_whose_terms_changed_are_worked_out_again() -> None:
    other = replace(NIGHTLY, name="other")
    exports = ExportProjection({"shop": SHOP}, [NIGHTLY, other], declared_at=DECLARED_AT)
    exports.set_declared(DECLARED_AT, {("shop", "other"): [TermsChange(at("0:00"), OFTEN)]})
    assert exports.needs_rebuild == {ExportKey("shop", DECLARED, "other")}
