"""Ways to break the store under a running exporter, and to mend it again."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitoring import ROOT
from running import family, wait_until
from tools import compiler, tracer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from running import Exporter

LETTING_GO_SECONDS = 5
HOLD = """
import fcntl, sqlite3, sys
database, flock = sys.argv[1:]
if flock == "flock":
    held = open(database + ".lock", "ab")
    fcntl.flock(held, fcntl.LOCK_EX)
else:
    held = sqlite3.connect(database, isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def injected(exporter: Exporter, calls: str, what: str) -> Iterator[Path]:
    """Have system calls of a running exporter fail or wait, as strace's ``inject`` says; its trace.

    Every thread counts its own calls where ``what`` holds ``when=``.
    """
    trace, said = exporter.folder / "injected", exporter.folder / "strace.log"
    processes = family(exporter.pid)
    threads = [task / "status" for pid in processes for task in Path(f"/proc/{pid}/task").iterdir()]
    attach = [word for pid in processes for word in ("-p", str(pid))]
    command = [tracer(), "-f", "-o", str(trace), "-e", f"trace={calls}", "-e", f"inject={calls}:{what}", *attach]
    with said.open("wb") as log, subprocess.Popen(command, stderr=log) as strace:
        try:
            wait_until(lambda: said.read_bytes().count(b" attached") >= len(processes), "strace to be there")
            wait_until(lambda: all(_traced(thread) for thread in threads), "every thread to be traced")
            yield trace
        finally:
            strace.terminate()  # it lets go of everything
            try:
                strace.wait(LETTING_GO_SECONDS)
            except subprocess.TimeoutExpired:
                strace.kill()  # it waits for good for what was killed while it was held up


def _traced(status: Path) -> bool:
    try:
        return "TracerPid:\t0\n" not in status.read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has ended


@contextmanager
def held_by_another_process(database: Path, lock: str) -> Iterator[None]:
    """Another process has the lock of all writers (``flock``), or a transaction in SQLite."""
    command = [sys.executable, "-c", HOLD, str(database), lock]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


def hanging_syncs(folder: Path) -> tuple[dict[str, str], Path]:
    """Environment variables with which no sync of a program returns while a file is there; and that file."""
    library, switch = folder / "slow_sync.so", folder / "syncs-hang"
    source = ROOT / "benchmarks" / "slow_sync.c"
    subprocess.run([compiler(), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "HANG_SYNC_WHILE": str(switch)}, switch


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own, as small as wanted; only root can have one."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root; injected errors stand for it")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
