"""Pictures of the dashboards over made-up history, drawn with Grafana's panel components but outside of Grafana."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataexport_dashboards import ask
from dataexport_dashboards.stand import Stand

EXPORTS, DAYS = 16, 31
CELL, HEAD, STACKED_BELOW = 38, 60, 768
NARROWEST_WINDOW = 500
ONE = {"source": "shop", "export": "warehouse"}
PAGE = """<!doctype html><html><head><meta charset="utf-8"><link rel="stylesheet" href="preview.css"></head>
<body><div id="root"></div>
<script>window.preview = {data};</script><script src="preview.js"></script></body></html>
"""
BROWSER_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--force-device-scale-factor=0.66",  # small files
    "--virtual-time-budget=15000",
)


@dataclass(frozen=True)
class View:
    """How a dashboard is looked at.

    Attributes:
        width: of the window, in pixels.
        theme: ``dark`` or ``light``.
        span: the shown time, such as ``24h``; empty for the dashboard's own.
    """

    width: int = 1500
    theme: str = "dark"
    span: str = ""

    @property
    def suffix(self) -> str:
        """For the name of a file; empty for the pictures in the documentation."""
        return "" if self == View() else f"-{self.span or 'own'}-{self.width}-{self.theme}"


VIEWS = (
    *(View(width) for width in (400, 800, 1600, 1920)),
    View(1600, "light"),
    *(View(1600, span=span) for span in ("1h", "24h", "7d", "30d")),
)


def main() -> None:
    """Draw every dashboard, once for the documentation or in every view."""
    parser = argparse.ArgumentParser(prog="grafana/preview", description=__doc__)
    parser.add_argument("bundle", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("folder", nargs="?", type=Path, default=ask.FOLDER.parent / "docs" / "images")
    parser.add_argument("--exports", type=int, default=EXPORTS, help="how many exports are made up; 0 for none at all")
    parser.add_argument("--days", type=int, default=DAYS, help="how much of a past they have")
    parser.add_argument(
        "--minutes", type=int, default=1, help="between two samples of it, 5 at the most; for many exports"
    )
    parser.add_argument("--long-name", action="store_true", help="add an export with a name of 128 characters")
    parser.add_argument(
        "--views", action="store_true", help="every width, theme and time range, instead of the documentation's"
    )
    given = parser.parse_args()
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("preview: no chromium")
    given.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        Stand(Path(name), given.exports, given.days, long_name=given.long_name, step=60 * given.minutes) as stand,
    ):
        folder = Path(name)
        for suffix in (".js", ".css"):
            shutil.copy(given.bundle.with_suffix(suffix), folder)
        for view in VIEWS if given.views else (View(),):
            for board in map(unfolded, ask.boards()) if given.views else ask.boards():
                page = folder / f"{board['uid']}.html"
                page.write_text(PAGE.replace("{data}", json.dumps(answered(stand, board, view))), "utf-8")
                picture = given.folder / f"{board['uid']}{view.suffix}.png"
                command = [
                    browser,
                    *BROWSER_OPTIONS,
                    f"--user-data-dir={folder / 'browser'}",
                    f"--window-size={max(NARROWEST_WINDOW, view.width)},{height(board, view)}",
                    f"--screenshot={picture}",
                    page.as_uri(),
                ]
                subprocess.run(command, check=True, timeout=120, capture_output=True)
                print(picture)


def unfolded(board: dict[str, Any]) -> dict[str, Any]:
    """A dashboard whose collapsed rows were clicked."""

    def lowered(panel: dict[str, Any], by: int) -> dict[str, Any]:
        return panel | {"gridPos": panel["gridPos"] | {"y": panel["gridPos"]["y"] + by}}

    made, lower = [], 0
    for panel in board["panels"]:
        inner = panel.get("panels", ())
        made.append(lowered(panel, lower) | ({"collapsed": False, "panels": []} if inner else {}))
        if inner:
            first = min(each["gridPos"]["y"] for each in inner)
            made += [lowered(each, panel["gridPos"]["y"] + 1 - first + lower) for each in inner]
            lower += max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in inner) - first
    return board | {"panels": made}


def height(board: dict[str, Any], view: View) -> int:
    """Of the picture, in pixels: as on a telephone, a narrow window has one panel below the other."""
    places = [each["gridPos"] for each in board["panels"]]
    rows: int = max(place["y"] + place["h"] for place in places)
    if view.width < STACKED_BELOW:
        rows = sum(place["h"] for place in places)
    return HEAD + CELL * rows


def answered(stand: Stand, board: dict[str, Any], view: View) -> dict[str, Any]:
    """A dashboard with the answers to its queries."""
    shown = ask.span(view.span or board["time"]["from"])
    detail = board["uid"] == "dataexport-export"
    chosen = ONE if detail and stand.has_declared else {}
    variables = ask.choices(stand.prometheus_url, board, chosen, shown)
    end = time.time()
    answers: dict[int, list[dict[str, Any]]] = {}
    for target in ask.targets(board, shown):
        answer = ask.ask(stand.prometheus_url, target, variables, end)
        answers.setdefault(target.panel["id"], []).append(
            {"spec": target.spec, "step": target.step(variables), "series": answer.series}
        )
    name = f"{variables['source']} / {variables['export']}" if detail else "all sources"
    return {
        "board": board,
        "answers": answers,
        "start": end - shown,
        "end": end,
        "name": name,
        "width": view.width,
        "theme": view.theme,
        "stackedBelow": STACKED_BELOW,
    }


if __name__ == "__main__":
    main()
