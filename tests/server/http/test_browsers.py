"""What a web page makes a browser send is refused, and what no browser sends is not."""

from __future__ import annotations

import pytest

from exporter.server.http.browsers import refuse_foreign_host, refuse_foreign_page
from exporter.server.http.messages import Headers


def headers(**fields: str) -> Headers:
    return Headers([(name.lower().replace("_", "-").encode(), value.encode()) for name, value in fields.items()])


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:10047", "127.9.9.9", "[::1]", "[::1]:8080"])
def test_names_of_loopback_are_accepted(host: str) -> None:
    assert refuse_foreign_host(headers(host=host)) is None


def test_a_request_without_host_comes_from_no_browser() -> None:
    assert refuse_foreign_host(headers()) is None


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "[::2]", "10.0.0.1", "127.0.0.1:x"],
)
def test_any_other_name_may_have_been_made_to_lead_here(host: str) -> None:
    refusal = refuse_foreign_host(headers(host=host))
    assert refusal is not None
    assert refusal.status == 403


@pytest.mark.parametrize(
    "sent",
    [
        {"host": "localhost:1"},
        {"host": "localhost:1", "origin": "http://localhost:1", "sec_fetch_site": "same-origin"},
        {"host": "Exports.example", "origin": "https://exports.example"},
        {"host": "localhost:1", "sec_fetch_site": "none"},
        {"host": "127.0.0.1:1", "origin": "https://exports.example", "sec_fetch_site": "same-origin"},  # behind a proxy
    ],
)
def test_a_request_of_no_page_or_of_the_own_one_is_accepted(sent: dict[str, str]) -> None:
    assert refuse_foreign_page("POST", headers(**sent)) is None


@pytest.mark.parametrize(
    "sent",
    [
        {"host": "localhost:1", "origin": "http://evil.example"},
        {"host": "localhost:1", "origin": "http://localhost:2"},
        {"host": "localhost:1", "origin": "null"},
        {"host": "localhost:1", "sec_fetch_site": "cross-site"},
        {"host": "localhost:1", "sec_fetch_site": "same-site"},  # such as another port of localhost
        {"host": "localhost:1", "origin": "http://localhost:1", "sec_fetch_site": "cross-site"},
    ],
)
def test_a_request_of_another_page_is_refused_if_it_has_an_effect(sent: dict[str, str]) -> None:
    for method in ("POST", "DELETE"):
        refusal = refuse_foreign_page(method, headers(**sent))
        assert refusal is not None
        assert refusal.status == 403
    assert refuse_foreign_page("GET", headers(**sent)) is None
