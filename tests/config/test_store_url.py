"""The URL of the store: which ones are accepted, and which of them hold a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from configurations import loaded, problems
from exporter.config import store_url

CANARY = "canary"
WITH_A_PASSWORD = {
    "plain": (f"postgresql+psycopg://u:{CANARY}@host/db", "postgresql+psycopg://u:***@host/db"),
    "a slash": (f"postgresql+psycopg://u:{CANARY}/x@host/db", "postgresql+psycopg://u:***@host/db"),
    "a question mark": (f"postgresql+psycopg://u:x/y?{CANARY}@host/db", "postgresql+psycopg://u:***@host/db"),
    "a colon": (f"postgresql+psycopg://u:x:{CANARY}@host/db", "postgresql+psycopg://u:***@host/db"),
    "no user": (f"postgresql+psycopg://:{CANARY}@host/db", "postgresql+psycopg://:***@host/db"),
    "escaped": ("postgresql+psycopg://u:can%40ary@host/db", "postgresql+psycopg://u:***@host/db"),
}


@pytest.mark.parametrize(("url", "shown"), WITH_A_PASSWORD.values(), ids=WITH_A_PASSWORD)
def test_a_file_with_a_password_in_the_url_is_secret_and_the_password_is_not_shown(
    tmp_path: Path, url: str, shown: str
) -> None:
    toml = f'[store]\nurl = "{url}"\n'
    assert loaded(tmp_path, toml).shown_store_url == shown
    (tmp_path / "dataexport.toml").chmod(0o644)
    (problem,) = problems(tmp_path, toml)
    assert "holds a token or a password itself" in problem
    assert CANARY not in problem


@pytest.mark.parametrize(
    "query",
    [
        f"password={CANARY}",
        f"%70assword={CANARY}",
        f"host=a&p%61ssword={CANARY}",
        f"sslpassword={CANARY}",
        f"%73slpassword={CANARY}",
        f"PASSWORD={CANARY}",
    ],
)
def test_a_password_in_the_query_is_refused_however_it_is_written(tmp_path: Path, query: str) -> None:
    (problem,) = problems(tmp_path, f'[store]\nurl = "postgresql+psycopg://u@host/db?{query}"\n')
    assert problem.startswith("store.url: give the password before the")
    assert CANARY not in problem


@pytest.mark.parametrize("query", ["", "?passfile=/f", "?host=a:1&host=b:2", "?sslmode=verify-full"])
def test_a_url_without_a_password_is_not_secret(tmp_path: Path, query: str) -> None:
    url = f"postgresql+psycopg://u@host/db{query}"
    toml = f'[store]\nurl = "{url}"\n'
    loaded(tmp_path, toml)
    (tmp_path / "dataexport.toml").chmod(0o644)
    assert loaded(tmp_path, toml).shown_store_url == url


def test_a_url_that_the_parser_refuses_is_secret_and_not_shown(tmp_path: Path) -> None:
    toml = f'[store]\nurl = "postgresql+psycopg://u:{CANARY}@host:port/db"\n'
    (problem,) = problems(tmp_path, toml)
    assert problem.startswith("store.url: give ")
    assert CANARY not in problem
    (tmp_path / "dataexport.toml").chmod(0o644)
    environment = {"DATAEXPORT_STORE_URL": "sqlite:///a.db"}
    assert "holds a token or a password itself" in problems(tmp_path, toml, environment)[0]


@pytest.mark.parametrize(
    ("rest", "hosts"),
    [
        ("db.example/exports", ["db.example"]),
        ("db.example:5432/exports?sslmode=require", ["db.example"]),
        ("/exports?host=a.example:1&host=b.example:2", ["a.example", "b.example"]),
        ("/exports?host=a.example,localhost&sslmode=prefer", ["a.example"]),
        ("/exports?hostaddr=192.0.2.1", ["192.0.2.1"]),
        ("[2001:db8::1]:5432/exports", ["2001:db8::1"]),
        ("db.example/exports?sslmode=verify-ca", []),
        ("db.example/exports?sslmode=verify-full", []),
        ("localhost:5432/exports", []),
        ("127.0.0.1/exports", []),
        ("[::1]:5432/exports", []),
        ("/exports?host=/run/postgresql", []),
        ("/exports", []),
    ],
)
def test_a_host_on_a_network_needs_a_mode_that_verifies_its_certificate(rest: str, hosts: list[str]) -> None:
    url = f"postgresql+psycopg://me@{rest}" if not rest.startswith("/") else f"postgresql+psycopg://{rest}"
    assert store_url.hosts_not_verified(url) == hosts
    assert store_url.hosts_not_verified(url, "verify-full") == (hosts if "sslmode" in rest else [])


def test_a_file_needs_no_certificate() -> None:
    assert store_url.hosts_not_verified("sqlite:////var/lib/exports.db") == []


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:canary@host/db",
        "postgresql+psycopg://user:canary@host",
        "postgresql+psycopg://user@host/db?password=canary",
        "sqlite://",
        "sqlite:///a?mode=ro",
        "canary",
    ],
)
def test_a_store_that_is_not_known_is_refused_without_showing_the_url(tmp_path: Path, url: str) -> None:
    (said,) = problems(tmp_path, f'[store]\nurl = "{url}"\n')
    assert said.startswith("store.url: give ")
    assert "canary" not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:////var/lib/a.db", "sqlite:////var/lib/a.db"),
        ("postgresql+psycopg://u:canary@host:5433/db", "postgresql+psycopg://u:***@host:5433/db"),
        ("postgresql+psycopg://u:can%40ary@/db?host=a&host=b:1", "postgresql+psycopg://u:***@/db?host=a&host=b:1"),
        ("postgresql+psycopg://u@host/db?passfile=/f", "postgresql+psycopg://u@host/db?passfile=/f"),
    ],
)
def test_the_address_of_the_store_is_shown_without_its_password(tmp_path: Path, url: str, shown: str) -> None:
    assert loaded(tmp_path, f'[store]\nurl = "{url}"\n').shown_store_url == shown


def test_a_relative_store_url_in_a_file_is_in_the_folder_of_the_file_and_in_a_variable_in_the_working_folder(
    tmp_path: Path,
) -> None:
    toml = '[store]\nurl = "sqlite:///data/a.db"\n'
    assert loaded(tmp_path, toml).store_url == f"sqlite:///{tmp_path}/data/a.db"
    assert loaded(tmp_path, toml).shown_store_url == f"sqlite:///{tmp_path}/data/a.db"
    environment = {"DATAEXPORT_STORE_URL": "sqlite:///b.db"}
    assert loaded(tmp_path, toml, environment).store_url == f"sqlite:///{Path.cwd()}/b.db"
    assert loaded(tmp_path, "").store_url == f"sqlite:///{Path.cwd()}/dataexport.db"
