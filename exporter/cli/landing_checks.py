"""Tries each configured landing once, for the command `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.cli import export_selector
from exporter.domain.exports import DECLARED
from exporter.domain.humanize import format_count
from exporter.domain.landing import ERROR, LANDED, Target, choose_target
from exporter.projection.landings import exports_with_landing
from exporter.server.export_detail import newest_runs
from exporter.server.landing.checker import make_check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from exporter.config.loader import Config
    from exporter.domain.landing import RunTimes
    from exporter.ledger.contract import Ledger
    from exporter.projection.landings import ExportWithLanding
    from exporter.projection.projector import Projector

MAX_TRIED = 50
"""How many landings are tried; declared exports come first."""


def landing_findings(config: Config, ledger: Ledger, projector: Projector, now: float) -> Iterator[tuple[bool, str]]:
    """Try each landing once: for each, whether the bucket could be listed, and a sentence with what was found.

    Files that are not there are no failure: the run may not have completed yet.
    """
    limit = config.limits.exports_per_source
    exports = sorted(exports_with_landing(projector, config.landings, limit, now), key=_is_undeclared)
    for export in exports[:MAX_TRIED]:
        yield _try(export, newest_runs(projector, ledger, export.key, now), now)
    if len(exports) > MAX_TRIED:
        yield True, f"landing: {len(exports) - MAX_TRIED} further exports with a landing were not tried"


def _is_undeclared(export: ExportWithLanding) -> bool:
    return export.key.kind != DECLARED


def _try(export: ExportWithLanding, runs: Sequence[RunTimes], now: float) -> tuple[bool, str]:
    target = choose_target(export.state, export.landing, export.zone, runs, now)
    # An export without a run: whether the bucket can be listed shows all the same.
    check = make_check(export, target or Target(0, now, 0, "none", now, now))
    label = f"landing of {export_selector.describe_export(export.state)}"
    if check.result == ERROR:
        return False, f"{label}: {check.detail}"
    found = f"{format_count(check.objects, 'file')} with {check.size:,} bytes"
    run = "landed" if check.result == LANDED else "not landed"
    return True, f"{label}: {check.detail} can be listed; the run looked for has {run}: {found}"
