"""How long every query of every panel and of the variables takes over a day and over a month, the slowest first."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dataexport_dashboards import ask
from dataexport_dashboards.links import EXPORT_UID
from dataexport_dashboards.stand import Stand

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT_SECONDS = 1.0
TIMES = 3
DAY_SECONDS = 86400
ONE = {"source": "shop", "export": "warehouse"}


def main() -> None:
    """Ask each query several times and print the best, as a quiet machine would do it."""
    exports, days = (int(each) for each in [*sys.argv[1:], *("40", "30")[len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as folder, Stand(Path(folder), exports, days) as stand:
        for seconds in (DAY_SECONDS, days * DAY_SECONDS):
            found = sorted(_times(stand.prometheus_url, seconds), reverse=True)
            for took, name, series in found:
                slow = "  SLOW" if took > LIMIT_SECONDS else ""
                print(f"{took * 1000:8.1f} ms  {series:4} series  {name}{slow}")
            took_all = sum(each[0] for each in found)
            print(f"{exports} made-up exports, {seconds // DAY_SECONDS} days shown: {took_all:.2f} s for all of them\n")


def _times(prometheus_url: str, seconds: int) -> Iterator[tuple[float, str, int]]:
    for board in ask.boards():
        detail = board["uid"] == EXPORT_UID
        began = time.perf_counter()
        variables = ask.choices(prometheus_url, board, ONE if detail else {}, seconds)
        yield time.perf_counter() - began, f"{board['uid']}: its variables", len(variables)
        for target in ask.targets(board, seconds):
            answers = [ask.ask(prometheus_url, target, variables) for _ in range(TIMES)]
            yield min(answer.took for answer in answers), target.name, len(answers[0].series)


if __name__ == "__main__":
    main()
