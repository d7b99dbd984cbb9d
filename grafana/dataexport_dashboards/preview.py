"""Pictures of the dashboards over made-up history, drawn with Grafana's panel components but outside of Grafana."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dataexport_dashboards import ask
from dataexport_dashboards.stand import Stand

EXPORTS, DAYS = 16, 31
WIDTH, CELL, HEAD = 1500, 38, 60
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


def main() -> None:
    """Draw every dashboard: ``preview BUNDLE [FOLDER]``."""
    bundle = Path(sys.argv[1])
    pictures = Path(sys.argv[2]) if sys.argv[2:] else ask.FOLDER.parent / "docs" / "images"
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("preview: no chromium")
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, Stand(Path(name), EXPORTS, DAYS) as stand:
        folder = Path(name)
        for suffix in (".js", ".css"):
            shutil.copy(bundle.with_suffix(suffix), folder)
        for board in ask.boards():
            page = folder / f"{board['uid']}.html"
            page.write_text(PAGE.replace("{data}", json.dumps(answered(stand, board))), "utf-8")
            height = HEAD + CELL * max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in board["panels"])
            command = [
                browser,
                *BROWSER_OPTIONS,
                f"--user-data-dir={folder / 'browser'}",
                f"--window-size={WIDTH},{height}",
                f"--screenshot={pictures / (board['uid'] + '.png')}",
                page.as_uri(),
            ]
            subprocess.run(command, check=True, timeout=120, capture_output=True)
            print(pictures / f"{board['uid']}.png")


def answered(stand: Stand, board: dict[str, Any]) -> dict[str, Any]:
    """A dashboard with the answers to its queries."""
    detail = board["uid"] == "dataexport-export"
    variables = ask.choices(board, ONE if detail else {})
    end = time.time()
    answers: dict[int, list[dict[str, Any]]] = {}
    for target in ask.targets(board):
        answer = ask.ask(stand.prometheus_url, target, variables, end)
        answers.setdefault(target.panel["id"], []).append(
            {"spec": target.spec, "step": target.step, "series": answer.series}
        )
    shown = ask.span(board["time"]["from"])
    name = " / ".join(ONE.values()) if detail else "all sources"
    return {"board": board, "answers": answers, "start": end - shown, "end": end, "name": name}


if __name__ == "__main__":
    main()
