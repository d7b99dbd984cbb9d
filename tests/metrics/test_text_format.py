"""The text of a scrape: the same as the client library would write, complete, and clean to promtool."""

from __future__ import annotations

import math
import subprocess
import time
from datetime import UTC
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.utils import floatToGoString

from builders import HOUR, MINUTE, at, body, fields, vendor_clock
from exporter.domain.exports import Declaration, Selection, Source
from exporter.domain.states import ExportState, SourceState
from exporter.ingest.intake import Intake
from exporter.ingest.vendors.clevertap import REASONS
from exporter.metrics import families, text_format
from exporter.metrics.renderer import Renderer
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger
from reference import COUNTERS, GAUGES, LABELS, SLOTS, Reference, rendered_by_library
from running import Exporter, series
from tools import thorough, tool

GOLDEN = Path(__file__).parent.parent / "golden"


def read_back(text: str, *, openmetrics: bool) -> list[tuple[str, dict[str, str], float]]:
    parsed = parse_openmetrics(text + "# EOF\n") if openmetrics else parse_text(text)  # type: ignore[no-untyped-call]
    return [(sample.name, dict(sample.labels), sample.value) for family in parsed for sample in family.samples]


class World(NamedTuple):
    projector: Projector
    renderer: Renderer


NOW = at("20:00")
SHOP = Source("shop", "UTC", UTC)
FOUND_OUT = Source("found-out")
SILENT = Source("silent", "UTC", UTC)


def world(*, with_history: bool) -> World:
    """A day with some of everything, or nothing but what is configured."""
    declarations = [
        Declaration(
            "nightly",
            Selection("shop", partner="Microsoft Azure", frequency="24h"),
            interval=24 * HOUR,
            grace=2 * HOUR,
            max_runtime=3 * HOUR,
            owner='data "platform"',
            runbook_url="https://example.org/runbooks/nightly",
        ),
        Declaration("paused", Selection("silent", request_id="7"), interval=4 * HOUR, muted_until=NOW + HOUR),
    ]
    ledger = MemoryLedger()
    if with_history:
        intake = Intake(ledger, most_event_bytes=65536)

        def take(
            source: Source, moment: float, status: str, request_id: object = 1700000001, **changes: object
        ) -> None:
            intake.ingest(source, body(status, vendor_clock(moment), request_id, **changes), moment + 1.5)

        for clock in ("4:00", "8:00", "12:00"):  # an id that comes back; the last run does not end
            take(SHOP, at(clock), "Initiated")
            if clock != "12:00":
                take(SHOP, at(clock) + 10 * MINUTE, "Completed")
        take(SHOP, at("6:00"), "Initiated", 1700000002)  # an id seen once stays in its group
        take(SHOP, at("6:05"), "Failed", 1700000002)
        take(SHOP, at("7:00"), "Initiated", 3, Partner="azure", Frequency="Daily")
        take(SHOP, at("9:30"), "Completed", 3, Partner="azure", Frequency="Daily")
        take(SHOP, at("9:30"), "Completed", 3, Partner="azure", Frequency="Daily")
        for number in (11, 12):
            take(SHOP, at("10:00") + number, "Initiated", number, Partner="GCS", Frequency="One Time")
            take(SHOP, at("10:20"), "Completed", number, Partner="GCS", Frequency="One Time")
        take(FOUND_OUT, at("11:00"), "Queued", 1, Partner='back\\slash "quoted" ünï', Frequency="when\\it suits")
        take(FOUND_OUT, at("11:00"), "Completed", 1, Frequency="every 90 minutes")
        intake.ingest(FOUND_OUT, b'{"is_test": true}', at("11:01"))
        intake.ingest(FOUND_OUT, body(when="yesterday"), at("11:02"))
        intake.ingest(SHOP, body(when=vendor_clock(at("15:00")), request_id=4), at("11:00"))  # in the future
        ledger.record_heartbeat("a watch", at("3:00"))
        ledger.record_heartbeat("another", at("13:00"))
    ledger.record_declarations([(each.match.source, each.name) for each in declarations], at("2:00"))
    projector = Projector(ledger, {source.slug: source for source in (SHOP, FOUND_OUT, SILENT)}, declarations)
    renderer = Renderer(projector, exports_per_source=200, reasons=REASONS)
    renderer.update(NOW)
    return World(projector, renderer)


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
@pytest.mark.parametrize("with_history", [False, True], ids=["empty", "day"])
def test_the_scrape_of_a_fixed_history_is_the_golden_one(
    tmp_path: Path, *, with_history: bool, openmetrics: bool
) -> None:
    name = f"{'day' if with_history else 'empty'}.{'openmetrics' if openmetrics else 'text'}.txt"
    actual = tmp_path / name
    actual.write_bytes(world(with_history=with_history).renderer.body(openmetrics=openmetrics).plain(b""))
    golden = GOLDEN / name
    expected = golden.read_text("utf-8") if golden.exists() else ""
    assert actual.read_text("utf-8") == expected, f"where the change is meant: cp {actual} {golden}"


@pytest.mark.parametrize("openmetrics", [False, True], ids=["text", "openmetrics"])
@pytest.mark.parametrize("with_history", [False, True], ids=["empty", "day"])
def test_the_scrape_is_what_the_library_writes_for_the_same_states(*, with_history: bool, openmetrics: bool) -> None:
    projector, renderer = world(with_history=with_history)
    reference = Reference(projector.list_states(NOW), projector.list_sources())
    assert renderer.body(openmetrics=openmetrics).plain(b"").decode() == rendered_by_library(
        reference, openmetrics=openmetrics
    )


texts = st.text(max_size=12) | st.text(alphabet='\\"\n\r\t{}=, aü\u2028\x00\x85', max_size=6)
counts = st.integers(0, 2**63)
instants = st.floats(allow_nan=True, allow_infinity=True)
export_states = st.builds(
    ExportState,
    **dict.fromkeys(LABELS, texts),
    timezone=texts,
    declared=st.booleans(),
    severity=texts,
    owner=texts,
    runbook_url=texts,
    **dict.fromkeys((name for name in GAUGES.values() if name != "in_progress"), instants),
    duration_buckets=st.lists(counts, min_size=12, max_size=12).map(tuple),
    duration_sum=st.floats(min_value=0, allow_nan=False),
    in_progress=counts,
    **dict.fromkeys(COUNTERS + SLOTS, counts),
    recurring=st.booleans(),
    muted=st.booleans(),
    changes_at=st.just(math.inf),
)
source_states = st.builds(
    SourceState,
    slug=texts,
    timezone=st.just("UTC"),
    events=st.dictionaries(texts, counts, max_size=3),
    duplicates=counts,
    test_calls=counts,
    quarantined=st.dictionaries(st.sampled_from(sorted(REASONS)), counts, max_size=2),
    skewed=counts,
    unknown_frequencies=counts,
    last_accepted=instants,
    configured_at=instants,
    unknown_statuses=st.dictionaries(texts, instants, max_size=2),
    delay=instants,
    suspected_offset=st.none() | st.integers(-12 * HOUR, 14 * HOUR),
    suspect=st.booleans(),
)


@thorough
@given(state=export_states, source=source_states, openmetrics=st.booleans())
def test_any_text_and_any_number_is_written_as_the_library_does_and_read_back_by_it(
    state: ExportState, source: SourceState, *, openmetrics: bool
) -> None:
    lines = list(families.export_lines(state))
    lines[families.EXPORT_FAMILIES.index(families.DURATION)] = families.duration_lines(
        state.source, state.export, state.duration_buckets, state.duration_sum
    )
    lines += families.source_lines(source, tuple(REASONS))
    all_families = families.EXPORT_FAMILIES + families.SOURCE_FAMILIES
    pieces = zip(all_families, lines, strict=True)
    text = "".join(family.header(openmetrics=openmetrics) + line for family, line in pieces)
    reference = Reference([state], [source])
    assert text == rendered_by_library(reference, openmetrics=openmetrics)

    expected = [
        (each.name, each.labels, float(each.value)) for family in reference.collect() for each in family.samples
    ]
    found = read_back(text, openmetrics=openmetrics)
    assert [(name, labels) for name, labels, _ in found] == [(name, labels) for name, labels, _ in expected]
    for (*_, value), (*_, wanted) in zip(found, expected, strict=True):
        assert value == wanted or (math.isnan(value) and math.isnan(wanted))


@example(number=1e9)
@example(number=1e10)
@example(number=math.nextafter(1e10, 0))
@example(number=999_999.999_999_999_9)
@example(number=1_000_000)
@example(number=-0.0)
@given(
    number=st.floats(9e8, 2e10)
    | st.integers(-(2**20), 2**21)
    | st.integers(900_000_000, 2**35).map(float)
    | st.floats(allow_nan=True)
    | st.booleans()
)
def test_a_number_is_written_as_the_library_does(number: float) -> None:
    assert text_format.format_value(number) == floatToGoString(number)  # type: ignore[no-untyped-call]


# As the page on metrics promises them: name of the sample, and its labels.
PER_EXPORT = {
    **{f"dataexport_{name}": LABELS for name in (*GAUGES, *SLOTS)},
    **{f"dataexport_{name}_total": LABELS for name in COUNTERS},
    "dataexport_run_duration_seconds_bucket": ("source", "export", "le"),
    "dataexport_run_duration_seconds_count": ("source", "export"),
    "dataexport_run_duration_seconds_sum": ("source", "export"),
    "dataexport_muted": LABELS,
    "dataexport_export_info": (*LABELS, "timezone", "declared", "severity", "owner", "runbook_url"),
}
PER_SOURCE = {
    "dataexport_webhook_events_total": ("source", "status"),
    "dataexport_webhook_duplicates_total": ("source",),
    "dataexport_webhook_test_calls_total": ("source",),
    "dataexport_webhook_quarantined_total": ("source", "reason"),
    "dataexport_webhook_skewed_total": ("source",),
    "dataexport_webhook_unknown_frequencies_total": ("source",),
    "dataexport_webhook_unknown_status_timestamp_seconds": ("source", "status"),
    "dataexport_source_configured_timestamp_seconds": ("source",),
    "dataexport_webhook_last_accepted_timestamp_seconds": ("source",),
    "dataexport_event_delay_seconds": ("source",),
    "dataexport_suspected_utc_offset_seconds": ("source",),
    "dataexport_timezone_suspect": ("source",),
}
OF_THIS_PROCESS = {
    "dataexport_webhook_requests_total": ("source", "code"),
    "dataexport_webhook_request_duration_seconds_bucket": ("source", "le"),
    "dataexport_webhook_request_duration_seconds_count": ("source",),
    "dataexport_webhook_request_duration_seconds_sum": ("source",),
    "dataexport_webhook_auth_failures_total": ("source",),
    "dataexport_store_up": (),
    "dataexport_clock_timestamp_seconds": (),
    "dataexport_store_errors_total": ("operation",),
    "dataexport_checkpoint_last_success_timestamp_seconds": (),
    "dataexport_backup_last_success_timestamp_seconds": (),
    "dataexport_backup_max_age_seconds": (),
    "dataexport_store_free_bytes": (),
    "dataexport_store_size_bytes": (),
    "dataexport_store_pruned_total": (),
    "dataexport_store_commit_duration_seconds_bucket": ("le",),
    "dataexport_store_commit_duration_seconds_count": (),
    "dataexport_store_commit_duration_seconds_sum": (),
    "dataexport_config_last_reload_successful": (),
    "dataexport_config_last_reload_success_timestamp_seconds": (),
    "dataexport_series": (),
    "dataexport_series_dropped_total": (),
    "dataexport_exports_per_source_limit": (),
    "dataexport_tls_certificate_not_after_timestamp_seconds": (),
    "dataexport_build_info": ("version", "revision", "python_version"),
}


@pytest.fixture(scope="module")
def scrape(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a real process shows after some of everything."""
    with Exporter(tmp_path_factory.mktemp("exposition"), environment={"DATAEXPORT_REVISION": "abc123"}) as exporter:
        now = vendor_clock(time.time())
        for status in ("Initiated", "Completed", "Failed", "Paused"):
            exporter.post(fields(status, now))
        exporter.post({"is_test": True})
        exporter.post({})
        exporter.post(b"")
        exporter.post(b"", "nobody")
        return exporter.scrape()


def test_a_real_scrape_has_every_promised_metric_with_its_labels_and_no_other(scrape: str) -> None:
    found = {(name, frozenset(label for label, _ in labels)) for name, labels in series(scrape)}
    promised = PER_EXPORT | PER_SOURCE | OF_THIS_PROCESS
    own = {each for each in found if each[0].startswith("dataexport_")}
    assert own == {(name, frozenset(labels)) for name, labels in promised.items()}
    assert {"process_cpu_seconds_total", "process_resident_memory_bytes", "python_info"} <= {name for name, _ in found}
    assert 'revision="abc123"' in scrape


def test_dataexport_series_counts_the_series_of_exports_and_sources(scrape: str) -> None:
    found = series(scrape)
    known = [name for name, _ in found if name in PER_EXPORT | PER_SOURCE]
    assert found["dataexport_series", frozenset()] == len(known)


def test_promtool_finds_nothing_to_complain_about(scrape: str) -> None:
    promtool = tool("promtool", oldest=(2, 42))
    # No name is excused. Should promtool ever dislike one, then what to do depends on who it is of:
    # one of ours is renamed, with a reason in a decision record; one of the client library is
    # taken out of the text before the check, by its full name, here.
    checked = subprocess.run([promtool, "check", "metrics"], input=scrape, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
