"""Files beside a SQLite database whose locks show who uses it.

``.use`` is locked, shared, by every process that has the database open; ``.serve`` by the one exporter.
"""

from __future__ import annotations

import fcntl
import os
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from exporter.domain.errors import ExporterError, StoreRefusedError
from exporter.ledger.sqlite.permissions import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def exclusive_use(path: Path) -> Iterator[None]:
    """Hold the database for this process alone, among the processes of this program.

    Raises:
        StoreRefusedError: another process has it open.
    """
    refusal = f"{path} is in use: a running exporter or command has it open; stop that first"
    with lock_use_file(path, fcntl.LOCK_EX, refusal):
        yield


def lock_use_file(path: Path, kind: int, refusal: str) -> BinaryIO:
    """Lock and return the file whose lock shows that a process has the database open; the caller closes it.

    Raises:
        StoreRefusedError: another process has locked it, or it cannot be written.
    """
    return _lock(_open_beside(path, ".use"), kind, refusal)


def lock_use_file_for_reading(path: Path, refusal: str) -> BinaryIO | None:
    """As `lock_use_file`, shared, for a process that may not write; None if there is no such file to read."""
    try:
        used = Path(f"{path.resolve()}.use").open("rb")  # noqa: SIM115 - open for as long as the database is
    except OSError:
        return None
    return _lock(used, fcntl.LOCK_SH, refusal)


@contextmanager
def serving(path: Path) -> Iterator[None]:
    """Hold the database for this process as the exporter that serves it, and for the workers it forks.

    Raises:
        StoreRefusedError: another exporter serves it; the message names its process.
    """
    require_folder(path)
    file = _open_beside(path, ".serve")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = Path(file.name).read_text("utf-8", "replace").strip() or "another process"
            message = (
                f"store.url: {holder} serves {path} already; stop it first, or use PostgreSQL for several exporters"
            )
            raise StoreRefusedError(message) from error
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        file.flush()
        yield


@contextmanager
def removed_if_it_fails(path: Path) -> Iterator[None]:
    """Leave no database behind if there was none before and what is done with it raises an `ExporterError`."""
    was_there = path.exists()
    try:
        yield
    except ExporterError:
        if not was_there:
            for suffix in SUFFIXES:
                Path(f"{path}{suffix}").unlink(missing_ok=True)
        raise


def require_folder(path: Path) -> None:
    """Refuse a database whose folder does not exist.

    Raises:
        StoreRefusedError: names the folder.
    """
    if not path.parent.is_dir():
        message = f"store.url: there is no folder {path.parent} for the database; make it, or give another path"
        raise StoreRefusedError(message)


def refuse_unwritable(path: Path) -> None:
    """Refuse a database with files that this user cannot write.

    Raises:
        StoreRefusedError: names the files and their owners.
    """
    files = [Path(f"{path}{suffix}") for suffix in SUFFIXES]
    unwritable = [file for file in files if file.exists() and not os.access(file, os.W_OK, effective_ids=True)]
    if unwritable:
        names = ", ".join(f"{file} (owner {file.stat().st_uid})" for file in unwritable)
        message = (
            f"store.url: user {os.geteuid()} cannot write {names}; chown them to this user, or chmod g+w them if the "
            "user is in their group"
        )
        raise StoreRefusedError(message)


def _open_beside(path: Path, suffix: str) -> BinaryIO:
    try:
        return Path(f"{path.resolve()}{suffix}").open("ab")
    except OSError as error:
        message = (
            f"store.url: nothing can be written beside {path} ({error.strerror}), where its locks and journals have "
            "to be; make the folder writable for this user, or give another path"
        )
        raise StoreRefusedError(message) from error


def _lock(file: BinaryIO, kind: int, refusal: str) -> BinaryIO:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreRefusedError(refusal) from error
    return file
