"""What every ledger guarantees, shown on each implementation: the one in memory and those in databases."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import every_ledger
from builders import DAY, HOUR, accepted_event, at, event
from exporter.domain.decisions import Decision
from exporter.domain.errors import StoreError
from exporter.domain.events import DeliveryCounter, Outage
from exporter.domain.exports import ExportKey
from exporter.domain.terms import Terms, TermsChange
from exporter.ledger import contract as ledgers
from exporter.ledger.sql.ledger import SqlLedger
from ledger_entries import FIRST, SECOND, THIRD, a_quarantined, digests, vendor_call

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.domain.events import Event
    from exporter.ledger.contract import Ledger

ledger = every_ledger.ledger
"""Every implementation, one after the other."""


def test_an_event_is_read_back_as_it_was_appended(ledger: Ledger) -> None:
    odd = event("completed", at("0:00") + 0.123456, delay=-100.5, partner="Ünïcode 🪣", utc_offset=-34_200, skewed=True)
    dated = event("completed", at("0:01"), offset_in_text=True)
    assert ledger.append([accepted_event(odd), accepted_event(dated)]) == [True, True]
    assert ledger.read(0) == [odd._replace(sequence=1), dated._replace(sequence=2)]


def test_sequences_begin_at_one_and_follow_the_order_of_a_list(ledger: Ledger) -> None:
    many = [event("initiated", at("0:00") + minute * 60) for minute in range(600)]
    ledger.append([accepted_event(each) for each in many])
    ledger.append([accepted_event(THIRD)])
    kept = ledger.read(0)
    assert [each.sequence for each in kept] == list(range(1, 602))
    assert digests(kept) == digests([*many, THIRD])


def test_nothing_appended_is_nothing_kept(ledger: Ledger) -> None:
    assert ledger.append([]) == []
    assert (ledger.read(0), ledger.last_sequence(), ledger.delivery_counters()) == ([], 0, [])


def test_a_body_is_kept_verbatim(ledger: Ledger) -> None:
    body = b'\t{ "Partner" :\x00\xff "S3"}  \r\n'
    ledger.append([ledgers.AcceptedEvent(FIRST, body)])
    assert ledger.body(1) == body
    assert ledger.body(0) is None
    assert ledger.body(2) is None


def test_what_was_not_understood_is_kept_newest_first_and_counted_by_reason(ledger: Ledger) -> None:
    bodies = [a_quarantined("bad_date", b"1" * 16), a_quarantined("wrong_type", b"2" * 16)]
    assert ledger.append([*bodies, a_quarantined("bad_date", b"3" * 16)]) == [True, True, True]
    kept = ledger.quarantine()
    assert [(each.sequence, each.digest, each.reason) for each in kept] == [
        (3, b"3" * 16, "bad_date"),
        (2, b"2" * 16, "wrong_type"),
        (1, b"1" * 16, "bad_date"),
    ]
    assert (kept[0].body, kept[0].detail, kept[0].arrived_at) == (b'{"not": "understood"}', "made up", at("0:00"))
    assert ledger.quarantine(1) == kept[:1]
    assert ledger.quarantine(1, before=kept[0].sequence) == kept[1:2]
    assert [(each.kind, each.label, each.count) for each in ledger.delivery_counters()] == [
        ("quarantined", "bad_date", 2),
        ("quarantined", "wrong_type", 1),
    ]


def test_calls_of_the_vendor_are_counted_each_time_with_the_newest_arrival(ledger: Ledger) -> None:
    assert ledger.append([vendor_call(at("2:00")), vendor_call(at("1:00"))]) == [True, True]
    ledger.append([vendor_call(at("0:30"))])
    assert ledger.delivery_counters() == [DeliveryCounter("shop", "test_call", "", 3, at("2:00"))]
    assert ledger.read(0) == []


def test_a_list_may_hold_everything_at_once(ledger: Ledger) -> None:
    fresh = ledger.append(
        [accepted_event(FIRST), vendor_call(), a_quarantined(), accepted_event(FIRST), a_quarantined()]
    )
    assert fresh == [True, True, True, False, False]
    assert [(each.kind, each.count) for each in ledger.delivery_counters()] == [
        ("duplicate", 2),
        ("quarantined", 1),
        ("test_call", 1),
    ]


def test_an_export_stays_declared_since_the_first_time(ledger: Ledger) -> None:
    assert ledger.declaration_times() == {}
    assert ledger.record_declarations([("shop", "nightly")], at("1:00")) == {("shop", "nightly"): at("1:00")}
    both = ledger.record_declarations([("shop", "nightly"), ("shop", "hourly")], at("2:00"))
    assert both == {("shop", "nightly"): at("1:00"), ("shop", "hourly"): at("2:00")}
    assert ledger.declaration_times() == both
    assert ledger.record_declarations([], at("3:00")) == both


def test_terms_are_appended_when_they_differ_from_the_newest_ones(ledger: Ledger) -> None:
    nightly, hourly = ("shop", "nightly"), ("shop", "hourly")
    assert ledger.declared_terms() == {}
    ledger.record_terms({nightly: Terms(DAY), hourly: Terms(HOUR, 60)}, at("1:00"))
    ledger.record_terms({nightly: Terms(DAY)}, at("2:00"))
    ledger.record_terms({nightly: Terms(None, 0), hourly: Terms(HOUR, 60)}, at("3:00"))
    ledger.record_terms({nightly: Terms(DAY)}, at("4:00"))
    assert ledger.declared_terms() == {
        nightly: (
            TermsChange(at("1:00"), Terms(DAY)),
            TermsChange(at("3:00"), Terms(None, 0)),
            TermsChange(at("4:00"), Terms(DAY)),
        ),
        hourly: (TermsChange(at("1:00"), Terms(HOUR, 60)),),
    }


def test_a_ledger_has_an_identity_that_it_keeps(ledger: Ledger) -> None:
    before = ledger.ledger_id()
    ledger.append([accepted_event(FIRST)])
    assert ledger.ledger_id() == before != ""


def test_the_last_sequence_is_that_of_the_newest_event(ledger: Ledger) -> None:
    ledger.append([accepted_event(FIRST), accepted_event(THIRD)])
    assert ledger.last_sequence() == 2


def test_a_reader_never_sees_a_sequence_below_one_that_it_has_seen(ledger: Ledger) -> None:
    done = threading.Event()

    def deliver(writer: int) -> None:
        for n in range(30):
            ledger.append([accepted_event(event("initiated", at("0:00") + n * HOUR, request_id=f"{writer}"))])

    def finish() -> None:
        for each in writers:
            each.join()
        done.set()

    writers = [threading.Thread(target=deliver, args=(writer,)) for writer in range(4)]
    closer = threading.Thread(target=finish)
    for each in [*writers, closer]:
        each.start()
    tail: list[Event] = []
    while not done.is_set():
        tail += ledger.read(tail[-1].sequence if tail else 0)
    tail += ledger.read(tail[-1].sequence if tail else 0)
    closer.join()
    assert tail == ledger.read(0)
    assert len(tail) == 120


def test_a_ledger_that_is_closed_takes_nothing_more(tmp_path: Path) -> None:
    ledger = SqlLedger(f"sqlite:///{tmp_path}/ledger.db")
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.append([accepted_event(SECOND)])


def test_everything_is_there_again_after_it_was_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    before = SqlLedger(url)
    before.append([accepted_event(FIRST), accepted_event(FIRST), a_quarantined(), vendor_call()])
    before.record_declarations([("shop", "nightly")], at("1:00"))
    before.record_heartbeat("a", at("0:00"))
    before.record_heartbeat("a", at("0:01"))
    known = (
        before.read(0),
        before.quarantine(),
        before.delivery_counters(),
        before.declaration_times(),
        before.body(1),
    )
    before.close()

    after = SqlLedger(url)
    assert (
        after.read(0),
        after.quarantine(),
        after.delivery_counters(),
        after.declaration_times(),
        after.body(1),
    ) == known
    assert after.append([accepted_event(FIRST)]) == [False]
    assert after.append([accepted_event(SECOND)]) == [True]
    assert after.record_declarations([("shop", "nightly")], at("9:00")) == {("shop", "nightly"): at("1:00")}
    after.record_heartbeat("b", at("0:05"))
    assert after.outages() == [Outage(at("0:00"), at("0:01")), Outage(at("0:01"), at("0:05"))]
    after.close()


def test_a_ledger_keeps_decisions_in_order_and_gives_what_is_past_a_sequence(ledger: Ledger) -> None:
    assert ledger.decisions() == []
    odd = Decision("mute", ExportKey("a", "group", "any", "ü", "", "x y"), 1.5, 1e9 + 0.25, "ich", 'weil "es" so ist')
    ledger.append_decision(odd)
    ledger.append_decision(Decision("retire", ExportKey("shop", "declared", "nightly"), 2, 0, "me", ""))
    first, second = ledger.decisions()
    assert (first.kind, first.key, first.decided_at, first.until) == (odd.kind, odd.key, odd.decided_at, odd.until)
    assert (first.by, first.why, first.sequence) == (odd.by, odd.why, 1)
    assert (second.kind, second.key, second.sequence) == ("retire", ExportKey("shop", "declared", "nightly"), 2)
    assert ledger.decisions(1) == [second]
    assert ledger.decisions(2) == []


def test_the_newest_backup_is_dated_by_the_epoch_that_it_was_recorded_in(ledger: Ledger) -> None:
    assert ledger.last_backup() == 0
    ledger.record_backup(at("0:00"))
    assert ledger.last_backup() == at("0:00")
    epoch = ledger.begin_epoch("boot", 0, round(at("1:00") * 1e6))
    ledger.record_backup(at("2:00"), epoch)
    assert ledger.last_backup() == at("2:00")
    ledger.correct_epochs({epoch.id: epoch.offset_us - round(HOUR * 1e6)})
    assert ledger.last_backup() == at("1:00")
