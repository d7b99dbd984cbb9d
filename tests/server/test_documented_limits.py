"""The limits that the how-to pages name for clients are the ones in effect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exporter.server import listeners, worker
from exporter.server.http import acceptor, connection, request_parser
from exporter.server.webhook import auth_throttle, endpoint

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs" / "how-to"
PAGE = (HOW_TO / "expose-webhook.md").read_text("utf-8")
LIMITS = {
    "request line": (request_parser.REQUEST_LINE_BYTES,),
    "headers": (request_parser.HEADERS, request_parser.HEADER_BYTES),
    "body": (),
    "chunks of a body": (request_parser.FRAMING_BYTES, request_parser.FRAMING_SHARE),
    "bodies of all requests at a time": (connection.SMALL_BODY_BYTES,),
    "first byte of a new connection": (connection.FIRST_BYTE_SECONDS,),
    "headers, time": (connection.HEAD_SECONDS,),
    "body, time": (connection.BODY_SECONDS,),
    "next request on a connection": (listeners.ADMIN_IDLE_SECONDS,),
    "reading an answer": (connection.WRITE_SECONDS,),
    "TLS handshake": (acceptor.HANDSHAKE_SECONDS,),
    "connections at a time": (listeners.MAX_CONNECTIONS, listeners.MAX_ADMIN_CONNECTIONS),
    "a commit": (endpoint.COMMIT_TIMEOUT_SECONDS,),
}


def documented() -> dict[str, tuple[float, ...]]:
    """The numbers of each row; a second row about the same thing is about its time."""
    found: dict[str, tuple[float, ...]] = {}
    table = PAGE.partition("| | limit | answer |\n|---|---|---|\n")[2].partition("\n\n")[0]
    for line in table.splitlines():
        _, subject, limit, _, _ = line.split("|")
        name = re.sub(r" \(.*", "", subject.strip())
        numbers = tuple(float(each.replace(",", "")) for each in re.findall(r"\d[\d,.]*", limit))
        found[f"{name}, time" if name in found else name] = numbers
    return found


def test_the_table_of_limits_has_these_rows() -> None:
    assert list(documented()) == list(LIMITS)


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_the_one_in_effect(name: str) -> None:
    assert documented()[name] == LIMITS[name]


@pytest.mark.parametrize(
    "sentence",
    [
        f"raises the limit of open files to {worker.WANTED_OPEN_FILES:,},",
        f"with fewer than {listeners.MAX_CONNECTIONS + listeners.RESERVED_FILES:,} there is room for fewer connections",
    ],
)
def test_the_text_beside_the_table_says_what_is_in_effect(sentence: str) -> None:
    assert sentence in PAGE


def test_a_stop_takes_seven_seconds_at_most() -> None:
    assert worker.STOP_SECONDS == 7
    assert "requests in progress are answered within seven seconds" in (HOW_TO / "install-pip.md").read_text("utf-8")


def test_attempts_without_a_credential_are_as_many_as_documented() -> None:
    assert auth_throttle.MAX_FAILURES_PER_MINUTE == 10
    assert "After 10 requests in a minute without a valid credential" in PAGE
    assert auth_throttle.MINUTE == 60
