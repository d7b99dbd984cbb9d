"""Once the clock is right, nothing shows that it was ever wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from builders import DAY, HOUR, MINUTE
from clocks import FakeMachine
from exporter.ledger.sql import ledger as sql_ledger
from exporter.server import background
from wrong_clocks import BEGINS, ENDS, HEARTBEAT, Replica, live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STEPS = (-400 * DAY, -2 * HOUR, -10, 8, 5 * HOUR + 30 * MINUTE, 400 * DAY)


@pytest.fixture(autouse=True)
def few_heartbeats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a day take few heartbeats, which the test sends."""
    monkeypatch.setattr(sql_ledger, "HEARTBEAT_TIMEOUT", 2 * HEARTBEAT)
    monkeypatch.setattr(background, "HEARTBEAT_SECONDS", 3600)
    monkeypatch.setattr(background, "MAINTENANCE_SECONDS", 3600)


def lived(folder: Path, incidents: Callable[[Replica], dict[float, Callable[[], object]]]) -> str:
    folder.mkdir()
    replica = Replica(folder, f"sqlite:///{folder}/ledger.db", FakeMachine(BEGINS))
    live([replica], incidents(replica))
    shown = replica.series(ENDS)
    replica.restart()
    replica.heartbeat()
    assert replica.series(ENDS) == shown
    replica.stop()
    return shown


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        few_heartbeats.__wrapped__(patch)  # type: ignore[attr-defined]
        yield lived(tmp_path_factory.mktemp("right") / "clock", lambda _: {})


@pytest.mark.parametrize("step", STEPS)
def test_a_step_in_operation_and_back_changes_nothing(right: str, tmp_path: Path, step: float) -> None:
    shown = lived(
        tmp_path / "one",
        lambda replica: {10.1: lambda: replica.machine.step(step), 20.1: lambda: replica.machine.step(-step)},
    )
    assert shown == right
