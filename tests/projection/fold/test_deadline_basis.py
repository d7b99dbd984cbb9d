"""A deadline is explained by what it follows from, in the words of a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR, SHOP, at, event, instant
from exporter.domain.events import Outage
from exporter.domain.explanation import explain_deadline
from exporter.domain.exports import Declaration, Selection, Source
from exporter.domain.terms import Terms, TermsChange
from exporter.projection.fold.deadline_basis import deadline_basis
from exporter.projection.fold.exports import ExportProjection
from folding import completed, started

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import tzinfo

    from exporter.domain.events import Event

NIGHTLY = Declaration("nightly", Selection("shop", partner="Amazon S3"), interval=DAY, grace=2 * HOUR)
LEARNED = "The interval is that of the frequency 4h, the grace is the default: 20 % of it, at least 30 min."


def explained(  # noqa: PLR0913 - whatever an explanation depends on
    events: Sequence[Event] = (),
    now: float = at("7:00"),
    *,
    declared: Declaration | None = None,
    outages: Sequence[Outage] = (),
    retired: Sequence[float] = (),
    terms: Sequence[TermsChange] = (),
    zone: tzinfo = UTC,
    muted: bool = False,
) -> str:
    """Explain the only export that these events, or this declaration, make at ``now``."""
    source = Source("shop", str(zone), zone) if zone is not UTC else SHOP
    names = {("shop", "nightly"): at("0:00")}
    exports = ExportProjection(
        {"shop": source},
        [declared] if declared else [],
        outages,
        declared_at=names,
        terms={("shop", "nightly"): terms} if terms else {},
    )
    exports.apply(events)
    if retired:
        exports.set_retirements(dict.fromkeys(exports.all_keys(), retired))
        for key in set(exports.needs_rebuild):
            exports.rebuild(key, events)
    [key] = exports.all_keys()
    history = exports.history(key)
    assert history is not None
    basis = deadline_basis(history.runs(), history.rules, now, declared)
    state = exports.state(key, now)
    if basis is None:
        assert state.deadline == 0
    else:
        assert basis.slot + basis.grace == state.deadline
    if muted:
        state = state._replace(muted=True, muted_until=at("9:00"), muted_by="ada", muted_why="bucket moves")
    return " ".join(explain_deadline(state, basis, now, zone))


@pytest.mark.parametrize(
    ("explanation", "expected"),
    [
        (
            partial(explained, [completed("3:12")]),
            f"It last completed 03:12, so it must complete again by 08:00: every 4 h plus 48 min grace. {LEARNED}",
        ),
        (
            partial(explained, [completed("3:12")], at("10:03")),
            (
                "It last completed 03:12, so it should have completed again by 08:00: every 4 h plus 48 min grace. "
                f"{LEARNED}"
            ),
        ),
        (
            partial(explained, [completed("3:12")], at("10:00", day=1)),
            (
                "It last completed 2026-06-01 03:12, so it should have completed again by 2026-06-01 08:00: "
                f"every 4 h plus 48 min grace. {LEARNED}"
            ),
        ),
        (
            partial(explained, [started("3:00")], at("4:00")),
            (
                "It started 03:00 and has not completed since, so it must complete by 07:48: every 4 h plus 48 min "
                "grace. "
                f"{LEARNED} A run has been in progress since 03:00, and must complete by 07:00: it may take 4 h."
            ),
        ),
        (
            partial(explained, [started("3:00")], at("7:30")),
            (
                "It started 03:00 and has not completed since, so it must complete by 07:48: every 4 h plus 48 min "
                "grace. "
                f"{LEARNED} A run has been in progress since 03:00, and should have completed by 07:00: it may take "
                f"4 h. "
                "It is stuck."
            ),
        ),
        (
            partial(explained, [started("1:00"), completed("1:30")], at("5:30")),
            (
                "It last completed 01:30, so it must complete again by 06:18: every 4 h plus 48 min grace. "
                f"{LEARNED} The next run must start by 05:48."
            ),
        ),
        (
            partial(explained, [started("1:00"), completed("1:30"), event("failed", at("5:20"))], at("6:00")),
            (
                "It last completed 01:30, so it must complete again by 06:18: every 4 h plus 48 min grace. "
                f"{LEARNED} The next run should have started by 05:48. Its last run failed 05:20."
            ),
        ),
        (
            partial(explained, declared=NIGHTLY),
            (
                "It was declared 00:00 and has not completed since, so it must complete by 2026-06-02 02:00: "
                "every 1 d plus 2 h grace. Interval and grace are declared."
            ),
        ),
        (
            partial(explained, declared=replace(NIGHTLY, first_expected=at("6:00"), grace=None)),
            (
                "The configuration expects its first run 06:00, so it must complete by 10:48: 4 h 48 min grace "
                "after that. "
                "The interval is declared, the grace is the default: 20 % of it, at least 30 min."
            ),
        ),
        (
            partial(explained, [completed("3:12")], declared=replace(NIGHTLY, interval=None)),
            (
                "It last completed 03:12, so it must complete again by 09:12: every 4 h plus 2 h grace. "
                "The interval is that of its events, the grace is declared."
            ),
        ),
        (
            partial(
                explained,
                [completed("3:12")],
                at("13:00"),
                declared=NIGHTLY,
                terms=[TermsChange(0, Terms(4 * HOUR, HOUR)), TermsChange(at("5:00"), Terms(DAY, 2 * HOUR))],
            ),
            (
                "Its interval changed 05:00, so it must complete by 2026-06-02 07:00: every 1 d plus 2 h grace. "
                "Interval and grace are declared."
            ),
        ),
        (
            partial(explained, [completed("3:12")], at("8:00"), outages=[Outage(at("6:00"), at("7:30"))]),
            "It last completed 03:12, so the next completion was due 07:12: every 4 h. No exporter was running from "
            "06:00 to 07:30, so that completion may have come without being received. The deadline is that of the "
            "first one that cannot be hidden, due 11:12: it must complete by 12:00, with 48 min grace. " + LEARNED,
        ),
        (
            partial(explained, [completed("3:12")], at("8:00"), retired=[at("7:30")]),
            "It has no deadline until a run of it starts or completes.",
        ),
        (
            partial(explained, [started("1:00"), started("9:00", "2")], at("9:10"), retired=[at("2:00")]),
            (
                "It started 09:00 and has not completed since, so it must complete by 13:48: every 4 h plus 48 min "
                "grace. "
                f"{LEARNED} A run has been in progress since 09:00, and must complete by 13:00: it may take 4 h."
            ),
        ),
        (
            partial(explained, [started("1:00"), started("2:00", "2")], at("3:00")),
            (
                "It started 01:00 and has not completed since, so it must complete by 05:48: every 4 h plus 48 min "
                "grace. "
                f"{LEARNED} 2 runs have been in progress since 01:00. The oldest one must complete by 05:00: it may "
                f"take "
                "4 h."
            ),
        ),
        (
            partial(explained, [event("completed", at("3:12"), frequency="one-time")]),
            "It runs only once, so no further run has a deadline.",
        ),
        (
            partial(explained, [event("completed", at("3:12"), frequency="now and then")]),
            (
                "It has no deadline, because the exporter does not know how often it runs: the frequency of its "
                "events is "
                "“now and then”. Declare it with an interval to be alerted when it is overdue."
            ),
        ),
        (
            partial(explained, declared=replace(NIGHTLY, interval=None)),
            (
                "It has no deadline, because the exporter does not know how often it runs: no frequency is known. "
                "Declare it with an interval to be alerted when it is overdue."
            ),
        ),
        (
            partial(
                explained,
                [event("completed", instant("2026-03-28T02:00:00+01:00"), frequency="24h")],
                instant("2026-03-28T12:00:00+01:00"),
                zone=ZoneInfo("Europe/Berlin"),
            ),
            (
                "It last completed 02:00, so it must complete again by 2026-03-29 07:48: every 1 d plus 4 h 48 min "
                "grace. "
                "The interval is that of the frequency 24h, the grace is the default: 20 % of it, at least 30 min."
            ),
        ),
        (
            partial(
                explained,
                [event("completed", instant("2026-03-28T04:00:00+01:00"), frequency="24h")],
                instant("2026-03-28T12:00:00+01:00"),
                zone=ZoneInfo("Europe/Berlin"),
            ),
            (
                "It last completed 04:00, so it must complete again by 2026-03-29 08:48: every 1 d plus 4 h 48 min "
                "grace. "
                "Because clocks change in between, that is 1 h earlier. "
                "The interval is that of the frequency 24h, the grace is the default: 20 % of it, at least 30 min."
            ),
        ),
    ],
)
def test_a_deadline_is_explained(explanation: Callable[[], str], expected: str) -> None:
    assert explanation() == expected


def test_who_muted_an_export_and_why_follows_its_deadline() -> None:
    assert explained([completed("3:12")], muted=True) == (
        f"It last completed 03:12, so it must complete again by 08:00: every 4 h plus 48 min grace. {LEARNED} "
        "ada muted its alerts until 09:00 (bucket moves); its deadlines stay as they are."
    )
