"""What arrived in a boot with a wrong clock that nothing corrects is shown, and dated again by a command."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from builders import HOUR, body, vendor_clock
from clocks import FakeMachine
from commands import error_output, run
from exporter.ledger.sql import replay_store
from exporter.ledger.sql.ledger import SqlLedger
from wrong_clocks import ZONE, Replica

if TYPE_CHECKING:
    from pathlib import Path

NOW = float(int(time.time())) - 24 * HOUR


@pytest.fixture
def config(in_a_folder: Path) -> tuple[str, str]:
    """Let three events arrive under a clock five hours ahead, and turn the machine off for six hours."""
    replica = Replica(in_a_folder, f"sqlite:///{in_a_folder}/dataexport.db", FakeMachine(NOW + 5 * HOUR))
    for number in range(3):
        replica.receive("shop", body("Completed", vendor_clock(NOW - 3, ZONE), number))
    replica.heartbeat()
    replica.stop()
    replica.machine.boot("later", 6 * HOUR)
    replica.machine.step(-5 * HOUR)
    replica.start()
    replica.stop()
    return "--config", str(in_a_folder / "dataexport.toml")


def arrivals(folder: Path) -> set[float]:
    with closing(SqlLedger(f"sqlite:///{folder}/dataexport.db")) as ledger:
        return {event.arrived_at for event in ledger.read(0)}


def test_doctor_names_a_boot_with_a_wrong_clock_and_the_command_that_dates_it_again(
    in_a_folder: Path, config: tuple[str, str]
) -> None:
    shown = run("doctor", *config).output
    assert "its clock was wrong, as the dates in its events show" in shown
    assert "run: dataexport-exporter redate 1 --ahead 18003s" in shown
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay_store, "ARRIVALS_PER_TRANSACTION", 2)
        output = run("redate", *config, "1", "--ahead", "5h").output
    assert output == "3 events and quarantined bodies have a new time\n"
    assert arrivals(in_a_folder) == {NOW}
    assert "clock was wrong" not in run("doctor", *config).output
    run("redate", *config, "1", "--behind", "90s")
    assert arrivals(in_a_folder) == {NOW + 90}


def test_doctor_names_a_boot_that_could_only_be_placed_between_others(in_a_folder: Path) -> None:
    replica = Replica(in_a_folder, f"sqlite:///{in_a_folder}/dataexport.db", FakeMachine(NOW + 5 * HOUR))
    replica.stop()
    replica.machine.boot("later", 60)
    replica.machine.step(-5 * HOUR)
    replica.start()
    replica.stop()
    shown = run("doctor", "--config", str(in_a_folder / "dataexport.toml")).output
    assert "what arrived in it is dated as late as possible" in shown
    assert "dataexport-exporter redate 1 --ahead DURATION, or --behind DURATION" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("1",), "give one of --ahead and --behind"),
        (("1", "--ahead", "5h", "--behind", "5h"), "give one of --ahead and --behind"),
        (("1", "--ahead", "five"), "'five' is not a duration; give one such as 5h30m, 90m or 20s"),
        (
            ("2", "--ahead", "5h"),
            "BOOT: 2 is not a boot that has ended; `dataexport-exporter doctor` shows the numbers",
        ),
    ],
)
def test_a_mistake_is_named(config: tuple[str, str], arguments: tuple[str, ...], message: str) -> None:
    assert message in " ".join(error_output(run("redate", *config, *arguments), 2).split())
