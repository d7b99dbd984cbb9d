"""Where files land, as configured: defaults, secrets from files, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from configurations import loaded, problems
from exporter.config import landings
from exporter.domain.landing import Landing

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '[[sources]]\nslug = "shop"\ntimezone = "Asia/Kolkata"\n'
EXPORT = '[[exports]]\nname = "nightly"\nsource = "shop"\nmatch = { frequency = "24h" }\n'
SECRET = "canary-secret-of-some-length"


def with_landing(landing: str, source: str = SOURCE) -> str:
    return f"{source}{EXPORT}landing = {{ {landing} }}\n"


def test_without_one_there_is_none(tmp_path: Path) -> None:
    assert not loaded(tmp_path, SOURCE + EXPORT).landings


def test_the_defaults(tmp_path: Path) -> None:
    found = loaded(tmp_path, with_landing('url = "s3://bucket/a/{date}/"')).landings
    assert found.by_export == {("shop", "nightly"): Landing("s3://bucket/a/{date}/", 1, 1, 1800, 30, 100_000)}


def test_a_source_has_a_default_for_its_exports(tmp_path: Path) -> None:
    found = loaded(tmp_path, SOURCE + 'landing = { url = "gs://bucket/", within = "1h", min_bytes = 0 }\n').landings
    assert found.by_source == {"shop": Landing("gs://bucket/", min_bytes=0, within=3600)}


def test_secrets_come_from_files_and_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET, "utf-8")
    (tmp_path / "key").chmod(0o600)
    text = 'url = "s3://b1x/", access_key_id = "id", secret_access_key_file = "key", endpoint = "http://127.0.0.1:9"'
    config = loaded(tmp_path, with_landing(text))
    [landing] = config.landings.by_export.values()
    assert landing.secrets == (("secret_access_key", SECRET),)
    assert landing.options == (("endpoint", "http://127.0.0.1:9"), ("access_key_id", "id"))
    assert SECRET not in repr(config)


def test_a_readable_key_file_and_a_key_in_a_readable_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET, "utf-8")
    (tmp_path / "key").chmod(0o644)
    text = with_landing('url = "az://box/", account = "a", account_key_file = "key"')
    assert "landing.account_key_file" in problems(tmp_path, text)[0]
    (tmp_path / "dataexport.toml").chmod(0o644)
    text = with_landing(f'url = "az://box/", account = "a", account_key = "{SECRET}"')
    [problem] = problems(tmp_path, text)
    assert "holds a token or a password itself" in problem


@pytest.mark.parametrize(
    ("landing", "expected"),
    [
        ('url = "http://x/"', "exports[1].landing.url: give "),
        ('url = "s3://bucket/{day}"', "exports[1].landing.url: the placeholders are"),
        ('url = "s3://bucket/", account = "x"', "exports[1].landing.account: is for az:// only"),
        ('url = "gs://bucket/", region = "x"', "exports[1].landing.region: is for s3:// only"),
        ('url = "s3://bucket/", access_key_id = "x"', "requires landing.secret_access_key_file, which is missing"),
        ('url = "s3://bucket/", secret_access_key = "x"', "requires landing.access_key_id, which is missing"),
        ('url = "s3://bucket/", within = "1s"', "give a duration of at least"),
        ('url = "s3://bucket/", withn = "1h"', "unknown setting; did you mean within?"),
        ('url = "gs://bucket/", service_account_file = "gone"', "exports[1].landing.service_account_file: "),
        ('url = "az://box/", account_key_file = "gone"', "exports[1].landing.account_key_file: "),
        ("min_objects = 1", "exports[1].landing.url: missing"),
    ],
)
def test_what_is_refused(tmp_path: Path, landing: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(tmp_path, with_landing(landing)))


def test_a_date_needs_a_time_zone(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, with_landing('url = "s3://bucket/{date}/"', '[[sources]]\nslug = "shop"\n'))
    assert problem.startswith('exports[1].landing.url: has {date}, and the source has timezone = "auto"')


def test_a_missing_package_is_named_with_the_way_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landings, "PACKAGE", "no_such_package_at_all")
    [problem] = problems(tmp_path, with_landing('url = "s3://bucket/"'))
    assert problem.startswith("exports[1].landing: needs a package that is not installed; run: pip install ")
    [problem] = problems(tmp_path, SOURCE + 'landing = { url = "s3://bucket/" }\n')
    assert problem.startswith("sources[1].landing: ")
