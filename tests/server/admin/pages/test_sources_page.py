"""The page of sources: what to paste into CleverTap, what arrived, and what to change."""

from __future__ import annotations

import html
import json
import re
import time
import tomllib
from typing import TYPE_CHECKING

from builders import HOUR, body, vendor_clock
from exporter.config.credentials import Credentials
from exporter.server.admin.pages.sources_page import describe_credential
from form_client import FormClient, text_of
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "a-token-of-the-shop-24"
CONFIGURATION = f"""
[[sources]]
slug = "shop"
timezone = "Asia/Kolkata"
tokens = ["{TOKEN}"]

[[sources]]
slug = "quiet"
"""


def test_it_says_for_each_source_what_to_paste_what_arrived_and_what_to_change(tmp_path: Path) -> None:
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        browser, authorized = FormClient(exporter), {"Authorization": f"Bearer {TOKEN}"}
        before = text_of(browser.get("/sources"))
        assert before.count("not seen: CleverTap sends it when someone creates the webhook") == 2
        now = time.time()
        exporter.post({"is_test": True}, "shop", authorized)
        for number in range(7):  # on a clock in UTC, though India's is configured
            exporter.post(body("Completed", vendor_clock(now - number * HOUR), number), "shop", authorized)
        exporter.post(
            body("Completed", vendor_clock(now), 8, Partner="\U0001f4e6", Frequency="now and then"), "shop", authorized
        )
        for number in range(9, 14):
            exporter.post(body("Paused", vendor_clock(now), number), "shop", authorized)
        exporter.post(body("Completed", "yesterday"), "shop", authorized)
        exporter.post(b"<b>", "shop", authorized)
        exporter.post(body(), "shop")
        exporter.__dict__["_listeners"].__dict__["_service"].refused_bodies.write()
        page = browser.get("/sources")
        text = text_of(page)
        assert "https://YOUR-HOST/webhooks/clevertap/shop" in text
        assert "header Authorization: Bearer TOKEN" in text
        assert TOKEN not in page.text
        assert "none: anyone on this machine can send events" in text
        assert re.search(r"Test call seen [^,]+, 1 in all", text)
        assert "The arrivals suggest the UTC offset +00:00, which Asia/Kolkata does not have." in text
        assert '<pre>timezone = "auto"</pre>' in page.text
        assert "Status paused: its events are stored and change no run." in text
        assert "Frequency now and then of \U0001f4e6 events : it is never overdue." in text
        assert "several exports share this group" in text
        assert '<a href="quarantine?source=shop">1 body</a>' in page.text
        assert "Rejected 2 requests since the exporter started. Newest with a valid credential: 1 answered 400:" in text
        [suggested] = re.findall(r'<pre tabindex="0">(.*?)</pre>', page.text, re.DOTALL)
        [declaration] = tomllib.loads(html.unescape(suggested))["exports"]
        assert declaration["match"] == {"partner": "Amazon S3", "data_type": "events", "frequency": "4h"}
        assert json.dumps(declaration["interval"]) == '"4h"'


def test_a_credential_is_described_without_its_secret() -> None:
    token, other = "x" * 16, "y" * 16
    for credentials, expected in (
        (Credentials((token,)), "header Authorization: Bearer TOKEN"),
        (Credentials((token, other), "X-Export-Token"), "header X-Export-Token: TOKEN, any of 2 tokens"),
        (
            Credentials((token,), basic=(("ada", other),)),
            "header Authorization: Bearer TOKEN, or Basic authentication as ada",
        ),
    ):
        assert describe_credential(credentials) == expected
