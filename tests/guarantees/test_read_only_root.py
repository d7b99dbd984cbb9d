"""A real exporter on a root file system that is read-only, such as of `docker run --read-only`."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from builders import fields, vendor_clock
from running import Exporter

if TYPE_CHECKING:
    from pathlib import Path

READ_ONLY = """
set -e
mount --make-rprivate /
mount --bind "$0" "$0"
for point in $(awk '{ print $2 }' /proc/self/mounts); do
    case $point in
        "$0" | /proc | /proc/* | /sys | /sys/*) ;;
        *) mount -o remount,bind,ro "$point" 2>/dev/null || true ;;
    esac
done
cd /
unset COVERAGE_PROCESS_CONFIG  # its data could not be written
for folder in / /tmp /var/tmp /dev/shm; do
    if [ -d $folder ] && (: > $folder/.probe) 2>/dev/null; then echo "$folder can be written to" >&2; exit 9; fi
done
exec "$@"
"""
"""Leaves only the folder ``$0`` writable, in a mount namespace of its own, and runs the rest in ``/``."""


def without(folder: Path) -> list[str]:
    """Return the prefix of a command that can write only to a folder; skips the test where that is not permitted."""
    prefix = ["unshare", "--mount", "sh", "-c", READ_ONLY, str(folder)]
    try:
        tried = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if tried.returncode:
        pytest.skip(f"no read-only root can be made here: {tried.stderr.strip()}")
    return prefix


def test_the_folder_of_the_store_is_the_only_one_that_has_to_be_writable(tmp_path: Path) -> None:
    environment = {"DATAEXPORT_STORE_URL": f"sqlite:///{tmp_path}/dataexport.db"}
    with Exporter(tmp_path, environment=environment, before=without(tmp_path)) as exporter:
        assert exporter.post(fields("Completed", vendor_clock(1_790_000_000))).json()["accepted"] == 1
        assert 'dataexport_webhook_events_total{source="default",status="completed"} 1.0' in exporter.scrape()
    assert "Traceback" not in exporter.log()
