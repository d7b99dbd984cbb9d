"""Only the store's user can read its files or take its locks, and its group where the folder says so."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from commands import Store, error_output, run
from exporter.domain.errors import StoreRefusedError
from exporter.ledger.access import Access
from exporter.ledger.sql.ledger import SqlLedger
from exporter.ledger.sqlite.backup import restore
from exporter.ledger.sqlite.locks import exclusive_use
from exporter.ledger.sqlite.permissions import refuse_open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRANGER = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(autouse=True)
def careless_umask() -> Iterator[None]:
    """Create files as a service without a UMask setting does."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def written(folder: Path) -> SqlLedger:
    ledger = SqlLedger(f"sqlite:///{folder / 'dataexport.db'}")
    ledger.record_heartbeat("an exporter", 1000.0)
    return ledger


def test_every_file_of_a_store_is_its_users_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    ledger = written(tmp_path)
    found = modes(tmp_path)
    ledger.close()
    assert {"dataexport.db", "dataexport.db.lock", "dataexport.db.use"} <= found.keys()
    assert set(found.values()) == {0o600}


@pytest.mark.usefixtures("store")
def test_a_command_creates_every_file_for_its_user_alone(in_a_folder: Path) -> None:
    """Also in the moment before the permissions of a store's files are set."""
    assert run("exports").exit_code == 0
    (in_a_folder / "created").touch()
    assert modes(in_a_folder)["created"] == 0o600


def test_an_existing_store_is_tightened_when_it_is_opened(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    first = written(tmp_path)
    (tmp_path / "dataexport.db.before-20260101T000000Z").touch()
    (tmp_path / "something-else").touch()
    for path in tmp_path.iterdir():
        path.chmod(0o644)
    second = written(tmp_path)  # while the first has it open
    found = modes(tmp_path)
    for ledger in (first, second):
        ledger.close()
    assert found.pop("something-else") == 0o644
    assert set(found.values()) == {0o600}


def test_a_store_that_is_only_read_keeps_the_permissions_of_its_files(tmp_path: Path) -> None:
    written(tmp_path).close()
    for path in tmp_path.iterdir():
        path.chmod(0o640)
    SqlLedger(f"sqlite:///{tmp_path / 'dataexport.db'}", access=Access.READ).close()
    assert set(modes(tmp_path).values()) == {0o640}


@pytest.mark.parametrize(
    ("folder_mode", "file_mode"), [(0o2770, 0o660), (0o775, 0o660), (0o750, 0o600), (0o730, 0o600)]
)
def test_the_group_may_use_the_store_only_if_it_may_use_the_folder(
    tmp_path: Path, folder_mode: int, file_mode: int
) -> None:
    """A container has a user without a name and group 0, and the next one has another user."""
    tmp_path.chmod(folder_mode)
    ledger = written(tmp_path)
    found = modes(tmp_path)
    ledger.close()
    assert set(found.values()) == {file_mode}


@needs_root
def test_files_of_another_group_than_the_folders_are_not_opened_to_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    os.chown(tmp_path, 0, STRANGER)
    ledger = written(tmp_path)
    found = modes(tmp_path)
    ledger.close()
    assert set(found.values()) == {0o600}


@needs_root
def test_another_user_can_neither_read_a_store_nor_stop_its_writes(tmp_path: Path) -> None:
    """A lock needs no more than an open file."""
    for folder in (tmp_path.parents[1], tmp_path.parent, tmp_path):
        folder.chmod(0o755)
    ledger = written(tmp_path)
    for path in tmp_path.iterdir():
        opened = subprocess.run(
            ["cat", path], user=STRANGER, group=STRANGER, extra_groups=[], capture_output=True, check=False
        )
        assert b"Permission denied" in opened.stderr, path
    ledger.close()


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o702])
def test_a_folder_that_every_user_can_write_to_is_refused(in_a_folder: Path, mode: int) -> None:
    """In a folder with the sticky bit as well, others can put a journal beside the database."""
    refuse_open_folder(in_a_folder / "dataexport.db")
    in_a_folder.chmod(mode)
    with pytest.raises(StoreRefusedError, match="every user of this machine can write to the folder"):
        refuse_open_folder(in_a_folder / "dataexport.db")
    assert f"(mode {mode:04o}): chmod o-w it" in error_output(run("serve"), 1)
    assert not (in_a_folder / "dataexport.db").exists()


def test_the_doctor_warns_about_what_others_can_open(
    store: Store, in_a_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "every user" not in run("doctor").stdout
    backup = in_a_folder / "copy.db"
    assert run("backup", str(backup)).exit_code == 0
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    in_a_folder.chmod(0o757)
    store.path.chmod(0o644)
    monkeypatch.setattr("pathlib.Path.chmod", refuse)
    output = run("doctor").stdout
    assert f"BAD  every user of this machine can write to the folder {in_a_folder} (mode 0757)" in output
    assert f"BAD  every user of this machine can open {store.path} (mode 0644)" in output


def refuse(*_: object, **__: object) -> None:
    """Refuse to change permissions, as the system does for the files of another user."""
    raise PermissionError


def test_a_store_behind_a_link_is_the_file_that_the_link_names(tmp_path: Path) -> None:
    """Two links to one file must not have two locks."""
    real, linked = tmp_path / "real", tmp_path / "linked"
    real.mkdir()
    linked.symlink_to(real)
    ledger = written(real)
    (tmp_path / "file.db").symlink_to(real / "dataexport.db")
    with pytest.raises(StoreRefusedError, match="is in use"), exclusive_use(tmp_path / "file.db"):
        pass
    ledger.close()
    for link in (linked / "dataexport.db", tmp_path / "file.db"):
        restored = restore(link, link, time.time() + 3600, lambda *_: None)
        assert restored.previous is not None
        assert restored.previous.parent == real
        assert not (real / "dataexport.db").is_symlink()
    assert (tmp_path / "file.db").is_symlink()


@pytest.mark.usefixtures("store")
def test_a_backup_replaces_a_link_instead_of_writing_through_it(in_a_folder: Path) -> None:
    valuable = in_a_folder / "valuable"
    valuable.write_text("kept", "utf-8")
    target = in_a_folder / "copy.db"
    target.symlink_to(valuable)
    assert run("backup", str(target)).exit_code == 1
    assert run("backup", "--force", str(target)).exit_code == 0
    assert valuable.read_text("utf-8") == "kept"
    assert not target.is_symlink()
