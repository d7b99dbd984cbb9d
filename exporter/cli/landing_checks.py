"""Tries each configured landing once, for the command `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from exporter.cli import export_selector
from exporter.domain.exports import DECLARED
from exporter.domain.landing import ERROR, LANDED, Target, choose_target
from exporter.server.export_detail import newest_runs
from exporter.server.landing.checker import Subject, make_check
from exporter.server.landing.object_store import find_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from exporter.config.loader import Config
    from exporter.domain.exports import ExportKey
    from exporter.ledger.contract import Ledger
    from exporter.projection.projector import Projector

MAX_TRIED = 50
"""How many landings are tried; declared exports come first."""


def landing_findings(config: Config, ledger: Ledger, projector: Projector, now: float) -> Iterator[tuple[bool, str]]:
    """Try each landing once: for each, whether the bucket could be listed, and a sentence with what was found.

    Files that are not there are no failure: the run may not have completed yet.
    """
    keys = [key for key in projector.list_keys() if config.landings.of(key)]
    keys.sort(key=lambda key: key.kind != DECLARED)
    for key in keys[:MAX_TRIED]:
        yield _try(config, ledger, projector, key, now)
    if len(keys) > MAX_TRIED:
        yield True, f"landing: {len(keys) - MAX_TRIED} further exports with a landing were not tried"


def _try(config: Config, ledger: Ledger, projector: Projector, key: ExportKey, now: float) -> tuple[bool, str]:
    state, landing = projector.export_state(key, now), config.landings.of(key)
    assert landing is not None  # noqa: S101 - `landing_findings` selects no others
    zone = projector.configured_sources[key.source].zone
    target = choose_target(state, landing, zone, newest_runs(projector, ledger, key, now), now)
    # An export without a run: whether the bucket can be listed shows all the same.
    target = target or Target(0, now, 0, "none", now, now)
    check = make_check(Subject(state, landing, zone, target), find_files)
    export = f"landing of {export_selector.describe_export(state)}"
    if check.result == ERROR:
        return False, f"{export}: {check.detail}"
    found = f"{check.objects} files with {check.size} bytes"
    run = "landed" if check.result == LANDED else "not landed"
    return True, f"{export}: {check.detail} can be listed; the run looked for has {run}: {found}"
