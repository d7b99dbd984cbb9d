"""The command `assets` writes what the package ships, which is what the repository has."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from commands import error_output, run
from exporter.cli import assets
from monitoring import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def test_every_file_is_written_as_it_is_in_the_repository(tmp_path: Path) -> None:
    result = run("assets", "--to", str(tmp_path / "new"))
    assert result.exit_code == 0, result.output
    written = {path.relative_to(tmp_path / "new"): path for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert sorted(map(str, written)) == assets.names()
    assert result.stdout.splitlines() == [str(tmp_path / "new" / name) for name in assets.names()]
    for name, path in written.items():
        assert path.read_bytes() == (ROOT / name).read_bytes(), name
        assert path.stat().st_mode & 0o777 == 0o644
    other = tmp_path / "other"
    other.touch()
    assert other.stat().st_mode & 0o777 == 0o600  # what is written later is not for others


def test_a_changed_file_is_replaced_only_on_request(tmp_path: Path) -> None:
    rules = tmp_path / assets.RULES
    rules.parent.mkdir()
    rules.write_text("changed", "utf-8")
    sentence = error_output(run("assets", "--to", str(tmp_path)), 1)
    assert sentence == f"error: {rules}: exists and differs; give another folder, or --overwrite to replace it\n"
    assert rules.read_text("utf-8") == "changed"
    assert list(tmp_path.iterdir()) == [tmp_path / "alerts"]
    for _ in range(2):
        assert run("assets", "--to", str(tmp_path), "--overwrite").exit_code == 0
    assert run("assets", "--to", str(tmp_path)).exit_code == 0
    assert rules.read_bytes() == assets.read(assets.RULES)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "alerts").touch()
    sentence = error_output(run("assets", "--to", str(tmp_path)), 1)
    assert "cannot be written" in sentence
    assert "give a folder that this user can write to" in sentence


def test_the_wheel_has_what_the_command_writes() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    assert data["exporter.cli.assets"] == list(assets.PATTERNS)
