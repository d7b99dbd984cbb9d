"""Takes the pictures of the pages for the documentation, with a made-up fleet: scripts/screenshots.py [FOLDER]."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from monitoring import ROOT

sys.path.append(str(ROOT / "tests" / "support"))

import made_up_fleet
import notification_picture
from browsing import PHONE, Browser
from running import Exporter

if TYPE_CHECKING:
    from browsing import Scheme

FOLDER = ROOT / "docs" / "images"
LAPTOP = (1360, 860)
MAX_BYTES = 200_000


class Picture(NamedTuple):
    """A picture of a page.

    Attributes:
        name: of the file, without its ending.
        path: of the page; ``{id}`` is the first export that is overdue.
        size: of the window, in pixels.
    """

    name: str
    path: str
    scheme: Scheme = "light"
    size: tuple[int, int] = LAPTOP


PICTURES = (
    Picture("status-page", "/"),
    Picture("status-page-dark", "/", "dark"),
    Picture("status-page-phone", "/", size=PHONE),
    Picture("export-page", "/exports/{id}"),
    Picture("sources-page", "/sources"),
    Picture("quarantine-page", "/quarantine"),
)


def main(folder: Path) -> None:
    """Start an exporter with the fleet, and another one without any event, and take all pictures."""
    now = time.time()
    with tempfile.TemporaryDirectory() as work, Browser() as browser:
        running, empty = Path(work) / "running", Path(work) / "empty"
        running.mkdir()
        empty.mkdir()
        exporter = Exporter(running, made_up_fleet.config(now))
        made_up_fleet.write_history(exporter.database, now)
        with exporter:
            overdue = exporter.admin("/api/v1/exports?state=overdue").json()["exports"][0]["id"]
            for picture in PICTURES:
                take(browser, exporter.admin_url + picture.path.format(id=overdue), picture, folder)
        with Exporter(empty) as exporter:
            take(browser, exporter.admin_url, Picture("first-start", "/"), folder)
        notification_picture.take(browser, folder)


def take(browser: Browser, url: str, picture: Picture, folder: Path) -> None:
    """Take one picture, and say how large it is."""
    path = folder / f"{picture.name}.png"
    with browser.page(url, scheme=picture.scheme, size=picture.size) as page:
        page.screenshot(path=path)
    size = path.stat().st_size
    print(f"{path}: {size:,} bytes{' is too large' if size > MAX_BYTES else ''}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
