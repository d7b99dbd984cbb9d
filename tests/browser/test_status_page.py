"""The status page in a real browser: what a person sees, clicks and types."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

import made_up_fleet
from browsing import PHONE, accessibility_problems, fits_the_width, refresh
from builders import HOUR, body, fields, vendor_clock
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Locator, Page

    from browsing import Browser
    from running import Exporter

PAGES = ("/", "/exports/{id}", "/sources", "/quarantine")
"""Every page; ``{id}`` is an overdue export."""
LAPTOP = (1280, 800)
CLIPPED_TABLES = """() => [...document.querySelectorAll('.scroll')]
  .filter((region) => region.scrollWidth > region.clientWidth).map((region) => region.getAttribute('aria-label'))"""
HOSTILE = ("<img src=x onerror=alert(1)>\"'&", "\u05d0\u05d1\u05d2 (\u05d3)", "x" * 128, "📦🚀 export")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """Start an exporter with three weeks of made-up exports and one that a test changes."""
    now = time.time()
    exporter = LocalExporter(tmp_path_factory.mktemp("fleet"), made_up_fleet.config(now))
    made_up_fleet.write_history(exporter.database, now)
    with exporter:
        exporter.post(body("Initiated", vendor_clock(now), 5, Partner="Live"), "shop-eu1")
        yield exporter


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    """Start an exporter with 2,000 exports, some of which have names that a hostile sender may choose."""
    with LocalExporter(tmp_path_factory.mktemp("crowd")) as exporter:
        when = vendor_clock(time.time() - 7 * HOUR)
        partners = [*HOSTILE, *(f"Partner {number}" for number in range(2000 - len(HOSTILE)))]
        for first in range(0, len(partners), 500):
            events = [fields("Completed", when, Partner=partner) for partner in partners[first : first + 500]]
            assert exporter.post(json.dumps(events).encode()).status_code == 200
        yield exporter


def overdue_id(exporter: Exporter) -> str:
    return str(exporter.admin("/api/v1/exports?state=overdue").json()["exports"][0]["id"])


def names(page: Page) -> list[str]:
    texts: list[str] = page.locator("table.exports tbody th").all_inner_texts()
    return texts


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_barrier_or_an_error_and_each_fits_a_laptop_and_a_phone(
    browser: Browser, fleet: Exporter, path: str
) -> None:
    with browser.page(fleet.admin_url + path.format(id=overdue_id(fleet))) as page:
        assert accessibility_problems(page) == []
        page.emulate_media(color_scheme="dark")
        assert accessibility_problems(page, only="color-contrast") == []
        page.set_viewport_size({"width": LAPTOP[0], "height": LAPTOP[1]})
        assert page.evaluate(CLIPPED_TABLES) == []
        page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        assert fits_the_width(page)


class Clicks:
    """Clicks on a page, and counts them.

    Args:
        page: the page.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self.number = 0

    def link(self, text: str, within: str = "main") -> None:
        """Click on the first link with a text."""
        self._page.locator(within).get_by_role("link", name=text).first.click()
        self.number += 1


def which_are_overdue(page: Page, clicks: Clicks) -> None:
    assert "2 overdue" in page.title()
    clicks.link("2 overdue", "h1")
    assert sorted(names(page)) == ["1700000009", "orders-to-warehouse"]


def since_when(page: Page, clicks: Clicks) -> None:
    since = page.locator(".worst li", has_text="orders-to-warehouse").locator("time")
    assert re.fullmatch(r"1 h \d+ min", since.inner_text())
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n", since.get_attribute("title") or "")
    clicks.link("orders-to-warehouse", ".worst")
    assert re.match(r"Overdue for 1 h \d+ min\.", page.get_by_role("region", name="Why").inner_text())


def why_it_thinks_so(page: Page, clicks: Clicks) -> None:
    clicks.link("orders-to-warehouse", ".worst")
    assert re.search(
        r"It last completed [\d :-]+, so it should have completed again by [\d :-]+: every 4 h plus 48 min grace\.",
        page.get_by_role("region", name="Why").inner_text(),
    )


def whose_it_is(page: Page, clicks: Clicks) -> None:
    assert "owner analytics" in page.locator(".worst li", has_text="orders-to-warehouse").inner_text()
    clicks.link("orders-to-warehouse", ".worst")
    assert fact(page, "Owner").inner_text() == "analytics"


def what_clevertap_last_said(page: Page, clicks: Clicks) -> None:
    clicks.link("orders-to-warehouse", ".worst")
    assert re.search(r" ago: completed", fact(page, "Last event").inner_text())
    clicks.link("completed", "dd")
    assert '"Status": "Completed"' in page.locator("pre").inner_text()
    assert '"Partner": "Google Cloud Storage"' in page.locator("pre").inner_text()


def how_to_mute_it_until_monday(page: Page, clicks: Clicks) -> None:
    clicks.link("orders-to-warehouse", ".worst")
    form = page.locator("#mute")
    monday = form.get_by_label("For or until").locator("option", has_text="until Monday 08:00")
    form.get_by_label("For or until").select_option(monday.get_attribute("value"))
    form.get_by_label("Who").fill("Ada")
    form.get_by_label("Why").fill("bucket moves")
    form.get_by_role("button", name="Mute").click()
    clicks.number += 1
    assert page.title() == "muted: orders-to-warehouse"


def fact(page: Page, name: str) -> Locator:
    """Return the value of one of the facts of an export."""
    return page.locator("dl.facts dt", has_text=name).locator("xpath=following-sibling::dd[1]")


@pytest.mark.parametrize(
    "answer",
    [
        which_are_overdue,
        since_when,
        why_it_thinks_so,
        whose_it_is,
        what_clevertap_last_said,
        how_to_mute_it_until_monday,
    ],
)
def test_two_clicks_answer_what_somebody_asks_who_is_paged(
    browser: Browser, fleet: Exporter, answer: Callable[[Page, Clicks], None]
) -> None:
    with browser.page(fleet.admin_url) as page:
        clicks = Clicks(page)
        answer(page, clicks)
        assert clicks.number <= 2
    for mute in fleet.admin("/api/v1/mutes?state=active").json()["mutes"]:
        if mute["origin"] == "decision":
            fleet.http.delete(
                f"{fleet.admin_url}/api/v1/mutes/{mute['export_id']}", params={"by": "Ada", "why": "moved"}
            )


def test_sorting_filtering_and_searching_are_links_that_can_be_shared(browser: Browser, fleet: Exporter) -> None:
    with browser.page(fleet.admin_url) as page:
        page.get_by_role("link", name="Owner").click()
        assert page.locator("th[aria-sort]").get_attribute("aria-sort") == "ascending"
        assert names(page)[0] == "orders-to-warehouse"
        page.get_by_role("combobox", name="Source").select_option("shop-eu1")
        page.get_by_label("Search").fill("azure")
        page.get_by_role("button", name="Show").click()
        assert names(page) == ["churn-model"]
        assert "1 of 12 exports" in page.locator("#matching").inner_text()
        shared = page.url
        page.get_by_role("link", name="Show all").click()
        assert len(names(page)) == 12
        page.locator("h1").get_by_role("link", name="2 overdue").click()
        assert len(names(page)) == 2
        page.goto(shared)
        assert page.get_by_label("Search").input_value() == "azure"
        assert names(page) == ["churn-model"]


def test_the_page_refreshes_itself_and_keeps_focus_and_typed_text(browser: Browser, fleet: Exporter) -> None:
    with browser.page(f"{fleet.admin_url}/?search=Live", size=(1400, 300)) as page:
        state = page.locator("table.exports .state")
        assert state.inner_text() == "running"
        page.evaluate("() => { window.sameDocument = true; }")
        page.get_by_label("Search").fill("Live and unsent")
        page.evaluate("() => window.scrollTo(0, 50)")
        fleet.post(body("Failed", vendor_clock(time.time()), 5, Partner="Live"), "shop-eu1")
        refresh(page)
        state.get_by_text("failed").wait_for()
        assert page.evaluate("() => window.sameDocument")
        assert page.get_by_label("Search").input_value() == "Live and unsent"
        assert page.evaluate("() => document.activeElement.name") == "search"
        assert page.evaluate("() => window.scrollY") == 50
        assert "failed" in page.title()


def test_an_exact_time_is_in_utc_and_in_the_zones_of_source_and_viewer(browser: Browser, fleet: Exporter) -> None:
    with browser.page(f"{fleet.admin_url}/?source=shop-in1", timezone="America/New_York") as page:
        time_shown = page.locator("table.exports time").first
        lines = (time_shown.get_attribute("title") or "").splitlines()
        assert [line.split(" ", 2)[2] for line in lines] == ["UTC", "Asia/Kolkata", "America/New_York (here)"]
        time_shown.focus()
        assert "Asia/Kolkata" in page.evaluate(
            "(element) => getComputedStyle(element, '::after').content", time_shown.element_handle()
        )


def test_the_page_works_without_javascript(browser: Browser, fleet: Exporter) -> None:
    with browser.page(fleet.admin_url, javascript=False) as page:
        assert page.locator("noscript meta[http-equiv=refresh]").count() == 1
        page.get_by_label("Search").fill("churn")
        page.get_by_role("button", name="Show").click()
        assert names(page) == ["churn-model"]


def test_two_thousand_exports_are_pages_that_can_be_searched(browser: Browser, crowd: Exporter) -> None:
    with browser.page(crowd.admin_url) as page:
        assert "2000 exports" in page.locator("h1").inner_text()
        assert len(names(page)) == 100
        page.get_by_role("link", name="Next").click()
        assert "101 to 200" in page.locator("#matching").inner_text()
        page.get_by_label("Search").fill("Partner 1234")
        page.keyboard.press("Enter")
        page.get_by_text("1 of 2000 exports").wait_for()
        assert names(page) == ["Partner 1234 events 4h"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_does_no_harm(browser: Browser, crowd: Exporter, name: str) -> None:
    export = crowd.admin("/api/v1/exports", params={"search": name}).json()["exports"][0]
    for path in ("/?search=" + quote(name), f"/exports/{export['id']}"):
        with browser.page(crowd.admin_url + path, size=PHONE) as page:
            assert fits_the_width(page)
            assert page.locator("img").count() == 0
            assert export["partner"] in page.locator("main").inner_text()


def test_a_first_start_is_followed_live_and_a_failing_store_is_shown(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        LocalExporter(tmp_path_factory.mktemp("first")) as exporter,
        browser.page(exporter.admin_url, allowed_errors=("ERR_CONNECTION", "Failed to load")) as page,
    ):
        page.evaluate("() => { window.sameDocument = true; }")
        steps = page.locator("#first-start")
        for step in ("/webhooks/clevertap/default", "CleverTap sends a test call when", "Manage Status Alerts"):
            assert step in steps.inner_text()
        assert accessibility_problems(page) == []
        exporter.post(b'{"is_test": true}')
        steps.get_by_text("The test call has arrived").wait_for()  # the page refreshes itself
        exporter.post(body("Completed", vendor_clock(time.time())))
        page.get_by_text("1 export: 1 fine").wait_for()
        assert steps.count() == 0

        exporter.database.rename(exporter.folder / "aside.db")
        refresh(page)
        page.get_by_text("The store fails.").wait_for()
        assert page.title().startswith("Store fails")
        assert accessibility_problems(page) == []
        (exporter.folder / "aside.db").rename(exporter.database)
        refresh(page)
        page.get_by_text("1 export: 1 fine").wait_for()

        exporter.terminate()
        page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
        page.get_by_text("The exporter does not answer").wait_for()
        assert page.evaluate("() => window.sameDocument")
