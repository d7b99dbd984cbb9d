"""How long every query of every panel takes, the slowest first."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from dataexport_dashboards import ask
from dataexport_dashboards.stand import Stand

LIMIT_SECONDS = 1.0
TIMES = 3
ONE = {"source": "shop", "export": "warehouse"}


def main() -> None:
    """Ask each query several times and print the best, as a quiet machine would do it."""
    exports, days = (int(each) for each in [*sys.argv[1:], *("40", "30")[len(sys.argv) - 1 :]])
    with tempfile.TemporaryDirectory() as folder, Stand(Path(folder), exports, days) as stand:
        found = []
        for board in ask.boards():
            variables = ask.choices(stand.prometheus_url, board, ONE if board["uid"] == "dataexport-export" else {})
            for target in ask.targets(board):
                answers = [ask.ask(stand.prometheus_url, target, variables) for _ in range(TIMES)]
                found.append((min(answer.took for answer in answers), target, len(answers[0].series)))
    for took, target, count in sorted(found, key=lambda each: -each[0]):
        slow = "  SLOW" if took > LIMIT_SECONDS else ""
        print(f"{took * 1000:8.1f} ms  {count:4} series  {target.name}{slow}")
    print(f"{exports} made-up exports, {days} days; {sum(each[0] for each in found):.2f} s for all of them")


if __name__ == "__main__":
    main()
