"""Takes the picture of a page as it arrives in a chat, for the documentation: scripts/notification_picture.py [FOLDER].

The page is a real one: an exporter has an overdue export, Prometheus evaluates the shipped rules, and Alertmanager
sends the message of the shipped templates in Slack's format. Only the drawing of the chat is ours.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monitoring import ROOT, Monitoring, wait_for

sys.path.append(str(ROOT / "tests" / "support"))

from browsing import Browser
from builders import body, vendor_clock
from running import Exporter

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER = ROOT / "docs" / "images"
NAME = "notification.png"
SIZE = (760, 400)
OVERDUE_SECONDS = 100_000
"""Since the last completion: a little over 24 h and 20 %, so past the deadline."""
TOML = """
[[sources]]
slug = "shop-in1"
timezone = "UTC"

[[exports]]
name = "nightly-s3"
source = "shop-in1"
match = { partner = "Amazon S3", data_type = "events", frequency = "24h" }
grace = "2h"
owner = "data-platform"
runbook_url = "https://wiki.example/nightly-s3"
"""
COLORS = {"danger": "#c4314b", "warning": "#d98c00", "good": "#2e8b57"}
"""The words of Slack's format for the bar beside an attachment."""
STYLE = """
body { margin: 0; background: #fff; color: #1d1c1d; font: 15px/1.45 "DejaVu Sans", sans-serif; }
article { display: inline-block; box-sizing: border-box; max-width: 760px; padding: 16px; }
header { font-weight: bold; } header span { font-weight: normal; color: #616061; font-size: 13px; }
section { border-left: 4px solid; border-radius: 3px; margin-top: 8px; padding: 2px 0 2px 12px; }
h1 { font-size: 15px; margin: 0 0 4px; } p { margin: 0; white-space: pre-line; overflow-wrap: anywhere; }
a { color: #1264a3; text-decoration: none; }
"""


def card(message: Mapping[str, Any]) -> str:
    """Return a page that shows a message in Slack's format.

    Args:
        message: the body that Alertmanager posted.
    """
    attachments = "".join(
        f'<section style="border-color: {COLORS[each["color"]]}">'
        f'<h1><a href="{escape(each["title_link"])}">{escape(each["title"])}</a></h1>'
        f"<p>{_linked(each['text'].strip())}</p></section>"
        for each in message["attachments"]
    )
    header = f"<header>Alertmanager <span>{escape(message['channel'])}</span></header>"
    return f"<!DOCTYPE html><style>{STYLE}</style><article>{header}{attachments}</article>"


def _linked(text: str) -> str:
    return re.sub(r"https?://[^\s&]+(?:&amp;[^\s&]+)*", lambda url: f'<a href="{url[0]}">{url[0]}</a>', escape(text))


def overdue_page(folder: Path) -> dict[str, Any]:
    """Let an export become overdue, and return the message that Alertmanager sends to the chat."""
    with Exporter(folder, TOML) as exporter:
        for status, age in (("Initiated", OVERDUE_SECONDS + 700), ("Completed", OVERDUE_SECONDS)):
            answer = exporter.post(
                body(status, vendor_clock(time.time() - age), Frequency="Every 24 hours"), "shop-in1"
            )
            answer.raise_for_status()
        with Monitoring(folder, f"127.0.0.1:{exporter.admin_port}") as monitoring:

            def messages() -> list[Any]:
                pages = [posted for path, posted in monitoring.receiver.posts if path == "/chat/page"]
                return [page for page in pages if "ExportOverdue" in page["attachments"][0]["title"]]

            wait_for(messages, "the page")
            message: dict[str, Any] = messages()[0]
            return message


def take(browser: Browser, folder: Path) -> Path:
    """Take the picture and return its file."""
    with tempfile.TemporaryDirectory() as work:
        message = overdue_page(Path(work))
    path = folder / NAME
    with browser.page("about:blank", size=SIZE) as page:
        page.set_content(card(message))
        page.locator("article").screenshot(path=path)
    return path


if __name__ == "__main__":
    with Browser() as opened:
        print(take(opened, Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
