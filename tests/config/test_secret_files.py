"""Files with secrets that everybody can read are refused, each with its setting; and a clock that was never set."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from builders import instant
from exporter.config.loader import load
from exporter.domain.errors import ClockError, ConfigurationError
from exporter.server.startup_checks import refuse_clock
from monitoring import clean_environment
from running import COMMAND, Exporter
from tools import program
from users import ordinary_user, reachable_folder

if TYPE_CHECKING:
    from pathlib import Path

INSIDE = {
    "a token": '[[sources]]\nslug = "a"\ntokens = ["a-secret-of-some-length"]\n',
    "a password": '[[sources]]\nslug = "a"\nbasic = { username = "u", password = "a-secret-of-some-length" }\n',
    "an admin token": '[server]\nadmin_tokens = ["a-secret-of-some-length"]\n',
    "an admin password": '[server]\nadmin_basic = { username = "u", password = "a-secret-of-some-length" }\n',
}


def problems(path: Path | None, **environment: str) -> list[str]:
    """What is wrong; nothing where the configuration was taken."""
    try:
        load(path, environment)
    except ConfigurationError as error:
        return list(error.problems)
    return []


def written(path: Path, text: str, mode: int) -> Path:
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


@pytest.mark.parametrize("toml", INSIDE.values(), ids=INSIDE)
def test_a_file_that_holds_secrets_must_not_be_readable_by_everybody(tmp_path: Path, toml: str) -> None:
    path = written(tmp_path / "c.toml", toml, 0o644)
    (told,) = problems(path)
    assert told.startswith(f"{path}: holds a token or a password itself: every user of this machine can read")
    assert "(mode 0644): chmod 600 it" in told
    for mode in (0o600, 0o640, 0o400):
        path.chmod(mode)
        assert problems(path) == []


def test_a_file_without_secrets_may_be_read_by_everybody(tmp_path: Path) -> None:
    toml = '[server]\nadmin_tokens = []\n[store]\nurl = "sqlite:///a.db"\n[[sources]]\nslug = "a"\n'
    assert problems(written(tmp_path / "c.toml", toml, 0o644)) == []


def test_every_file_with_a_secret_is_named_with_its_setting(tmp_path: Path) -> None:
    names = ("admin-a", "admin-b", "admin-word", "first", "second", "word")
    for name in names:
        written(tmp_path / name, f"the secret in the file {name}", 0o604)
    toml = """
    [server]
    admin_tokens_file = ["admin-a", "admin-b"]
    admin_basic = { username = "u", password_file = "admin-word" }
    [[sources]]
    slug = "a"
    [[sources]]
    slug = "b"
    tokens_file = ["first", "second"]
    basic = { username = "u", password_file = "word" }
    """
    path = written(tmp_path / "c.toml", toml, 0o644)
    told = problems(path)
    assert [each.partition(": every user")[0] for each in told] == [
        f"{path}: server.admin_tokens_file",
        f"{path}: server.admin_tokens_file",
        f"{path}: server.admin_basic.password_file",
        f"{path}: sources[2].tokens_file",
        f"{path}: sources[2].tokens_file",
        f"{path}: sources[2].basic.password_file",
    ]
    assert [name for name, each in zip(names, told, strict=True) if str(tmp_path / name) in each] == list(names)
    path.write_text(toml.replace("[server]", "[server]\nallow_readable_secrets = true"), "utf-8")
    assert problems(path) == []


def test_the_file_of_a_variable_is_looked_at_as_well(tmp_path: Path) -> None:
    tokens = written(tmp_path / "secret-tokens", "a-secret-of-some-length", 0o444)
    (told,) = problems(None, DATAEXPORT_TOKENS_FILE=str(tokens))
    assert told.startswith("environment: DATAEXPORT_TOKENS_FILE: every user of this machine can read")
    assert problems(None, DATAEXPORT_TOKENS_FILE=str(tokens), DATAEXPORT_ALLOW_READABLE_SECRETS="true") == []
    tokens.chmod(0o400)
    assert problems(None, DATAEXPORT_TOKENS_FILE=str(tokens)) == []


def test_a_secret_that_every_user_can_change_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "c.toml", "[server]\nallow_readable_secrets = true\n" + INSIDE["a token"], 0o602)
    (told,) = problems(path)
    assert f"every user of this machine can write to {str(path)!r} (mode 0602): chmod o-w it" in told


@pytest.mark.parametrize(("mode", "accepted"), [(0o777, False), (0o703, False), (0o1777, True), (0o770, True)])
def test_a_folder_in_which_every_user_can_replace_a_secret_is_refused(
    tmp_path: Path, mode: int, *, accepted: bool
) -> None:
    """With the sticky bit, as in a Kubernetes volume, only owners can replace their files."""
    folder = tmp_path / "secrets"
    folder.mkdir()
    written(folder / "token", "a-secret-of-some-length", 0o600)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(folder / "token")
    folder.chmod(mode)
    for name in (folder / "token", tmp_path / "elsewhere" / "link"):
        told = problems(None, DATAEXPORT_TOKENS_FILE=str(name))
        assert len(told) == (0 if accepted else 1)
        assert all(
            f"can write to the folder {str(folder)!r} of {str(name)!r} (mode 0{mode:o})" in each for each in told
        )


def test_what_is_not_there_or_no_file_is_told_once(tmp_path: Path) -> None:
    toml = '[[sources]]\nslug = "a"\ntokens_file = ["missing", "."]\n'
    told = problems(written(tmp_path / "c.toml", toml, 0o644))
    assert len(told) == 2
    assert all("cannot be read" in each for each in told)


def test_a_file_that_cannot_be_read_is_named_with_its_owner_its_mode_and_the_remedy() -> None:
    """Compose mounts a secret with the owner and the mode that the file has on the host."""
    with reachable_folder() as folder:
        secret = written(folder / "shop", "a-secret-of-some-length", 0o000)
        owner = f"user {secret.stat().st_uid} and group {secret.stat().st_gid}"
        config = written(folder / "c.toml", '[[sources]]\nslug = "a"\ntokens_file = ["shop"]\n', 0o644)
        key = {"DATAEXPORT_TLS_CERTIFICATE_FILE": str(secret), "DATAEXPORT_TLS_KEY_FILE": str(secret)}
        listen = {"DATAEXPORT_WEBHOOK_LISTEN": "0.0.0.0:8080"}
        with ordinary_user() as user:
            from_file = problems(config, **listen)
            from_variable = problems(None, DATAEXPORT_TOKENS_FILE=str(secret), **listen)
            of_key = problems(None, **key)
        config.chmod(0o000)
        with ordinary_user():
            of_config = problems(config)
    explained = (
        f"{str(secret)!r} cannot be read by user {user}: it belongs to {owner}, and its mode is 0000; "
        f"chown it to user {user}, or chgrp it to a group of that user and chmod 440 it"
    )
    assert from_file == [f"{config}: sources[1].tokens_file: {explained}"]
    assert from_variable == [f"environment: DATAEXPORT_TOKENS_FILE: {explained}"]
    assert of_key[0].endswith(explained)
    assert of_config == [explained.replace(str(secret), str(config))]


@pytest.mark.parametrize("shape", ["sources = 5", 'sources = ["a"]', '[[sources]]\nbasic = "secret"'])
def test_sources_of_any_shape_that_a_variable_replaces_do_no_harm(tmp_path: Path, shape: str) -> None:
    path = written(tmp_path / "c.toml", shape, 0o644)
    assert problems(path, DATAEXPORT_SOURCES=json.dumps([{"slug": "a"}])) == []


def test_serve_refuses_with_exit_code_2(tmp_path: Path) -> None:
    exporter = Exporter(tmp_path, INSIDE["a token"])
    exporter.config_path.chmod(0o644)
    for command in (("serve", "--config"), ("check-config",)):
        ended = exporter.run(*command, str(exporter.config_path))
        assert (ended.returncode, ended.stdout) == (2, "")
        assert "chmod 600 it" in ended.stderr


def test_a_clock_before_2020_is_refused() -> None:
    with pytest.raises(ClockError, match=r"this machine's clock says 2019-12-31T23:59:59Z, which cannot be: set it"):
        refuse_clock(instant("2019-12-31T23:59:59Z"))
    refuse_clock(instant("2020-01-01T00:00:00Z"))


def test_serve_looks_at_the_clock(tmp_path: Path) -> None:
    ended = subprocess.run(
        [program("faketime"), "1970-01-02 03:04:05", COMMAND, "serve"],
        cwd=tmp_path,
        env=clean_environment({"TZ": "UTC"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "error: this machine's clock says 1970-01-02T03:" in ended.stderr
    assert list(tmp_path.iterdir()) == []
