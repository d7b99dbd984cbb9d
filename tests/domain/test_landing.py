"""Which run's files to look for and when, what is enough, and what is known afterwards."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from builders import DAY, HOUR, MINUTE, at, instant
from exporter.domain.exports import DECLARED, DETECTED, GROUP, ExportKey
from exporter.domain.landing import (
    ERROR,
    LANDED,
    NOTHING,
    RESULTS,
    SMALL,
    Found,
    Landing,
    LandingCheck,
    Landings,
    RunChecks,
    RunKey,
    RunTimes,
    Target,
    choose_target,
    judge,
    next_check,
    template_problem,
)
from exporter.domain.landing_history import LandingHistory, LandingState
from exporter.domain.states import ExportState

LANDING = Landing("s3://bucket/{date}/")
KEY = ExportKey("shop", GROUP, "any", "amazon s3", "events", "4h")
# Every 4 hours; the run of 0:00 completed at 0:10, so the deadline is 4:58.
STATE = ExportState(
    "shop",
    "any",
    "Amazon S3",
    "events",
    "4h",
    "UTC",
    declared=False,
    key=KEY,
    interval=4 * HOUR,
    grace=48 * MINUTE,
    max_runtime=4 * HOUR,
    last_initiated=at("0:00"),
    last_completed=at("0:10"),
    start_deadline=at("4:48"),
    deadline=at("4:58"),
)
RUN = RunTimes("77", at("0:00"), at("0:10"))
COMPLETED = Target(at("0:10"), at("0:00"), at("0:00") - 300, "77", at("0:10"), at("0:40"))
EXPECTED = Target(0, at("4:00"), at("2:00"), "77", at("4:34"), at("4:58"))


def chosen(now: str, state: ExportState = STATE, runs: tuple[RunTimes, ...] = (RUN,), day: int = 0) -> Target | None:
    return choose_target(state, LANDING, None, runs, at(now, day))


def test_after_a_completion_it_is_that_run_until_shortly_before_the_next_deadline() -> None:
    assert chosen("0:10") == COMPLETED
    assert chosen("4:33") == COMPLETED


def test_from_half_the_grace_before_a_deadline_it_is_the_run_that_should_have_completed() -> None:
    assert chosen("4:34") == EXPECTED
    assert chosen("8:33") == EXPECTED


def test_while_overdue_each_further_slot_is_looked_for() -> None:
    target = chosen("8:34")
    assert target == Target(0, at("8:00"), at("6:00"), "77", at("8:34"), at("8:58"))
    assert chosen("20:34") == Target(0, at("20:00"), at("18:00"), "77", at("20:34"), at("20:58"))


def test_a_run_in_progress_is_the_one_that_should_have_completed() -> None:
    running = STATE._replace(last_initiated=at("3:50"), start_deadline=at("8:38"), in_progress=1)
    runs = (RunTimes("78", at("3:50"), 0), RUN)
    assert chosen("4:34", running, runs) == Target(0, at("3:50"), at("3:45"), "78", at("4:34"), at("4:58"))
    following = chosen("8:34", running, runs)
    assert following is not None
    assert following.started_at == at("7:50")


def test_an_export_that_never_completed_is_looked_for_before_its_first_deadline() -> None:
    state = STATE._replace(last_initiated=0, last_completed=0, start_deadline=0)
    assert chosen("1:00", state, ()) == Target(0, at("2:10"), at("0:10"), "", at("4:34"), at("4:58"))


def test_without_a_schedule_and_a_completion_there_is_nothing_to_look_for() -> None:
    state = STATE._replace(interval=0, deadline=0, start_deadline=0, last_completed=0, grace=0)
    assert chosen("1:00", state, ()) is None
    one_time = state._replace(last_completed=at("0:10"), max_runtime=DAY)
    target = chosen("1:00", one_time, ())
    assert target is not None
    assert target.since == at("0:10") - DAY - 300


def test_the_request_id_of_the_expected_run_is_that_of_the_newest_one() -> None:
    expected = chosen("4:34", STATE, (RunTimes("78", at("0:05"), at("0:10")), RUN))
    assert expected is not None
    assert expected.request_id == "78"


def test_without_a_deadline_yet_there_is_nothing_to_look_for() -> None:
    assert chosen("1:00", STATE._replace(deadline=0, start_deadline=0, last_initiated=0, last_completed=0), ()) is None


def test_an_unknown_start_is_estimated_by_the_usual_duration() -> None:
    target = chosen("0:10", STATE._replace(usual_duration=600), ())
    assert target is not None
    assert (target.started_at, target.since) == (at("0:00"), at("0:10") - 2 * HOUR - 300)
    slow = chosen("0:10", STATE._replace(usual_duration=5 * HOUR), ())
    assert slow is not None
    assert slow.started_at == at("0:10") - 2 * HOUR


def test_the_request_id_of_a_detected_export_is_its_name() -> None:
    target = chosen("0:10", STATE._replace(key=ExportKey("shop", DETECTED, "99")), ())
    assert target is not None
    assert target.request_id == "99"
    declared = chosen("0:10", STATE._replace(key=ExportKey("shop", DECLARED, "nightly")), ())
    assert declared is not None
    assert declared.request_id == ""


@pytest.mark.parametrize(
    ("first", "now", "due"),
    [
        # The clock goes forward on 8 March: two days have 47 hours.
        ("2026-03-07T07:30", "2026-03-09T05:59", "2026-03-08T07:30"),
        ("2026-03-07T07:30", "2026-03-09T06:00", "2026-03-09T06:30"),
        # It goes back on 1 November: two days have 49 hours.
        ("2026-10-31T06:30", "2026-11-02T06:30", "2026-11-01T07:30"),
        ("2026-10-31T06:30", "2026-11-02T07:00", "2026-11-02T07:30"),
    ],
)
def test_days_are_those_of_the_zone_of_the_source(first: str, now: str, due: str) -> None:
    deadline = instant(first)
    state = STATE._replace(
        interval=DAY,
        grace=HOUR,
        last_completed=deadline - DAY - HOUR,
        last_initiated=deadline - DAY - 2 * HOUR,
        deadline=deadline,
        start_deadline=deadline - HOUR,
    )
    target = choose_target(state, LANDING, ZoneInfo("America/New_York"), (), instant(now))
    assert target is not None
    assert (target.due_at, target.first_check) == (instant(due), instant(due) - 1800)


def test_it_is_looked_for_before_a_deadline_at_most_within_the_time_that_files_may_take() -> None:
    target = choose_target(STATE, replace(LANDING, within=600), None, (RUN,), at("4:50"))
    assert target is not None
    assert target.first_check == at("4:48")


def test_a_deadline_without_grace_is_looked_at_five_minutes_before() -> None:
    target = chosen("4:09", STATE._replace(grace=0, deadline=at("4:10"), start_deadline=at("4:00")))
    assert target is not None
    assert target.first_check == at("4:05")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://b/{date}/", "s3://b/2026-06-01/"),
        ("s3://b/{date:%Y/%m/%d}/x", "s3://b/2026/06/01/x"),
        ("s3://b/{request_id}-", "s3://b/77-"),
        ("s3://b/plain/", "s3://b/plain/"),
    ],
)
def test_the_url_is_filled_in(url: str, expected: str) -> None:
    assert template_problem(url) is None
    assert Landing(url).url_of(COMPLETED, None) == expected


def test_the_date_is_that_of_the_zone() -> None:
    target = replace(COMPLETED, started_at=at("19:00"))
    assert LANDING.url_of(target, ZoneInfo("Asia/Kolkata")) == "s3://bucket/2026-06-02/"


@pytest.mark.parametrize("request_id", ["", "../x", "a/b", ".", "a b"])
def test_a_request_id_that_would_change_the_path_is_refused(request_id: str) -> None:
    with pytest.raises(ValueError, match="does not fit into landing"):
        Landing("s3://b/{request_id}/").url_of(replace(COMPLETED, request_id=request_id), None)


@pytest.mark.parametrize("url", ["s3://b/{data}", "s3://b/{", "s3://b/}", "s3://b/{date:%Q}", "s3://b/{request_id:x}"])
def test_an_unknown_placeholder_is_a_problem(url: str) -> None:
    assert template_problem(url)


@pytest.mark.parametrize(
    ("found", "result"),
    [
        (Found(0, 0, 0), NOTHING),
        (Found(1, 100, 5), SMALL),
        (Found(2, 99, 5), SMALL),
        (Found(2, 100, 5), LANDED),
    ],
)
def test_what_was_found_is_judged_by_number_and_size(found: Found, result: str) -> None:
    assert judge(Landing("s3://b/", min_objects=2, min_bytes=100), found) == result


def test_the_landing_of_an_export_is_its_own_or_that_of_its_source() -> None:
    own, default = Landing("s3://own"), Landing("s3://default")
    landings = Landings({("shop", "nightly"): own}, {"shop": default})
    assert landings.of(ExportKey("shop", "declared", "nightly")) is own
    assert landings.of(ExportKey("shop", "declared", "other")) is default
    assert landings.of(ExportKey("shop", DETECTED, "nightly")) is default
    assert landings.of(ExportKey("elsewhere", DETECTED, "nightly")) is None
    assert landings
    assert not Landings()


def a_check(result: str, when: str, target: Target = COMPLETED, **changes: float) -> LandingCheck:
    found = {LANDED: (2, 100, at("0:09")), SMALL: (1, 1, at("0:09"))}.get(result, (0, 0, 0))
    check = LandingCheck("shop", STATE.id, target.key, target.due_at, at(when), result, *found, detail="s3://bucket/")
    return replace(check, **changes)  # type: ignore[arg-type] # numbers only


def checks_of(*checks: LandingCheck) -> RunChecks:
    run = RunChecks()
    for check in checks:
        run.add(check)
    return run


def test_a_check_that_failed_answers_nothing_also_if_a_store_has_read_it() -> None:
    failed = a_check("".join(ERROR), "0:10")  # equal to the constant, and not the same object
    assert (checks_of(failed).last, checks_of(failed).answered) == (failed, None)


def test_checks_back_off_and_the_last_regular_one_is_when_the_files_are_due() -> None:
    times = [next_check(COMPLETED, None)]
    checks = RunChecks()
    for _ in range(9):
        checks.add(a_check(NOTHING, "0:00", checked_at=times[-1]))
        times.append(next_check(COMPLETED, checks))
    minutes = [(each - at("0:10")) / 60 for each in times]
    assert minutes == [0, 1, 3, 7, 15, 30, 62, 122, 182, 242]


def test_after_files_have_landed_only_their_final_size_is_looked_at() -> None:
    assert next_check(COMPLETED, checks_of(a_check(LANDED, "0:11"))) == at("0:40")
    assert next_check(COMPLETED, checks_of(a_check(LANDED, "0:11"), a_check(LANDED, "0:40"))) == float("inf")


@pytest.mark.parametrize("result", [NOTHING, SMALL, ERROR])
def test_what_was_not_there_is_looked_at_again_with_another_configuration(result: str) -> None:
    checks = checks_of(*(a_check(result, when) for when in ("0:11", "0:40", "1:12")))
    assert next_check(COMPLETED, checks, at("1:13")) == at("1:13")
    assert next_check(COMPLETED, checks, at("1:12")) == next_check(COMPLETED, checks) == at("1:16")
    assert next_check(COMPLETED, checks_of(a_check(LANDED, "0:40")), at("1:13")) == float("inf")


def history_of(*checks: LandingCheck) -> LandingHistory:
    history = LandingHistory()
    for sequence, check in enumerate(checks, 1):
        history.add(replace(check, sequence=sequence, total=sequence))
    return history


def known(*checks: LandingCheck, now: str = "1:00", state: ExportState = STATE) -> LandingState:
    return history_of(*checks).state(state, LANDING, at(now))


def test_before_any_check_nothing_is_known() -> None:
    assert known() == LandingState()
    assert set(known().totals) == set(RESULTS)


def test_files_that_landed() -> None:
    state = known(a_check(NOTHING, "0:11"), a_check(LANDED, "0:12"))
    assert (state.result, state.objects, state.size, state.landed_at) == (LANDED, 2, 100, at("0:09"))
    assert (state.missing_since, state.unannounced_at, state.failing_since) == (0, 0, 0)
    assert state.totals == {LANDED: 2, NOTHING: 1, SMALL: 0, ERROR: 0}


def test_a_modification_in_the_future_counts_as_the_time_of_the_check() -> None:
    assert known(a_check(LANDED, "0:12", newest=at("9:00"))).landed_at == at("0:12")


@pytest.mark.parametrize("result", [NOTHING, SMALL])
def test_files_are_missing_once_they_are_due_and_no_longer_when_they_come(result: str) -> None:
    assert known(a_check(result, "0:39")).missing_since == 0
    assert known(a_check(result, "0:40")).missing_since == at("0:40")
    assert known(a_check(result, "0:40"), a_check(ERROR, "0:42")).missing_since == at("0:40")
    assert known(a_check(result, "0:40"), a_check(LANDED, "0:42")).missing_since == 0


NEXT_RUN = Target(at("4:10"), at("4:00"), at("4:00") - 300, "77", at("4:10"), at("4:40"))


def test_files_stay_missing_until_a_later_run_has_landed() -> None:
    missing = a_check(NOTHING, "0:40")
    assert known(missing, a_check(NOTHING, "4:11", NEXT_RUN)).missing_since == at("0:40")
    assert known(missing, a_check(ERROR, "4:50", NEXT_RUN)).missing_since == at("0:40")
    assert known(missing, a_check(NOTHING, "4:40", NEXT_RUN)).missing_since == at("4:40")
    assert known(missing, a_check(LANDED, "4:11", NEXT_RUN)).missing_since == 0
    assert known(missing, a_check(LANDED, "4:34", EXPECTED)).missing_since == 0
    assert known(missing, a_check(NOTHING, "4:34", EXPECTED)).missing_since == at("0:40")


@pytest.mark.parametrize(
    ("check", "summary", "is_bad"),
    [
        (None, "not looked for yet", False),
        (a_check(ERROR, "0:11"), "could not be looked for", True),
        (a_check(NOTHING, "0:11"), "not there yet", False),
        (a_check(NOTHING, "0:40"), "nothing landed", True),
        (a_check(SMALL, "0:40"), "too little landed", True),
        (a_check(LANDED, "0:40"), "landed", False),
        (a_check(LANDED, "4:34", EXPECTED), "landed without a Completed event", False),
    ],
)
def test_a_summary_is_a_few_words(check: LandingCheck | None, summary: str, *, is_bad: bool) -> None:
    state = known(*([check] if check else []), now="4:35")
    assert (state.summary, state.is_bad) == (summary, is_bad)


def test_an_error_is_neither_missing_nor_landed() -> None:
    state = known(a_check(ERROR, "0:40"), a_check(ERROR, "0:42"))
    assert (state.missing_since, state.failing_since, state.objects, state.due_at) == (0, at("0:40"), 0, 0)
    assert known(a_check(ERROR, "0:40"), a_check(NOTHING, "0:41")).failing_since == 0


def test_files_without_a_completion_are_unannounced_until_the_next_deadline() -> None:
    found = a_check(LANDED, "4:34", EXPECTED, newest=at("4:09"))
    assert known(found, now="4:35").unannounced_at == at("4:09")
    assert known(found, now="8:57").unannounced_at == at("4:09")
    assert known(found, now="8:57").changes_at == at("8:58")
    assert known(found, now="8:58").unannounced_at == 0
    assert known(found, now="8:58").changes_at == float("inf")
    completed = STATE._replace(last_completed=at("4:10"), deadline=at("8:58"))
    assert known(found, now="4:40", state=completed).unannounced_at == 0
    assert known(a_check(NOTHING, "4:34", EXPECTED), now="4:35").unannounced_at == 0


def test_the_usual_size_is_the_median_of_the_runs_before() -> None:
    runs = [replace(COMPLETED, completed_at=at("0:10", day), started_at=at("0:00", day)) for day in range(20)]
    checks = [a_check(LANDED, "0:12", run, size=size) for size, run in enumerate(runs)]
    assert known(*checks[:3]).usual_size == 0
    assert known(*checks[:4]).usual_size == 1
    assert known(*checks).usual_size == (5 + 18) / 2
    assert known(*checks).size == 19


def test_only_the_checks_of_the_newest_runs_are_kept() -> None:
    runs = [replace(COMPLETED, completed_at=at("0:10", day)) for day in range(20)]
    history = history_of(*(a_check(LANDED, "0:12", run) for run in runs))
    assert history.checks_of(runs[0].key) is None
    assert history.checks_of(runs[-1].key) is not None
    assert RunKey(at("0:10", 19), at("0:00")) == runs[-1].key
