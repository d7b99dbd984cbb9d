"""Measures the compressed scrape of a very large fleet, and of a Pushgateway with as many samples."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import ledgers
import made_up
import processes
from report import Finding, Result, Row
from scrape import FEW, GROUP_SAMPLES, TURNS, ScrapeResult, fetch, figures, samples
from stored import history_of

if TYPE_CHECKING:
    from pathlib import Path

    from ledgers import Places, SavedLedger
    from report import Scale

GOAL = 80.0
ROOM = 48
FEW_REPEATS = 9
OTHER_REPEATS = 3
"""How often to scrape what takes many seconds."""


def measure(scale: Scale, places: Places) -> Result:
    """Measure one server after the other, since each takes gigabytes."""
    ledger = ledgers.saved_ledger(places.saved, TURNS * scale.fleet, scale.fleet, ROOM)
    rows = _exporter(ledger, places.folder)
    if processes.pushgateway_binary():
        rows += _pushgateway(scale.fleet, places.folder)
    times = {row.case: row.figures["median ms"] for row in rows if "median ms" in row.figures}
    findings = [
        Finding(
            f"{scale.fleet:,}: Pushgateway, {GROUP_SAMPLES} samples each, gzip / exporter, {case}, gzip",
            times["groups"] / times[case],
            goal=GOAL if case == FEW else None,
        )
        for case in ("nothing new", FEW, "all new")
        if "groups" in times
    ]
    return Result(f"Scrape of {scale.fleet:,} exports, gzip", rows, findings, [history_of(ledger)])


def _exporter(ledger: SavedLedger, folder: Path) -> list[Row]:
    scrapes_of: dict[str, list[ScrapeResult]] = {}
    exports = ledger.exports
    with ledgers.copied(ledger, folder) as path, processes.exporter(path, exports) as server:
        ready = server.ready_after
        scrapes_of["first"] = [fetch(server.admin_port, compressed=True)]
        shown = gzip.decompress(scrapes_of["first"][0].body)
        assert shown.count(b"\ndataexport_export_info{") == exports
        scrapes_of["nothing new"] = [fetch(server.admin_port, compressed=True) for _ in range(FEW_REPEATS)]
        numbers = iter(range(TURNS * exports, 1 << 62, exports))
        for case, every, repeats in ((FEW, 100, FEW_REPEATS), ("all new", 1, OTHER_REPEATS)):
            scrapes_of[case] = []
            for _ in range(repeats):
                first = next(numbers)
                made_up.post_events(server.port, range(first, first + exports, every), exports, ledger.since)
                scrapes_of[case].append(fetch(server.admin_port, compressed=True))
        resident, proportional = server.memory()
    rows = [Row(case, "exporter", figures(scrapes)) for case, scrapes in scrapes_of.items()]
    memory = {"samples": float(samples(shown)), "RSS MB": resident / 1e6, "PSS MB": proportional / 1e6}
    return [*rows, Row("afterwards", "exporter", {"ready s": ready, **memory})]


def _pushgateway(groups: int, folder: Path) -> list[Row]:
    # Without its consistency check it fills faster; the check plays no part in a scrape.
    with processes.pushgateway(folder / "fleet.data", checked=False) as server:
        made_up.fill_groups(server.port, groups, GROUP_SAMPLES)
        scrapes = [fetch(server.admin_port, compressed=True) for _ in range(OTHER_REPEATS)]
        resident, proportional = server.memory()
    shown = gzip.decompress(scrapes[-1].body)
    assert shown.count(b"\npush_time_seconds{") == groups
    name = f"Pushgateway, {GROUP_SAMPLES} samples each"
    return [
        Row("groups", name, figures(scrapes)),
        Row(
            "afterwards",
            name,
            {"samples": float(samples(shown)), "RSS MB": resident / 1e6, "PSS MB": proportional / 1e6},
        ),
    ]
