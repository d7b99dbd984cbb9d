"""Careless settings are refused: weak or shared tokens, and an admin listener that anyone reaches without one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from configurations import loaded, problems
from exporter.config.loader import load
from exporter.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

FIFTEEN, SIXTEEN, OTHER = "fifteen-letters", "sixteen-letters!", "another-16-signs"


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ('[server]\nadmin_tokens = ["{}"]\n', "server.admin_tokens"),
        ('[server]\nadmin_basic = {{ username = "u", password = "{}" }}\n', "server.admin_basic"),
        ('[[sources]]\nslug = "a"\ntokens = ["{}"]\n', "sources[1].tokens"),
        ('[[sources]]\nslug = "a"\nbasic = {{ username = "u", password = "{}" }}\n', "sources[1].basic"),
    ],
)
def test_a_short_secret_is_refused_and_not_shown(tmp_path: Path, toml: str, place: str) -> None:
    (problem,) = problems(tmp_path, toml.format(FIFTEEN))
    assert problem == (
        f"{place}: a secret has 15 characters; give at least 16, such as the output of: openssl rand -hex 32"
    )
    loaded(tmp_path, toml.format(SIXTEEN))


def test_a_short_secret_in_a_file_or_a_variable_is_refused_as_well(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("change-me\n", "utf-8")
    (problem,) = problems(tmp_path, '[[sources]]\nslug = "a"\ntokens_file = ["token"]\n')
    assert problem.startswith("sources[1].tokens_file: a secret has 9 characters; give at least 16")
    with pytest.raises(ConfigurationError, match="a secret has 1 character; give at least 16"):
        load(None, {"DATAEXPORT_TOKENS": "x"})


ADMIN_TOKEN = f'[server]\nadmin_tokens = ["{SIXTEEN}"]\n'
ADMIN_PASSWORD = f'[server]\nadmin_basic = {{ username = "u", password = "{SIXTEEN}" }}\n'
SOURCE = f'[[sources]]\nslug = "a"\ntokens = ["{SIXTEEN}"]\n'
SECOND_SOURCE = f'[[sources]]\nslug = "b"\ntokens = ["{OTHER}", "{SIXTEEN}"]\n'
SHARED = {
    "two sources": (SOURCE + SECOND_SOURCE, "sources[2].tokens", "sources[1].tokens"),
    "a source and the admin listener": (ADMIN_TOKEN + SOURCE, "sources[1].tokens", "server.admin_tokens"),
    "a password and a token": (ADMIN_PASSWORD + SOURCE, "sources[1].tokens", "server.admin_basic"),
}


@pytest.mark.parametrize(("toml", "place", "first"), SHARED.values(), ids=SHARED)
def test_a_secret_of_two_doors_is_refused_and_not_shown(tmp_path: Path, toml: str, place: str, first: str) -> None:
    assert problems(tmp_path, toml) == [f"{place}: the same secret is used by {first}; give each its own"]


def test_one_door_may_name_a_secret_twice(tmp_path: Path) -> None:
    """While a token is rotated, it may be in a file and in the configuration."""
    (tmp_path / "token").write_text(SIXTEEN, "utf-8")
    loaded(tmp_path, f'[[sources]]\nslug = "a"\ntokens = ["{SIXTEEN}"]\ntokens_file = ["token"]\n')


@pytest.mark.parametrize("listen", ["0.0.0.0:1", "[::]:1", "192.0.2.1:1"])
def test_an_admin_listener_that_others_reach_needs_a_credential_or_an_explicit_word(listen: str) -> None:
    environment = {"DATAEXPORT_ADMIN_LISTEN": listen}
    with pytest.raises(ConfigurationError) as refusal:
        load(None, environment)
    (problem,) = refusal.value.problems
    assert problem == (
        f"environment: DATAEXPORT_ADMIN_LISTEN: {listen} is not loopback, and nobody needs a credential there; set "
        "server.admin_tokens_file, admin_tokens or admin_basic (or DATAEXPORT_ADMIN_TOKENS), or server.admin_open = "
        "true (or DATAEXPORT_ADMIN_OPEN) if all who reach it may see everything and reload"
    )
    for allowed in (
        {"DATAEXPORT_ADMIN_TOKENS": SIXTEEN},
        {"DATAEXPORT_ADMIN_BASIC": json.dumps({"username": "u", "password": SIXTEEN})},
        {"DATAEXPORT_ADMIN_OPEN": "true"},
    ):
        assert str(load(None, environment | allowed).admin_listen) == listen
