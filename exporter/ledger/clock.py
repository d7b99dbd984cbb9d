"""The clock of this process: one that nobody can set, dated by an offset that only heartbeats change.

A stamp is taken from CLOCK_BOOTTIME, which counts on whatever happens to the wall clock. So a step of the wall clock
neither makes nor hides an outage, and moves no deadline until a heartbeat has noticed it. Then the offset of the
whole epoch is corrected, and with it every stamp that was taken in it. See `exporter.domain.epochs`.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from exporter.domain.epochs import GIVEN, STEP_US, Epoch
from exporter.ledger.instants import MICROSECONDS, from_micros, to_micros

if TYPE_CHECKING:
    from exporter.ledger.contract import Ledger

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
SLOWEST_MEASUREMENT_US = 500_000
"""Microseconds; if the server takes longer to tell its time, the answer says too little."""
_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # only Linux counts the time of a suspended machine


class Machine(Protocol):
    """The clocks of a machine."""

    @property
    def boot_id(self) -> str:
        """Identifies the boot that `boottime` counts from."""

    def wall(self) -> float:
        """The wall clock, in Unix seconds."""

    def boottime_us(self) -> int:
        """Microseconds since the boot, on a clock that cannot be set."""


class ThisMachine:
    """The clocks of the machine that this process runs on.

    Attributes:
        boot_id: the kernel's id of this boot; where there is none, one for this process.
    """

    def __init__(self, boot_id: Path = BOOT_ID) -> None:
        try:
            self.boot_id = boot_id.read_text("ascii").strip()
        except OSError:
            self.boot_id = uuid.uuid4().hex

    def wall(self) -> float:
        """The wall clock."""
        return time.time()

    def boottime_us(self) -> int:
        """The time since the boot."""
        return time.clock_gettime_ns(_BOOTTIME) // 1000


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the wall clock, or of the server's.

    Attributes:
        seconds: how far it went; negative if it went back.
        offset_us: the offset of the epoch after it.
    """

    seconds: float
    offset_us: int


class Clock:
    """The time of one process, safe for several threads.

    Args:
        ledger: has the epochs, and perhaps a server with a clock that all replicas share.
        machine: the clocks of this machine.

    Attributes:
        epoch: the epoch of the stamps; `GIVEN` until `start`.
    """

    def __init__(self, ledger: Ledger, machine: Machine) -> None:
        self._ledger = ledger
        self._machine = machine
        self._first_offset_us = to_micros(machine.wall()) - machine.boottime_us()
        self._measured_us = self._first_offset_us
        self._steady_since_us = machine.boottime_us()
        self.epoch = GIVEN

    def read(self) -> tuple[float, Epoch]:
        """Return the time in Unix seconds, and its epoch."""
        epoch = self.epoch
        return (
            self._machine.boottime_us() + (epoch.offset_us if epoch.id else self._first_offset_us)
        ) / MICROSECONDS, epoch

    def now(self) -> float:
        """Return the time in Unix seconds."""
        return self.read()[0]

    def wall(self) -> float:
        """Return what the wall clock of the machine shows, right or wrong, in Unix seconds."""
        return self._machine.wall()

    def earliest_now(self) -> float:
        """Return the earlier of two times: this clock's and the wall clock's."""
        return min(self.now(), self._machine.wall())

    def steady_seconds(self) -> float:
        """Return for how many seconds no step was noticed, since the start at most."""
        return from_micros(self._machine.boottime_us() - self._steady_since_us)

    def start(self) -> None:
        """Enter the epoch of this boot.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        offset_us = self._measure()
        self.epoch = self._ledger.begin_epoch(self._machine.boot_id, self._machine.boottime_us(), offset_us)
        self._measured_us = self.epoch.offset_us

    def check(self) -> Step | None:
        """Compare the clock with the wall clock, or the server's; return the step that it took, if any.

        A clock that drifts, because nothing disciplines it, takes no step: a new epoch begins.

        Raises:
            StoreError: the ledger cannot be read or written.
        """
        measured_us = self._measure()
        change_us, self._measured_us = measured_us - self._measured_us, measured_us
        difference_us = measured_us - self.epoch.offset_us
        if abs(difference_us) <= STEP_US:
            return None
        if abs(change_us) <= STEP_US:
            self.begin_epoch(measured_us)
            return None
        self._steady_since_us = self._machine.boottime_us()
        return Step(from_micros(difference_us), measured_us)

    def begin_epoch(self, offset_us: int) -> None:
        """Begin another epoch of this boot: what was stamped until now stays as it is.

        Raises:
            StoreError: the ledger cannot be written.
        """
        self.epoch = self._ledger.begin_epoch(self._machine.boot_id, self._machine.boottime_us(), offset_us, renew=True)

    def correct(self, offset_us: int) -> None:
        """Give this epoch another offset: everything that was stamped in it is dated by it.

        Raises:
            StoreError: the ledger cannot be written.
        """
        self._ledger.correct_epochs({self.epoch.id: offset_us}, measured=True)
        self.epoch = Epoch(self.epoch.id, offset_us)

    def _measure(self) -> int:
        """Return the offset from the clock of the boot to the wall clock, or the server's, in microseconds."""
        before_us = self._machine.boottime_us()
        reference = self._ledger.reference_time()
        if reference is None:
            return to_micros(self._machine.wall()) - self._machine.boottime_us()
        after_us = self._machine.boottime_us()
        if after_us - before_us > SLOWEST_MEASUREMENT_US:
            return self._measured_us
        return to_micros(reference) - (before_us + after_us) // 2
