"""The permissions of a SQLite store's files: for its user alone, or for its group if that may use the folder.

A container often has a user without a name and group 0, and the next container has another user, so the
group has to be able to read and write. Others must not even open a file: that suffices to lock it.
"""

from __future__ import annotations

import glob
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from exporter.domain.errors import StoreRefusedError

if TYPE_CHECKING:
    from pathlib import Path

USER_ONLY = 0o600
USER_AND_GROUP = 0o660

SUFFIXES = ("", "-wal", "-shm", "-journal", ".lock", ".use", ".serve")
"""What the names of a database's files add to its own."""


def refuse_open_folder(path: Path) -> None:
    """Refuse a folder in which every user can put files beside the database, such as a journal.

    Args:
        path: the database; it may be missing.

    Raises:
        StoreRefusedError: it is in such a folder.
    """
    finding = _open_folder(path)
    if finding:
        message = (
            f"store.url: {finding}: chmod o-w it, or give a file in another folder; where the mode is not yours to "
            "choose and nobody else is there, as in a container, set store.allow_open_folder"
        )
        raise StoreRefusedError(message)


def restrict(path: Path) -> None:
    """Take the files of a store, and what earlier restores kept of it, from everyone who should not have them.

    What root creates beside another user's database is given to that user, and files of other users are left alone.

    Args:
        path: the database; it may be missing.
    """
    if not path.exists():
        return
    folder, database = path.parent.stat(), path.stat()
    for file in _files(path):
        with suppress(OSError):
            os.chown(file, database.st_uid, database.st_gid)
        group_may_use = folder.st_mode & stat.S_IRWXG == stat.S_IRWXG and file.stat().st_gid == folder.st_gid
        with suppress(OSError):
            file.chmod(USER_AND_GROUP if group_may_use else USER_ONLY)


def exposed(path: Path) -> list[str]:
    """Return what other users can do with a store, in a sentence each."""
    folder = _open_folder(path)
    modes = {file: stat.S_IMODE(file.stat().st_mode) for file in _files(path)}
    return ([folder] if folder else []) + [
        f"every user of this machine can open {file} (mode {mode:04o})"
        for file, mode in modes.items()
        if mode & stat.S_IRWXO
    ]


def _files(path: Path) -> list[Path]:
    beside = [path.with_name(path.name + suffix) for suffix in SUFFIXES]
    beside += sorted(path.parent.glob(f"{glob.escape(path.name)}.before-*"))
    return [file for file in beside if file.is_file() and not file.is_symlink()]


def _open_folder(path: Path) -> str:
    mode = stat.S_IMODE(path.parent.stat().st_mode) if path.parent.is_dir() else 0
    if not mode & stat.S_IWOTH:
        return ""
    return f"every user of this machine can write to the folder {path.parent} (mode {mode:04o})"
