"""Machines whose clocks a test sets."""

from __future__ import annotations


class FakeMachine:
    """A machine whose time passes only when a test says so.

    Args:
        wall: what its wall clock shows at first, in Unix seconds.
        boot_id: identifies its boot.
        boottime: seconds since its boot.
    """

    def __init__(self, wall: float, boot_id: str = "boot", boottime: float = 1000.0) -> None:
        self.boot_id = boot_id
        self._wall_us = round(wall * 1e6)
        self._boottime_us = round(boottime * 1e6)

    def wall(self) -> float:
        return self._wall_us / 1e6

    def boottime_us(self) -> int:
        return self._boottime_us

    def pass_time(self, seconds: float) -> None:
        """Let both clocks run."""
        self._boottime_us += round(seconds * 1e6)
        self._wall_us += round(seconds * 1e6)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self._wall_us += round(seconds * 1e6)

    def pause(self, seconds: float) -> None:
        """Stop the machine for a time, as a paused virtual machine: afterwards its wall clock is set right."""
        self._wall_us += round(seconds * 1e6)

    def boot(self, boot_id: str, seconds: float = 0) -> None:
        """Start the machine again after a time, with the wall clock running on."""
        self.boot_id, self._boottime_us = boot_id, 0
        self._wall_us += round(seconds * 1e6)
