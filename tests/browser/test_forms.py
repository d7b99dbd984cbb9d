"""Forms in a real browser: signing in, muting until a time, replaying what is in quarantine, and hostile names."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from browsing import PHONE, SCHEMES, accessibility_problems, fits_the_width, refresh
from builders import HOUR, body, vendor_clock
from exporter.domain.events import QuarantinedBody
from exporter.ledger.sql.ledger import SqlLedger
from running import wait_until
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

    from browsing import Browser, Scheme
    from running import Exporter

TOKEN = "an-admin-token-of-24-letters"
HOSTILE = '<img src=x onerror="alert(1)"> \u05d0\u05d1\u05d2 📦'
PATHS = ("/sources", "/quarantine?preview=1", "/quarantine/2", "/exports/{id}")
CONFIGURATION = f"""
[server]
admin_tokens = ["{TOKEN}"]

[[sources]]
slug = "shop"
timezone = "UTC"
"""
ALLOWED = ("401", "400")
"""The browser logs the status of the form to sign in as an error."""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """Start an exporter that needs a credential, with an overdue export of a hostile name and a body in quarantine."""
    folder, now = tmp_path_factory.mktemp("forms"), time.time()
    ledger = SqlLedger(f"sqlite:///{folder}/dataexport.db")
    late = body("Completed", vendor_clock(now - 3 * HOUR), 8, Partner="Azure", Frequency="Daily")
    ledger.append([QuarantinedBody("shop", now - 3 * HOUR, "bad_date", "an earlier release said so", late, b"x" * 16)])
    ledger.close()
    with LocalExporter(folder, CONFIGURATION) as running:
        running.http.headers["Authorization"] = f"Bearer {TOKEN}"
        running.admin("/-/healthy")
        when = vendor_clock(now - 7 * HOUR)
        assert running.post(body("Completed", when, Partner=HOSTILE), "shop").status_code == 200
        assert running.post(body("Completed", "yesterday"), "shop").status_code == 200
        yield running


def overdue_id(exporter: Exporter) -> str:
    return str(exporter.admin("/api/v1/exports?state=overdue").json()["exports"][0]["id"])


def sign_in(page: Page) -> None:
    page.get_by_label("Token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_no_page_has_a_barrier_or_needs_a_wide_screen(browser: Browser, exporter: Exporter, scheme: Scheme) -> None:
    with browser.page(exporter.admin_url, scheme=scheme, size=PHONE, allowed_errors=ALLOWED) as page:
        assert accessibility_problems(page) == []
        assert fits_the_width(page)
        sign_in(page)
        for path in PATHS:
            page.goto(exporter.admin_url + path.format(id=overdue_id(exporter)))
            assert accessibility_problems(page) == [], path
            assert fits_the_width(page), path


def test_a_person_signs_in_and_out(browser: Browser, exporter: Exporter) -> None:
    with browser.page(f"{exporter.admin_url}/sources", allowed_errors=ALLOWED) as page:
        page.get_by_label("Token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        assert "not a valid credential" in page.get_by_role("alert").filter(visible=True).inner_text()
        sign_in(page)
        assert page.url == f"{exporter.admin_url}/sources"
        assert page.locator("h1").inner_text() == "Sources"
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Token").wait_for()


def test_a_page_whose_session_has_ended_says_so_and_leads_back(browser: Browser, exporter: Exporter) -> None:
    path = f"/exports/{overdue_id(exporter)}"
    with browser.page(exporter.admin_url + path, allowed_errors=ALLOWED) as page:
        sign_in(page)
        page.context.clear_cookies()
        refresh(page)
        warning = page.get_by_role("alert").filter(visible=True)
        assert warning.inner_text().startswith("Your session has ended. This page is as of ")
        assert page.locator("h1").is_visible()
        assert accessibility_problems(page) == []
        warning.get_by_role("link", name="Sign in again").click()
        sign_in(page)
        assert page.url == exporter.admin_url + path


@pytest.mark.parametrize("javascript", [True, False])
def test_an_overdue_export_is_muted_until_monday_in_two_clicks(
    browser: Browser, exporter: Exporter, *, javascript: bool
) -> None:
    with browser.page(exporter.admin_url, javascript=javascript, allowed_errors=ALLOWED) as page:
        sign_in(page)
        page.locator(".worst").get_by_role("link").first.click()
        assert "should have completed again by" in page.locator("main").inner_text()
        assert page.locator("img[src=x]").count() == 0
        monday = page.get_by_label("For or until").locator("option", has_text="until Monday 08:00")
        page.get_by_label("For or until").select_option(monday.get_attribute("value"))
        mute = page.locator("#mute")
        mute.get_by_label("Who").fill("Ada")
        mute.get_by_label("Why").fill("bucket moves")
        mute.get_by_role("button", name="Mute").click()
        assert page.get_by_role("status").first.inner_text() == "Muted."
        page.reload()
        assert page.title().startswith("muted:")
        unmute = page.locator("#unmute")
        unmute.get_by_label("Who").fill("Ada")
        unmute.get_by_label("Why").fill("moved")
        unmute.get_by_role("button", name="Unmute").click()
        assert page.title().startswith("overdue:")


def test_a_mute_ends_at_its_time(browser: Browser, exporter: Exporter) -> None:
    with browser.page(f"{exporter.admin_url}/exports/{overdue_id(exporter)}", allowed_errors=ALLOWED) as page:
        sign_in(page)
        # A person can choose no time this close: the value of a choice is replaced. On a busy machine, the time may
        # be over before the form is sent; then it is refused, and the next attempt has four times as long.
        choose = "(list, until) => { list.options[0].value = until; list.selectedIndex = 0; }"
        for seconds in (3, 12, 48, 192):
            page.get_by_label("For or until").evaluate(choose, str(int(time.time()) + seconds))
            mute = page.locator("#mute")
            mute.get_by_label("Who").fill("Ada")
            mute.get_by_label("Why").fill("a moment")
            with page.expect_navigation():
                mute.get_by_role("button", name="Mute").click()
            if page.get_by_text("which is in the past").count() == 0:
                break
        assert page.get_by_role("status").first.inner_text() == "Muted."
        wait_until(
            lambda: exporter.admin("/api/v1/exports?state=overdue").json()["exports"] != [], "the mute has ended"
        )
        page.reload()
        assert page.title().startswith("overdue:")


def test_what_is_wrong_is_shown_beside_the_field(browser: Browser, exporter: Exporter) -> None:
    with browser.page(f"{exporter.admin_url}/exports/{overdue_id(exporter)}", allowed_errors=ALLOWED) as page:
        sign_in(page)
        mute = page.locator("#mute")
        page.get_by_label("For or until").select_option("custom")
        mute.get_by_label("Another time", exact=True).fill("2020-01-01T00:00")
        mute.get_by_label("Who").fill("Ada")
        mute.get_by_label("Why").fill("kept")
        mute.get_by_role("button", name="Mute").click()
        assert "which is in the past; give a later time" in mute.locator(".problem").inner_text()
        assert mute.get_by_label("Why").input_value() == "kept"
        assert accessibility_problems(page) == []


def test_a_body_is_replayed_from_quarantine_after_a_preview(browser: Browser, exporter: Exporter) -> None:
    with browser.page(f"{exporter.admin_url}/quarantine", allowed_errors=ALLOWED) as page:
        sign_in(page)
        page.get_by_role("link", name="Preview a replay", exact=True).first.click()
        preview = page.locator("#preview")
        assert "1 would become events" in preview.inner_text()
        preview.get_by_role("button", name="Replay").click()
        assert "1 new events" in page.get_by_role("status").first.inner_text()
        page.goto(f"{exporter.admin_url}/?search=Azure")
        assert page.locator("table.exports tbody tr").count() == 1
