"""When alerts would have fired: a real Prometheus on a history that was told to it afterwards."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests
from planted import MINUTE, OUTAGE, SINCE, UNTIL, Episode

from exporter.cli.backfill import FAMILIES, Backfill
from exporter.domain.frequency import DAY

sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))

from monitoring import find_tool, prometheus_command, started
from ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from planted import Key

    from exporter.cli.backfill import BackfillInput

EVALUATION = 60
"""Seconds between two evaluations."""
LABELS = ("source", "export", "partner", "data_type", "frequency")


class History:
    """A real Prometheus on the history of a ledger.

    Args:
        folder: for the history, its blocks and its log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.url = f"http://127.0.0.1:{free_port()}"

    def load(self, knowledge: BackfillInput, names: set[str]) -> int:
        """Tell the metrics of these names, and whether the exporter was up, and make blocks of it."""
        told = Backfill(knowledge, SINCE, UNTIL, 300)
        for _ in told.fold():
            pass
        path = self._folder / "history.om"
        with path.open("w") as file:
            for family in FAMILIES:
                if family.sample_name in names or family.name in names:
                    file.writelines(told.text(family))
            file.write("# TYPE up gauge\n")
            for second in range(int(SINCE), int(UNTIL), MINUTE):
                file.write(f"up {int(not OUTAGE[0] < second < OUTAGE[1])} {second}\n")
            file.write("# EOF\n")
        # As few blocks as possible, since the whole file is read again for each of them.
        command: list[str | Path] = [
            find_tool("promtool") or "promtool",
            "tsdb",
            "create-blocks-from",
            "--max-block-duration=1000h",
        ]
        command += ["openmetrics", "--label=job=dataexport", "--label=instance=one", path, self._folder / "data"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        path.unlink()
        return told.samples

    def episodes(self, alert: str, expression: str, wait: float = 0) -> list[Episode]:
        """When an alert with this expression would have fired."""
        points: dict[Key, list[float]] = defaultdict(list)
        for begins in range(int(SINCE), int(UNTIL), 7 * DAY):
            ends = min(begins + 7 * DAY - EVALUATION, UNTIL)
            answer = requests.post(
                f"{self.url}/api/v1/query_range",
                {"query": expression, "start": str(begins), "end": str(ends), "step": str(EVALUATION)},
                timeout=600,
            )
            assert answer.ok, f"{alert}: {answer.text}"
            for each in answer.json()["data"]["result"]:
                labels = [each["metric"].get(name, "") for name in LABELS]
                key: Key = (labels[0], labels[1], labels[2], labels[3], labels[4])
                points[key] += [float(second) for second, _ in each["values"]]
        found = []
        for key, seconds in points.items():
            start = last = seconds[0]
            for second in [*seconds[1:], float("inf")]:
                # While the exporter is down, its own alert stands for those of the exports.
                away = OUTAGE[0] < last < OUTAGE[1] + EVALUATION and second < OUTAGE[1] + 10 * MINUTE
                if second - last > EVALUATION and not away:
                    if last - start >= wait:
                        found.append(Episode(alert, key, start + wait, last))
                    start = second
                last = second
        return sorted(found, key=lambda each: (each.begins, each.key))

    @contextmanager
    def served(self) -> Iterator[None]:
        """Prometheus runs on it."""
        config_path = self._folder / "prometheus.yaml"
        config_path.write_text("{}", "utf-8")
        command = [*prometheus_command(config_path, self._folder / "data", self.url), "--query.timeout=10m"]
        with started("prometheus", command, self._folder, self.url):
            yield


def names_in(expression: str) -> set[str]:
    """The metrics of ours that an expression names, without the suffixes of histograms."""
    return set(re.findall(r"dataexport[:_][a-z0-9_]+", expression))
