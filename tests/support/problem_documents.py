"""The problem document of a response (RFC 9457)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


def assert_problem(answer: requests.Response, code: int) -> None:
    """Assert that a response is a problem document with a status and an explanation."""
    assert answer.status_code == code
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == code
    assert problem["detail"]
