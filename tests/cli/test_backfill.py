"""The backfill: at every instant it has the values that a scrape would have shown."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.openmetrics import parser

from backfills import BEGINS, DECLARED, NAMES_WITHOUT_HISTORY, TimeTravelLedger
from builders import DAY, HOUR, SHOP, accepted_event, event
from exporter.cli.backfill import FAMILIES, Backfill, BackfillInput
from exporter.cli.simulation import fleet, history, outcome_by_shares
from exporter.domain.epochs import GIVEN
from exporter.domain.errors import ExporterError
from exporter.domain.events import Outage, QuarantinedBody
from exporter.domain.exports import Declaration, Selection, Source
from exporter.domain.landing import (
    NOTHING,
    RESULTS,
    Found,
    Landing,
    LandingCheck,
    Landings,
    RunKey,
    choose_target,
    next_check,
)
from exporter.ingest.intake import quarantine_reasons
from exporter.ledger import contract as ledgers
from exporter.metrics.families import DURATION
from exporter.metrics.landing_families import LANDING_GAUGES, LandingRenderer
from exporter.metrics.renderer import Renderer
from exporter.projection.landings import LandingHistories, exports_with_landing
from exporter.projection.projector import Projector
from exporter.server.export_detail import newest_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exporter.domain.events import Event
    from exporter.ledger.contract import Entry, Ledger

BERLIN = Source("berlin", "Europe/Berlin", ZoneInfo("Europe/Berlin"))
NONE = Found(0, 0, 0)
SOURCES = {each.slug: each for each in (SHOP, BERLIN)}


def simulated(days: float = 2, exports: int = 10) -> list[Event]:
    """The events of a made-up fleet in two sources, with faults, in the order of their arrival."""
    clocks = [("shop", SHOP.zone), ("berlin", BERLIN.zone)]
    plans = fleet(exports, [(slug, zone) for slug, zone in clocks if zone], BEGINS, 1)
    events = []
    for each in history(plans, BEGINS, BEGINS + days * DAY, 1, outcome_by_shares(0.12, 0.12, 0.12)):
        if each.body is None:
            continue
        fields = json.loads(each.body)
        events.append(
            event(
                fields["Status"].lower(),
                each.at - 2,
                request_id=str(fields["Export Request Id"]),
                partner=fields["Partner"],
                data_type=fields["Type"].lower(),
                frequency="one-time" if fields["Frequency"] == "One Time" else f"{fields['Frequency'].split()[1]}h",
                source=each.source,
            )
        )
    return events


def inputs_for(ledger: Ledger, declarations: Sequence[Declaration] = (), limit: int = 200) -> BackfillInput:
    return BackfillInput(ledger, SOURCES, declarations, limit, quarantine_reasons())


def samples_of(exposition: str) -> dict[str, str]:
    """The values of a scrape, by everything before them, but for what has no history."""
    lines = (line.rpartition(" ") for line in exposition.splitlines() if not line.startswith("#"))
    return {head: value for head, _, value in lines if head.partition("{")[0] not in NAMES_WITHOUT_HISTORY}


def run_backfill(
    inputs: BackfillInput, until: float, step: int = HOUR, since: float | None = None
) -> tuple[str, list[int]]:
    """Return the whole text, and the seconds at which something changed."""
    backfill = Backfill(inputs, since, until, step)
    seconds = list(backfill.fold())
    text = "".join(piece for family in backfill.families for piece in backfill.text(family))
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert backfill.samples == len(lines)
    all_series = {line.rsplit(" ", 2)[0] for line in lines}
    assert backfill.series == sum(not re.match(rf"{DURATION.name}_(bucket|sum)", series) for series in all_series)
    return f"{text}# EOF\n", seconds


def samples(text: str) -> dict[str, dict[int, str]]:
    """Return the values of every series by time."""
    values: dict[str, dict[int, str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            series, value, second = line.rsplit(" ", 2)
            times = values.setdefault(series, {})
            assert int(second) not in times
            times[int(second)] = value
    return values


def assert_as_scraped(
    ledger: TimeTravelLedger, inputs: BackfillInput, until: float, since: float | None = None
) -> None:
    """Assert that every series is as in a scrape at every hour, and that what changed is so at every change."""
    text, seconds = run_backfill(inputs, until, since=since)
    by_second: dict[int, dict[str, str]] = {}
    for series, times in samples(text).items():
        for second, value in times.items():
            by_second.setdefault(second, {})[series] = value
    outages = ledger.outages()
    hours = [hour for hour in range(int(BEGINS), int(until) + 1, HOUR) if hour >= seconds[0]]
    assert set(hours) - set(seconds)
    projector = Projector(ledger, inputs.sources, inputs.declarations)
    renderer = Renderer(projector, inputs.exports_per_source, inputs.reasons)
    histories, landing_renderer = LandingHistories(ledger), LandingRenderer()
    now: dict[str, str] = {}
    for second in sorted({*hours, *seconds}):
        here = by_second.pop(second, {})
        if any(outage.began_at < second < outage.ended_at for outage in outages):
            assert not here
            continue
        ledger.now = second
        renderer.update(second)
        histories.catch_up()
        exports = exports_with_landing(projector, inputs.landings, inputs.exports_per_source, second)
        landings = landing_renderer.update((export.state, histories.state(export, second)) for export in exports)
        body = renderer.body(openmetrics=True)
        body = body.followed_by(landings[1]) if landings else body
        expected = samples_of(body.plain(b"").decode())
        if second in hours or second == seconds[0] or any(outage.ended_at == second for outage in outages):
            assert here == expected
        now |= here
        assert here.items() <= expected.items()
        assert {series: now[series] for series in expected} == expected
    assert set(by_second) <= {math.ceil(outage.ended_at) for outage in outages}
    ledger.now = float("inf")


def test_it_is_in_the_order_of_the_format() -> None:
    ledger = TimeTravelLedger(map(accepted_event, simulated(days=1)))
    text, _ = run_backfill(inputs_for(ledger, DECLARED), BEGINS + DAY)
    before, _, rest = text.partition(f"# HELP {DURATION.name} ")
    histogram, _, after = rest.partition("# HELP")
    families = list(parser.text_string_to_metric_families(f"{before}# HELP{after}"))  # type: ignore[no-untyped-call]
    assert [family.name for family in families] == [family.name for family in FAMILIES if family is not DURATION]
    # That parser keeps only one line of a histogram's second instant, so these are read one by one.
    order: list[tuple[str, int]] = []
    for line in histogram.splitlines()[2:]:
        series, _, second = line.rsplit(" ", 2)
        point = (re.sub(r'^[^{]*|,le="[^"]*"', "", series), int(second))
        order += [point] if order[-1:] != [point] else []
    metrics = [metric for metric, _ in groupby(labels for labels, _ in order)]
    assert len(metrics) == len(set(metrics)) > 1
    for metric in metrics:
        seconds = [second for labels, second in order if labels == metric]
        assert seconds == sorted(set(seconds))


def test_every_value_is_what_a_scrape_would_have_shown() -> None:
    ledger = TimeTravelLedger(map(accepted_event, simulated()), declared=BEGINS + HOUR)
    assert_as_scraped(ledger, inputs_for(ledger, DECLARED), BEGINS + 2.4 * DAY)


def test_an_event_that_came_late_is_known_from_its_arrival_on() -> None:
    declared = [Declaration("hourly", Selection("shop", partner="Declared"), HOUR)]
    events = []
    for partner, request_id in (("Declared", "1"), ("Detected", "2"), ("Group", "new each run")):
        for run in range(20):
            run_id = f"{request_id} {run}" if partner == "Group" else request_id
            events.append(event("initiated", BEGINS + run * HOUR, partner=partner, request_id=run_id, frequency="1h"))
        # So late that what was folded for good by then has to be folded again.
        first = events[-20].request_id
        late = 20 * HOUR + 0.5
        events.append(event("completed", BEGINS + 300, partner=partner, request_id=first, frequency="1h", delay=late))
    ledger = TimeTravelLedger(map(accepted_event, events))
    assert_as_scraped(ledger, inputs_for(ledger, declared), BEGINS + DAY)


def test_a_time_in_which_nobody_listened_is_empty_and_known_only_afterwards() -> None:
    outages = [
        Outage(BEGINS + 26 * HOUR + 0.5, BEGINS + 35 * HOUR),
        Outage(BEGINS + 41 * HOUR, BEGINS + 42 * HOUR - 0.5),
    ]
    received = [
        each
        for each in simulated()
        if not any(outage.began_at < each.arrived_at < outage.ended_at for outage in outages)
    ]
    ledger = TimeTravelLedger(map(accepted_event, received), [*outages, Outage(BEGINS + 60 * DAY, BEGINS + 61 * DAY)])
    inputs = inputs_for(ledger, DECLARED)
    text, _ = run_backfill(inputs, BEGINS + 2 * DAY)
    values = samples(text)
    unknown = [times for series, times in values.items() if series.startswith("dataexport_slots_unknown{")]
    assert {value for times in unknown for second, value in times.items() if second < outages[0].ended_at} == {"0.0"}
    assert {times.get(int(BEGINS) + 36 * HOUR) for times in unknown} > {"0.0", None}
    ledger.record_declarations([(each.match.source, each.name) for each in DECLARED], BEGINS)
    assert_as_scraped(ledger, inputs, BEGINS + 2 * DAY)


def make_checks(ledger: TimeTravelLedger, inputs: BackfillInput, until: float) -> None:
    """Store the checks that an exporter would have made, with results by chance."""
    chance = random.Random(1)
    projector, histories = Projector(ledger, inputs.sources, inputs.declarations), LandingHistories(ledger)
    for second in range(int(BEGINS) + 61, int(until), 600):
        ledger.now = second
        projector.catch_up()
        histories.catch_up()
        for export in exports_with_landing(projector, inputs.landings, inputs.exports_per_source, second):
            runs = newest_runs(projector, ledger, export.key, second)
            target = choose_target(export.state, export.landing, export.zone, runs, second)
            if target and next_check(target, histories.of(export.state.id).checks_of(target.key)) <= second:
                result = chance.choice(RESULTS)
                found = Found(chance.randint(1, 3), chance.randint(1, 999), second - 30) if result != NOTHING else NONE
                ledger.landings.append(
                    LandingCheck("shop", export.state.id, target.key, target.due_at, second - 0.5, result, *found),
                    GIVEN,
                )


@pytest.mark.parametrize(("limit", "days"), [(3, 1.0), (200, 1.5)])
def test_files_are_what_checks_found_at_the_time(limit: int, days: float) -> None:
    stopped = event("completed", BEGINS + 600, source="berlin", partner="Stopped", frequency="4h")
    ledger = TimeTravelLedger(map(accepted_event, [stopped, *simulated(days=days)]), declared=BEGINS)
    landings = Landings({("shop", "never-ran"): Landing("gs://bucket/")}, {"berlin": Landing("s3://bucket/")})
    inputs = replace(inputs_for(ledger, DECLARED, limit), landings=landings)
    of_an_export_that_is_gone = LandingCheck("shop", "gone", RunKey(BEGINS, 0), BEGINS, BEGINS + 1, NOTHING, *NONE)
    ledger.landings.append(of_an_export_that_is_gone, GIVEN)
    make_checks(ledger, inputs, BEGINS + days * DAY)
    text, _ = run_backfill(inputs, BEGINS + days * DAY)
    assert {name for name, _, _ in LANDING_GAUGES} <= set(re.findall(r"dataexport_(\w+){[^}]*} [1-9]", text))
    assert_as_scraped(ledger, inputs, BEGINS + days * DAY)


def test_without_a_landing_there_is_nothing_about_files() -> None:
    ledger = TimeTravelLedger(map(accepted_event, simulated(days=0.3)))
    text, _ = run_backfill(inputs_for(ledger), BEGINS + 0.3 * DAY)
    assert "land" not in text


def test_what_was_not_understood_is_counted_from_its_arrival_on() -> None:
    refused = [
        QuarantinedBody(source, BEGINS + hours * HOUR, reason, "made up", b"{}", bytes([hours]))
        for source, hours, reason in (
            ("shop", 2, "bad_date"),
            ("shop", 7, "bad_date"),
            ("berlin", 9, "missing_key"),
            ("elsewhere", 10, "missing_key"),
        )
    ]
    entries: list[Entry] = [*map(accepted_event, simulated(days=1)), *refused]
    ledger = TimeTravelLedger(entries)
    inputs = inputs_for(ledger)
    assert_as_scraped(ledger, inputs, BEGINS + DAY)
    only = TimeTravelLedger(refused)
    assert_as_scraped(only, inputs_for(only), BEGINS + DAY)


def test_duplicates_and_test_calls_have_no_history() -> None:
    twice = accepted_event(event("initiated", BEGINS))
    ledger = TimeTravelLedger([twice, twice, ledgers.TestCallReceived("shop", BEGINS + HOUR)])
    text, _ = run_backfill(inputs_for(ledger), BEGINS + DAY)
    assert "dataexport_webhook_events_total" in text
    assert not any(name.removesuffix("_total") in text for name in NAMES_WITHOUT_HISTORY)


def test_events_of_a_source_that_is_not_configured_are_left_out() -> None:
    ledger = TimeTravelLedger(map(accepted_event, [*simulated(days=1), event("initiated", BEGINS, source="elsewhere")]))
    text, _ = run_backfill(inputs_for(ledger), BEGINS + DAY)
    assert "elsewhere" not in text
    assert_as_scraped(ledger, inputs_for(ledger), BEGINS + DAY)


@pytest.mark.parametrize("limit", [1, 3])
def test_what_is_over_the_limit_is_combined(limit: int) -> None:
    ledger = TimeTravelLedger(map(accepted_event, simulated(days=1.5)))
    inputs = inputs_for(ledger, DECLARED[1:], limit)
    assert 'export="other"' in run_backfill(inputs, BEGINS + DAY)[0]
    ledger.record_declarations([(each.match.source, each.name) for each in DECLARED], BEGINS)
    assert_as_scraped(ledger, inputs, BEGINS + 1.5 * DAY)


def test_exports_can_fall_below_the_limit_again() -> None:
    # Two groups, one of which disappears when its request id becomes a detected export.
    first = [event(status, BEGINS + more, request_id="1") for status, more in (("initiated", 0), ("completed", 600))]
    second = [each._replace(frequency="8h", digest=each.digest[::-1]) for each in first]
    ledger = TimeTravelLedger(
        map(accepted_event, [*first, *second, event("initiated", BEGINS + 4 * HOUR, request_id="1", frequency="4h")])
    )
    assert_as_scraped(ledger, inputs_for(ledger, limit=1), BEGINS + DAY)


def test_a_span_within_the_history_tells_the_same() -> None:
    ledger = TimeTravelLedger(map(accepted_event, simulated()))
    inputs = inputs_for(ledger)
    whole = samples(run_backfill(inputs, BEGINS + 2 * DAY)[0])
    since, until = BEGINS + 30.5 * HOUR, BEGINS + 40.5 * HOUR
    part = samples(run_backfill(inputs, until, since=since)[0])
    for key, times in part.items():
        assert min(times) >= since
        assert max(times) <= until
        assert {second: whole[key][second] for second in times if second != since} == {
            second: value for second, value in times.items() if second != since
        }
    assert_as_scraped(ledger, inputs, until, since)


def test_no_query_finds_a_hole() -> None:
    ledger = TimeTravelLedger(map(accepted_event, simulated(days=0.3)))
    text, _ = run_backfill(inputs_for(ledger), BEGINS + 0.3 * DAY, step=300)
    times = samples(text)['dataexport_webhook_skewed_total{source="shop"}']
    assert max(later - earlier for earlier, later in pairwise(sorted(times))) == 300


def test_an_empty_ledger_has_no_history() -> None:
    with pytest.raises(ExporterError, match="the store is empty"):
        Backfill(inputs_for(TimeTravelLedger()), None, BEGINS, 300)
    text, seconds = run_backfill(inputs_for(TimeTravelLedger()), BEGINS + DAY, since=BEGINS)
    assert seconds == [BEGINS]
    assert 'dataexport_webhook_events_total{source="shop",status="initiated"} 0.0' in text


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ExporterError, match="the span ends before it begins"):
        Backfill(inputs_for(TimeTravelLedger()), BEGINS + 1, BEGINS, 300)
