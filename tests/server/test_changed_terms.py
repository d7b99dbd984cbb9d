"""A reload with another interval or grace never makes an export overdue, and a restart changes nothing of that."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from builders import HOUR, body, vendor_clock
from configurations import NIGHTLY, SHOP
from running import series
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

    from running import Exporter

CONFIGURATION = SHOP + NIGHTLY


def test_a_reload_with_a_shorter_interval_makes_nothing_overdue_before_or_after_a_restart(tmp_path: Path) -> None:
    completed_at = int(time.time()) - 20 * HOUR
    with LocalExporter(tmp_path, CONFIGURATION) as exporter:
        sent = body("Completed", vendor_clock(completed_at), Partner="Azure", Frequency="when it suits")
        assert exporter.post(sent, "shop").status_code == 200
        for interval in ("4h", "24h", "4h"):
            exporter.config_path.write_text(CONFIGURATION.replace("24h", interval), "utf-8")
            assert exporter.admin("/-/reload", "POST").status_code == 200
        assert shown(exporter) == {
            "interval_seconds": 4 * HOUR,
            "deadline_timestamp_seconds": completed_at + 24 * HOUR * 1.2,
            "slots_missed": 0,
        }
        exporter.terminate()
        exporter.start()
        assert shown(exporter)["deadline_timestamp_seconds"] == completed_at + 24 * HOUR * 1.2


def shown(exporter: Exporter) -> dict[str, float]:
    """Return what a scrape shows of the export."""
    wanted = ("interval_seconds", "deadline_timestamp_seconds", "slots_missed")
    return {
        name.removeprefix("dataexport_"): value
        for (name, _), value in series(exporter.scrape()).items()
        if name.removeprefix("dataexport_") in wanted
    }
