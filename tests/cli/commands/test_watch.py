"""`exports --watch`: redraws the table on a terminal until Ctrl-C, also while the exporter is away."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from commands import Store, error_output, run
from exporter.cli import watching
from exporter.domain.errors import StoreError
from monitoring import clean_environment
from running import COMMAND, PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AWAY = "the store is away"

pytestmark = pytest.mark.usefixtures("in_a_folder")


def read_terminal(terminal: int, is_enough: Callable[[bytes], bool]) -> bytes:
    """Return what a program writes to a terminal until it is enough or it closes the terminal, in limited time."""
    shown = b""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_enough(shown) and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:  # the program has closed it
                break
    return shown


def test_ctrl_c_ends_it_without_a_traceback(store: Store) -> None:
    store.deliver("Completed", 5)
    store.ledger.close()
    terminal, its_end = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "exports", "--watch"],
        env=clean_environment({"TERM": "xterm"}),
        stdin=its_end,
        stdout=its_end,
        stderr=its_end,
    ) as process:
        os.close(its_end)
        shown = read_terminal(terminal, lambda shown: b"Amazon S3" in shown)
        process.send_signal(signal.SIGINT)  # as the terminal does at Ctrl-C
        shown += read_terminal(terminal, lambda _: False)
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        try:
            assert process.wait(PATIENCE_SECONDS) == 0
        finally:
            process.kill()  # if it has not ended, when these lines show whether it ignores the signal
            sys.stdout.write("".join(re.findall(r"Sig\w+:.+\n", status)))
    os.close(terminal)
    assert b"every 3 s, Ctrl-C to end" in shown
    assert b"Traceback" not in shown
    assert b"Aborted" not in shown


def test_it_shows_errors_and_continues_and_leaves_out_what_does_not_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LINES", "6")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)

    def tables() -> Iterator[str]:
        yield "HEAD\none"
        raise StoreError(AWAY)

    answers = tables()
    pauses = iter([None, None])

    def sleep(seconds: float) -> None:
        assert seconds == 3
        if next(pauses, "end") == "end":
            raise KeyboardInterrupt

    def table(_now: float) -> str:
        return next(answers, "\n".join(f"row {number}" for number in range(9)))

    monkeypatch.setattr("time.sleep", sleep)
    watching.watch(table)
    _, first, second, third = capsys.readouterr().out.split("\x1b[H")
    assert [line.removesuffix("\x1b[K") for line in first.splitlines()[1:]] == ["", "HEAD", "one", "\x1b[J"]
    assert "error: the store is away" in second
    assert [line.removesuffix("\x1b[K") for line in third.splitlines()[2:5]] == ["row 0", "row 1", "… and 7 more"]


def test_without_a_terminal_or_with_json_it_is_refused() -> None:
    assert "--watch needs a terminal as standard output" in error_output(run("exports", "--watch"), 2)
    assert "--watch shows a table; leave out --json" in error_output(run("exports", "--watch", "--json"), 2)
