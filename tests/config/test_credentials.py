"""Who may post: every way to show a secret, and every way to fail."""

from __future__ import annotations

import base64

import pytest

from exporter.config.credentials import Credentials

TOKEN = Credentials(tokens=("old-token", "new-token"))
HEADER = Credentials(tokens=("a-token",), header="X-Export-Token")
BASIC = Credentials(basic=(("clevertap", "pass:word"), ("second", "pässwörd")))


def basic(pair: str | bytes) -> dict[str, str]:
    raw = pair.encode() if isinstance(pair, str) else pair
    return {"Authorization": f"Basic {base64.b64encode(raw).decode()}"}


def as_wsgi(value: str) -> str:
    """A header as WSGI hands it over: its UTF-8 bytes as Latin-1 text."""
    return value.encode().decode("latin-1")


def test_where_nothing_is_wanted_everybody_passes() -> None:
    assert not Credentials().are_required
    assert Credentials().accepts({})
    assert Credentials(header="X-Export-Token").accepts({"Authorization": "Bearer whatever"})


@pytest.mark.parametrize("value", ["Bearer old-token", "Bearer new-token", "bearer new-token", "BEARER   new-token "])
def test_either_of_two_tokens_passes_while_one_replaces_the_other(value: str) -> None:
    assert TOKEN.are_required
    assert TOKEN.accepts({"Authorization": value})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer old-toke"},
        {"Authorization": "Bearer old-token2"},
        {"Authorization": "Bearer OLD-TOKEN"},
        {"Authorization": "Bearer old-token new-token"},
        {"Authorization": "old-token"},
        {"Authorization": "Token old-token"},
        {"Authorization": "Bearer \u00fc\u00e4"},
        {"Authorization": "Bearer \u20ac"},
        {"X-Export-Token": "old-token"},
        basic("old-token:"),
        basic(":old-token"),
    ],
)
def test_anything_else_than_a_token_as_bearer_is_turned_away(headers: dict[str, str]) -> None:
    assert not TOKEN.accepts(headers)


def test_a_token_may_come_in_a_header_of_its_own_and_then_nowhere_else() -> None:
    assert HEADER.accepts({"X-Export-Token": "a-token"})
    assert not HEADER.accepts({"X-Export-Token": "another"})
    assert not HEADER.accepts({"X-Export-Token": ""})
    assert not HEADER.accepts({"Authorization": "Bearer a-token"})
    assert not HEADER.accepts({})


@pytest.mark.parametrize("pair", ["clevertap:pass:word", "second:pässwörd"])
def test_a_user_name_with_its_password_passes(pair: str) -> None:
    assert BASIC.are_required
    assert BASIC.accepts(basic(pair))
    assert BASIC.accepts({"Authorization": basic(pair)["Authorization"].replace("Basic", "bASIC ")})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic Y2xldmVydGFw="},
        {"Authorization": "Basic \u00fc"},
        {"Authorization": "Bearer clevertap:pass:word"},
        {"Authorization": "Basic clevertap:pass:word"},
        basic("clevertap:"),
        basic(":pass:word"),
        basic("clevertap:pässwörd"),
        basic("second:pass:word"),
        basic(b"\xff\xfe"),
    ],
)
def test_anything_else_than_a_pair_as_basic_is_turned_away(headers: dict[str, str]) -> None:
    assert not BASIC.accepts(headers)


def test_a_token_and_a_pair_may_both_be_valid() -> None:
    both = Credentials(tokens=("a-token",), basic=(("user", "word"),))
    assert both.accepts({"Authorization": "Bearer a-token"})
    assert both.accepts(basic("user:word"))
    assert not both.accepts(basic("a-token"))


def test_a_token_of_other_letters_is_compared_as_bytes() -> None:
    greek = Credentials(tokens=("κλειδί",))
    assert greek.accepts({"Authorization": as_wsgi("Bearer κλειδί")})
    assert not greek.accepts({"Authorization": as_wsgi("Bearer κλειδι")})
    assert not greek.accepts({"Authorization": "Bearer κλειδί"})  # no WSGI server gives such text


def test_a_token_whose_bytes_are_not_utf_8_is_compared_as_bytes() -> None:
    odd = Credentials(tokens=(b"\xffkey".decode("utf-8", "surrogateescape"),))
    assert odd.accepts({"Authorization": "Bearer \u00ffkey"})
    assert not odd.accepts({"Authorization": "Bearer ?key"})


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer "}, {"Authorization": "Basic "}, basic("")])
def test_an_empty_secret_opens_nothing(headers: dict[str, str]) -> None:
    assert not Credentials(tokens=("",)).accepts(headers)
    assert not Credentials(tokens=("",), header="X-Export-Token").accepts(headers)


def test_a_secret_is_not_shown_when_credentials_are_printed() -> None:
    printed = repr(Credentials(tokens=("canary-1",), basic=(("user", "canary-2"),)))
    assert "canary" not in printed
