"""The page of one export, and the forms on it."""

from __future__ import annotations

import html
import re
import time
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, body, vendor_clock
from exporter.ledger.sql.ledger import SqlLedger
from form_client import FormClient, form_with, forms, text_of
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import requests

    from form_client import Attributes

HOSTILE = '<script>alert("1")</script>שלום😀'
CONFIGURATION = """
[[sources]]
slug = "shop"
timezone = "Asia/Kolkata"

[[sources]]
slug = "other"
timezone = "UTC"

[[exports]]
name = "nightly"
source = "shop"
match = { partner = "s3", data_type = "events" }
interval = "4h"
owner = "data <team>"
runbook_url = "https://example.org/nightly"

[[exports]]
name = "paused"
source = "shop"
match = { partner = "gcs" }
interval = "1d"
muted_until = 2999-12-31T00:00:00Z
"""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExporter]:
    with LocalExporter(tmp_path_factory.mktemp("page"), CONFIGURATION) as running:
        now, india = time.time(), 5.5 * HOUR
        for ago in (10, 6):
            running.post(body("Initiated", vendor_clock(now - ago * HOUR + india), ago), "shop")
            running.post(body("Completed", vendor_clock(now - ago * HOUR + 600 + india), ago), "shop")
        running.post(body("Completed", vendor_clock(now - 60), 5, Partner=HOSTILE, Frequency="now and then"), "other")
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture
def browser(exporter: LocalExporter) -> FormClient:
    return FormClient(exporter)


def page_of(browser: FormClient, **labels: str) -> requests.Response:
    exports = browser.get("/api/v1/exports").json()["exports"]
    [found] = [each for each in exports if labels.items() <= each.items()]
    return browser.get(f"/exports/{found['id']}")


def decide(
    browser: FormClient, page: requests.Response, action: str, typed: Attributes | None = None
) -> requests.Response:
    form = next(each for each in forms(page) if each.id == action)
    return browser.send(page, form, typed={"by": "ada", "why": "bucket moves"} | (typed or {}))


def decisions(exporter: LocalExporter) -> int:
    ledger = SqlLedger(f"sqlite:///{exporter.database}")
    try:
        return len(ledger.decisions())
    finally:
        ledger.close()


def test_it_says_why_the_export_has_its_deadline_whose_it_is_and_what_was_received(browser: FormClient) -> None:
    page = page_of(browser, export="nightly")
    text = text_of(page)
    assert re.search(
        r"Overdue for 1 h \d+ min\.\s+"
        r"It last completed [\d :-]+, so it should have completed again by [\d :-]+: every 4 h plus 48 min grace\. "
        r"The interval is declared",
        text,
    )
    assert "Times of day are in Asia/Kolkata." in text
    assert "data <team>" in text
    assert 'href="https://example.org/nightly"' in page.text
    assert "it took 10 min, usually 10 min" in text
    assert "Durations of the last 2 runs" in text
    assert "Last 2 slots" in text
    assert 'style="' not in page.text  # the Content-Security-Policy forbids it
    assert page.text.count("<td>completed</td>") == 2
    assert re.search(
        r'runbooks/ExportOverdue\.md" [^>]*>ExportOverdue</a></td><td>[^<]+</td><td><strong>fires', page.text
    )


def test_each_series_is_given_as_the_scrape_has_it(exporter: LocalExporter, browser: FormClient) -> None:
    scrape = exporter.scrape()
    for labels in ({"export": "nightly"}, {"source": "other"}):
        page = page_of(browser, **labels)
        selectors = [html.unescape(each) for each in re.findall(r'<code dir="ltr">([^<]+)</code>', page.text)]
        assert len(selectors) > 15
        for selector in selectors:
            if "_bucket{" in selector:
                name, labels_text = selector.removesuffix("}").split("{")
                export, source = labels_text.split(",")
                assert f'{name}{{{export},le="60.0",{source}}}' in scrape
            elif selector.startswith("dataexport_export_info"):
                assert "dataexport_export_info{" in scrape
            else:
                assert f"\n{selector} " in scrape


def test_an_event_leads_to_its_body_as_it_arrived(browser: FormClient) -> None:
    page = page_of(browser, source="other")
    [link] = set(re.findall(r'href="\.\./(events/\d+)"', page.text))
    shown = browser.get(f"/{link}")
    assert "<script>alert" not in page.text + shown.text
    assert "&lt;script&gt;alert(\\&#34;1\\&#34;)&lt;/script&gt;" in shown.text
    assert "Body as received" in shown.text
    assert browser.get("/events/99999").status_code == 404
    assert browser.get("/exports/0123456789abcdef").status_code == 404


def test_it_is_muted_once_however_often_the_form_is_sent_and_unmuted(
    exporter: LocalExporter, browser: FormClient
) -> None:
    page, before = page_of(browser, export="nightly"), decisions(exporter)
    choices = form_with(page, "until").choices["until"]
    monday = choices[-2]
    assert time.gmtime(int(monday) + 5.5 * HOUR)[3:7] == (8, 0, 0, 0)  # Monday, 08:00 in India
    for _ in range(2):
        answer = decide(browser, page, "mute", {"until": monday})
        assert answer.history[0].status_code == 303
        assert "Muted." in text_of(answer)
    assert decisions(exporter) == before + 1
    muted = page_of(browser, export="nightly")
    assert "muted" in muted.text
    assert re.search(
        r"ada muted its alerts until .* \(bucket moves\); its deadlines stay as they are\.", text_of(muted)
    )
    assert "would fire, but is muted" in muted.text
    [state] = [each for each in browser.get("/api/v1/exports").json()["exports"] if each["export"] == "nightly"]
    assert (state["muted_until_seconds"], state["muted_by"]) == (int(monday), "ada")
    for _ in range(2):
        assert "No longer muted." in text_of(decide(browser, muted, "unmute"))
    assert decisions(exporter) == before + 2


def test_another_time_is_in_the_zone_that_is_chosen(browser: FormClient) -> None:
    page = page_of(browser, export="nightly")
    typed = {"until": "custom", "until_local": "2999-01-02T03:04"}
    assert "Muted." in text_of(decide(browser, page, "mute", typed))
    assert "2999-01-01 21:34 UTC" in text_of(page_of(browser, export="nightly"))
    assert "Muted." in text_of(decide(browser, page, "mute", typed | {"zone": "UTC"}))
    muted = page_of(browser, export="nightly")
    assert "2999-01-02 03:04 UTC" in text_of(muted)
    decide(browser, muted, "unmute")


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        (
            {"until": "1000000000"},
            "the mute would end at 2001-09-09 01:46 UTC, which is in the past; give a later time",
        ),
        ({"until": "soon"}, "choose one from the list"),
        ({"until": "custom", "until_local": "x"}, "'x' is not a date and time; give one such as 2026-12-31T16:50"),
        ({"until": "custom", "until_local": "2999-01-01T00:00Z"}, "is not a date and time; give one such as"),
        ({"by": " "}, "give 1 to 512 printable characters"),
        ({"why": "x" * 513}, "give 1 to 512 printable characters"),
        ({"form_token": "made up"}, "This form was out of date. Nothing was changed; please send it again."),
        ({"action": "destroy"}, "This form was out of date. Nothing was changed; please send it again."),
    ],
)
def test_what_is_wrong_is_said_beside_the_field_and_what_was_typed_is_kept(
    exporter: LocalExporter, browser: FormClient, typed: Attributes, problem: str
) -> None:
    before = decisions(exporter)
    answer = decide(browser, page_of(browser, export="nightly"), "mute", typed)
    assert answer.status_code == 400
    assert problem in text_of(answer)
    assert decisions(exporter) == before
    again = form_with(answer, "until_local")
    kept = {"by": "ada", "why": "bucket moves", "zone": "Asia/Kolkata"} | typed
    assert {name: again.fields[name] for name in ("by", "why", "zone")} == {
        name: kept[name] for name in ("by", "why", "zone")
    }
    assert again.fields["form_token"] != "made up"
    assert 'http-equiv="refresh"' not in answer.text


def test_an_undeclared_export_is_retired_and_restored(exporter: LocalExporter, browser: FormClient) -> None:
    page, before = page_of(browser, source="other"), decisions(exporter)
    for _ in range(2):
        retired = decide(browser, page, "retire")
        assert "Retired until an event of it arrives." in text_of(retired)
    assert re.search(r"Retired \d+ (s|min) .*ago by ada \(bucket moves\)", text_of(retired))
    refused = decide(browser, page, "mute")
    assert "Nothing was changed: the export is retired, so it has no alerts" in text_of(refused)
    for _ in range(2):
        assert "The retirement is undone." in text_of(decide(browser, retired, "unretire"))
    assert decisions(exporter) == before + 2


def test_a_declared_export_is_retired_in_the_configuration(browser: FormClient) -> None:
    page = page_of(browser, export="nightly")
    assert "retire" not in {form.id for form in forms(page)}
    form = form_with(page, "until")
    form.fields["action"] = "retire"
    answer = browser.send(page, form, typed={"by": "ada", "why": "gone"})
    assert answer.status_code == 400
    assert "Nothing was changed: 'nightly' is declared in the configuration" in text_of(answer)


def test_a_mute_of_the_configuration_is_ended_there(browser: FormClient) -> None:
    page = page_of(browser, export="paused")
    assert "The configuration mutes it: change muted_until there." in text_of(page)
    form = form_with(page, "until")
    form.fields["action"] = "unmute"
    answer = browser.send(page, form, typed={"by": "ada", "why": "gone"})
    assert "by muted_until in the configuration: change it there" in text_of(answer)


def test_a_listener_that_everyone_can_read_accepts_no_decisions(tmp_path: Path) -> None:
    toml = "[server]\nadmin_open = true\n[[exports]]\nname = 'n'\nmatch = { request_id = 7 }\ninterval = '1d'\n"
    exporter = LocalExporter(tmp_path, toml)
    exporter.environment["DATAEXPORT_ADMIN_LISTEN"] = f"0.0.0.0:{exporter.admin_port}"
    with exporter:
        browser = FormClient(exporter)
        page = page_of(browser, export="n")
        assert forms(page) == []
        assert "so it accepts no decisions" in text_of(page)
        answer = browser.session.post(page.url, data={"action": "mute", "until": "9999999999", "by": "a", "why": "b"})
        assert answer.status_code == 400
        assert "Decisions need a credential" in text_of(answer)
        assert decisions(exporter) == 0


def test_the_name_of_basic_is_filled_in(tmp_path: Path) -> None:
    toml = (
        "[server]\nadmin_basic = { username = 'ada', password = 'an-admin-password' }\n"
        "[[exports]]\nname = 'n'\nmatch = { request_id = 7 }\ninterval = '1d'\n"
    )
    with LocalExporter(tmp_path, toml) as exporter:
        browser = FormClient(exporter)
        browser.session.auth = ("ada", "an-admin-password")
        page = page_of(browser, export="n")
        assert form_with(page, "until").fields["by"] == "ada"
        assert "None yet." in page.text
        assert "None: no event of it has arrived." in page.text
        assert "Muted." in text_of(decide(browser, page, "mute"))
