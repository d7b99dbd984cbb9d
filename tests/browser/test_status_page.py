"""The status page in a real browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from browsing import PHONE, SCHEMES, accessibility_problems, fits_the_width
from builders import body
from running_here import LocalExporter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from browsing import Browser, Scheme
    from running import Exporter

CONFIGURATION = """
[[sources]]
slug = "shop"
timezone = "Asia/Kolkata"
"""


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exporter]:
    with LocalExporter(tmp_path_factory.mktemp("status"), CONFIGURATION) as running:
        running.post(body(), "shop")
        running.post(body("Completed", "01/06/2026 1:00:00 AM"), "shop")
        yield running


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_has_no_barrier_in_either_colour_scheme(browser: Browser, exporter: Exporter, scheme: Scheme) -> None:
    with browser.page(exporter.admin_url, scheme=scheme) as page:
        assert accessibility_problems(page) == []


def test_the_page_fits_a_phone(browser: Browser, exporter: Exporter) -> None:
    with browser.page(exporter.admin_url, size=PHONE) as page:
        assert fits_the_width(page)
