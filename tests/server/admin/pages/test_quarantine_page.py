"""The page of bodies that became no event, and the replay on it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from builders import accepted_event, at, body, event
from exporter.domain.events import QuarantinedBody
from exporter.ledger.sql.ledger import SqlLedger
from exporter.server.admin.pages import quarantine_page
from form_client import FormClient, form_with, forms, text_of
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOSTILE = '<img src=x onerror="alert(1)">'
CONFIGURATION = '[[sources]]\nslug = "shop"\ntimezone = "UTC"\n[[sources]]\nslug = "other"\n'


def quarantined(number: int, content: bytes, reason: str = "bad_date", source: str = "shop") -> QuarantinedBody:
    return QuarantinedBody(source, at("1:00") + number, reason, f"reason {number}", content, number.to_bytes(16, "big"))


@pytest.fixture
def exporter(tmp_path: Path) -> Iterator[LocalExporter]:
    """Run an exporter with bodies in quarantine that an earlier release could not parse, and others."""
    ledger = SqlLedger(f"sqlite:///{tmp_path}/dataexport.db")
    stored = event("completed", at("0:59"), source="shop")
    ledger.append(
        [
            accepted_event(stored),
            *(quarantined(n, body("Completed", f"01/06/2026 12:{n:02}:00 AM", n)) for n in range(55)),
            quarantined(60, body("Completed", HOSTILE), "wrong_type"),
            quarantined(61, b'{"is_test": true}', "missing_key", "other"),
            quarantined(62, body(), "missing_key", "gone"),
        ]
    )
    ledger.close()
    with LocalExporter(tmp_path, CONFIGURATION) as running:
        yield running
        assert "Traceback" not in running.log()


def test_a_replay_is_previewed_and_then_makes_events_of_the_bodies(exporter: LocalExporter) -> None:
    browser = FormClient(exporter)
    page = browser.get("/quarantine")
    text = text_of(page)
    assert "58 bodies" in text
    assert "bad_date the date and time cannot be read, or does not exist" in text
    assert "onerror" not in re.sub("&#34;|&lt;", "", page.text) or "<img" not in page.text

    shown = browser.get("/quarantine?source=shop&reason=bad_date")
    assert shown.text.count('href="quarantine/') == 50
    [older] = re.findall(r'href="(quarantine\?[^"]*before=[^"]*)"', shown.text)
    assert browser.get(f"/{older.replace('&amp;', '&')}").text.count('href="quarantine/') == 5

    preview = browser.get("/quarantine?source=shop&reason=bad_date&preview=1")
    assert "55 would become events, or are stored already; 0 would become test calls; 0 would stay" in text_of(preview)
    assert "completed 2026-06-01 00:00 UTC: Amazon S3, events, 4h, 0" in text_of(preview)
    assert browser.get("/api/v1/exports").json()["total"] == 1

    form = form_with(preview, "reason")
    refused = browser.send(preview, form, typed={"form_token": "made up"})
    assert refused.status_code == 400
    assert "Nothing was changed" in refused.text
    done = browser.send(preview, form)
    assert done.history[0].status_code == 303
    assert "55 bodies replayed: 55 new events, 0 duplicates, 0 test calls, 0 still in quarantine." in text_of(done)
    again = browser.send(preview, form)
    assert "bodies replayed" not in text_of(again)
    assert len(browser.get("/api/v1/events?limit=1000").json()["events"]) == 56


def test_a_replay_of_all_leaves_what_still_cannot_be_parsed(exporter: LocalExporter) -> None:
    browser = FormClient(exporter)
    preview = browser.get("/quarantine?preview=1")
    assert "55 would become events, or are stored already; 1 would become test calls; 1 would stay" in text_of(preview)
    assert "2 still in quarantine" not in text_of(browser.get("/quarantine"))
    done = browser.send(preview, form_with(preview, "reason"))
    assert "57 bodies replayed: 55 new events, 0 duplicates, 1 test calls, 1 still in quarantine." in text_of(done)
    nothing = browser.get("/quarantine?preview=1")
    assert forms(nothing) == []
    assert "A replay would change nothing" in nothing.text


def test_a_replay_that_ends_before_the_last_body_says_so_and_leads_to_the_others(
    exporter: LocalExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine_page, "MAX_REPLAYED", 40)
    monkeypatch.setattr(quarantine_page, "REPLAYED_AT_A_TIME", 20)
    browser = FormClient(exporter)
    preview = browser.get("/quarantine?source=shop&reason=bad_date&preview=1")
    assert "This preview, and its replay, end after 40 bodies, and there are more." in text_of(preview)
    assert "40 would become events" in text_of(preview)
    assert "The first 20 of 40." in text_of(preview)
    done = browser.send(preview, form_with(preview, "reason"))
    assert "40 bodies replayed: 40 new events" in text_of(done)
    assert "There are more: a replay from this page ends after 40 bodies." in text_of(done)
    [next_part] = re.findall(r'href="(quarantine\?[^"]*preview=1[^"]*after=[^"]*)#preview"', done.text)
    others = browser.get(f"/{next_part.replace('&amp;', '&')}")
    assert re.search(r"Of the bodies after \d+: 15 would become events", text_of(others))
    assert "there are more" not in text_of(others)
    assert "15 bodies replayed: 15 new events" in text_of(browser.send(others, form_with(others, "reason")))


def test_a_single_body_is_shown_as_it_arrived_and_replayed(exporter: LocalExporter) -> None:
    browser = FormClient(exporter)
    shown = browser.get("/quarantine/3")
    assert "It can be parsed now, as: completed 2026-06-01 00:02 UTC" in text_of(shown)
    assert "&#34;Export Request Id&#34;: 2" in shown.text
    done = browser.send(shown, form_with(shown, "sequence"))
    assert "1 body replayed: 1 new events" in text_of(done)
    assert browser.get("/quarantine/3").status_code == 404
    hostile = browser.get("/quarantine/56")
    assert "<img" not in hostile.text
    assert "It still cannot be parsed" in hostile.text
    assert forms(hostile) == []
    assert "now, as: a test call." in text_of(browser.get("/quarantine/57"))
    assert "Its source is not configured, so it cannot be replayed." in text_of(browser.get("/quarantine/58"))
    for sequence in ("", "x", "-1", "99999999999999999999999"):
        form = form_with(browser.get("/quarantine/4"), "sequence")
        answer = browser.send(shown, form, typed={"sequence": sequence or "0"})
        assert "replayed:" not in text_of(answer)
    assert browser.get("/quarantine/99999999999999999999999").status_code == 404
    assert browser.get("/quarantine?before=99999999999999999999999&refused_before=x").status_code == 200


def test_refused_bodies_are_listed_by_why_and_shown(exporter: LocalExporter) -> None:
    browser = FormClient(exporter)
    assert "None was refused." in browser.get("/quarantine").text
    for number in range(52):
        exporter.post(b"<b>not json</b>", "shop", {"X-Number": str(number)})
    exporter.post(body(), "shop", {"Content-Encoding": "br"})
    listeners = exporter.__dict__["_listeners"]
    listeners.__dict__["_service"].refused_bodies.write()
    page = browser.get("/quarantine")
    assert "shop: 50 answered 400, " in text_of(page)
    assert "shop: 1 answered 415" in text_of(page)
    [older] = re.findall(r'href="(quarantine\?refused_before[^"#]*)#refused"', page.text)
    assert browser.get(f"/{older}").text.count('href="refused/') == 3
    shown = browser.get("/refused/1")
    assert "&lt;b&gt;not json&lt;/b&gt;" in shown.text
    assert "Answer 400: " in text_of(shown)
    assert browser.get("/refused/99").status_code == 404
