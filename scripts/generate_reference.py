#!/usr/bin/env python3
"""Writes the pages in docs/reference that are generated from the code; `make reference` runs it."""

from __future__ import annotations

from pathlib import Path

from reference_pages import alerts, cli, configuration, http_api, logs, metrics

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
PAGES = {
    "alerts.md": alerts.page,
    "cli.md": cli.page,
    "configuration.md": configuration.page,
    "http-api.md": http_api.page,
    "logs.md": logs.page,
    "metrics.md": metrics.page,
}
"""For each file, the function that returns its text."""


def main() -> None:
    """Write every page."""
    FOLDER.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")


if __name__ == "__main__":
    main()
