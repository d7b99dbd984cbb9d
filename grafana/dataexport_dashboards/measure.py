"""How much processor time of Prometheus every query of every panel and of the variables takes, the slowest first."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from dataexport_dashboards import ask
from dataexport_dashboards.links import EXPORT_UID
from dataexport_dashboards.stand import Stand

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULTS = ("40", "30", "1")
LIMIT_SECONDS = 1.0
TIMES = 3
DAY_SECONDS = 86400
ONE = {"source": "shop", "export": "warehouse"}


def main() -> None:
    """Ask each query several times and print the least, which does not depend on what else the machine does."""
    exports, days, minutes = (int(each) for each in [*sys.argv[1:], *DEFAULTS[len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as folder, Stand(Path(folder), exports, days, step=60 * minutes) as stand:
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
        began = _processor_seconds(prometheus_url)
        variables = ask.choices(prometheus_url, board, ONE if detail else {}, seconds)
        yield _processor_seconds(prometheus_url) - began, f"{board['uid']}: its variables", len(variables)
        for target in ask.targets(board, seconds):
            took = []
            for _ in range(TIMES):
                began = _processor_seconds(prometheus_url)
                answer = ask.ask(prometheus_url, target, variables)
                took.append(_processor_seconds(prometheus_url) - began)
            yield min(took), target.name, len(answer.series)


def _processor_seconds(prometheus_url: str) -> float:
    text = requests.get(f"{prometheus_url}/metrics", timeout=ask.PATIENCE_SECONDS).text
    return float(re.findall(r"^process_cpu_seconds_total (\S+)$", text, re.MULTILINE)[0])


if __name__ == "__main__":
    main()
