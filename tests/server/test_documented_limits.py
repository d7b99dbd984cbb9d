"""The limits that the how-to pages name for clients are the ones in effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.server import listeners, shutdown, worker
from exporter.server.http import auth_throttle

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PAGE = (HOW_TO / "expose-webhook.md").read_text("utf-8")


@pytest.mark.parametrize(
    "sentence",
    [
        f"raises its limit of open files to {worker.WANTED_OPEN_FILES:,},",
        f"With fewer than {listeners.MAX_CONNECTIONS + listeners.RESERVED_FILES:,}, it accepts fewer connections.",
    ],
)
def test_the_text_says_what_is_in_effect(sentence: str) -> None:
    assert sentence in PAGE


def test_a_stop_takes_seven_seconds_at_most() -> None:
    assert shutdown.STOP_SECONDS == 7
    assert "requests in progress are answered within seven seconds" in (HOW_TO / "install-pip.md").read_text("utf-8")


def test_attempts_without_a_credential_are_as_many_as_documented() -> None:
    assert auth_throttle.MAX_FAILURES_PER_MINUTE == 10
    assert "After 10 requests in a minute without a valid credential" in PAGE
    assert auth_throttle.MINUTE == 60
