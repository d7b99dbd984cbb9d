"""Finds secret files that every user of the machine can read, change or replace."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


def readable_by_all(files: Iterable[tuple[str, Path]]) -> Iterator[str]:
    """Yield a problem for every file, given with its place, that all users can read."""
    for at, file in files:
        mode = _mode(file)
        if mode & stat.S_IROTH and stat.S_ISREG(mode):
            yield (
                f"{at}: every user of this machine can read {str(file)!r} (mode {stat.S_IMODE(mode):04o}): chmod 600 "
                "it; if you cannot choose the mode and nobody else uses the machine, as in a container, set "
                "server.allow_readable_secrets"
            )


def writable_by_all(files: Iterable[tuple[str, Path]]) -> Iterator[str]:
    """Yield a problem for every file, given with its place, that all users can change or replace.

    A folder in which only owners may replace their files, such as ``/tmp`` or a Kubernetes volume, is accepted.
    """
    for at, file in files:
        if not stat.S_ISREG(_mode(file)):
            continue
        for path in dict.fromkeys((file, file.parent, file.resolve().parent)):
            mode = _mode(path)
            if mode & stat.S_IWOTH and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
                what = f"the folder {str(path)!r} of {str(file)!r}" if stat.S_ISDIR(mode) else f"{str(path)!r}"
                shown = f"mode {stat.S_IMODE(mode):04o}"
                yield f"{at}: every user of this machine can write to {what} ({shown}): chmod o-w it"


def unreadable(path: Path, error: OSError, wanted: str) -> str:
    """Explain that a file cannot be read, and what would be right.

    Args:
        path: the file.
        error: what reading it failed with.
        wanted: what to give instead, if it is not a matter of permissions.
    """
    if not isinstance(error, PermissionError) or not _mode(path):
        return f"{str(path)!r} cannot be read ({error.strerror}); give {wanted}"
    status, user = path.stat(), os.geteuid()
    return (
        f"{str(path)!r} cannot be read by user {user}: it belongs to user {status.st_uid} and group {status.st_gid}, "
        f"and its mode is {stat.S_IMODE(status.st_mode):04o}; chown it to user {user}, or chgrp it to a group of that "
        "user and chmod 440 it"
    )


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0  # reading the file has failed as well, which is reported elsewhere
