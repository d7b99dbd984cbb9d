"""Ways to break the store under a running exporter, and to repair it again."""

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

DETACH_SECONDS = 5
LOCK_PROGRAM = """
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
def injected(exporter: Exporter, calls: str, fault: str) -> Iterator[Path]:
    """Make system calls of a running exporter fail or wait; yields the path of strace's trace.

    Args:
        exporter: the running exporter.
        calls: the names of the system calls, separated by commas.
        fault: what strace's option ``inject`` does to them. With ``when=`` in it, every thread counts its own calls.
    """
    trace, log_path = exporter.folder / "injected", exporter.folder / "strace.log"
    processes = family(exporter.pid)
    threads = [task / "status" for pid in processes for task in Path(f"/proc/{pid}/task").iterdir()]
    attach = [word for pid in processes for word in ("-p", str(pid))]
    command = [tracer(), "-f", "-o", str(trace), "-e", f"trace={calls}", "-e", f"inject={calls}:{fault}", *attach]
    with log_path.open("wb") as log, subprocess.Popen(command, stderr=log) as strace:
        try:
            wait_until(lambda: log_path.read_bytes().count(b" attached") >= len(processes), "strace to attach")
            wait_until(lambda: all(_traced(thread) for thread in threads), "every thread to be traced")
            yield trace
        finally:
            strace.terminate()  # which detaches it from all threads
            try:
                strace.wait(DETACH_SECONDS)
            except subprocess.TimeoutExpired:
                strace.kill()  # it waits forever for a thread that was killed during an injected delay


def _traced(status: Path) -> bool:
    try:
        return "TracerPid:\t0\n" not in status.read_text("ascii")
    except (FileNotFoundError, ProcessLookupError):
        return True  # the thread has ended


@contextmanager
def held_by_another_process(database: Path, lock: str) -> Iterator[None]:
    """Let another process hold the writers' file lock (``lock`` is ``flock``), or a write transaction in SQLite."""
    command = [sys.executable, "-c", LOCK_PROGRAM, str(database), lock]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
        holder.communicate()


def hanging_syncs(folder: Path) -> tuple[dict[str, str], Path]:
    """Make every sync of a program hang while a file exists.

    Returns:
        The environment variables for the program, and the path of that file.
    """
    library, switch = folder / "slow_sync.so", folder / "syncs-hang"
    source = ROOT / "benchmarks" / "slow_sync.c"
    subprocess.run([compiler(), "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "HANG_SYNC_WHILE": str(switch)}, switch


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of the given size; skips the test for users other than root."""
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root; injected errors replace it")
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "tmpfs", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip(f"no file system can be mounted here: {result.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
