"""Finds when alerts would have fired, with a real Prometheus on a backfilled history."""

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
"""Seconds between two evaluations of an alert."""
BUILD_INFO = "dataexport_build_info"
"""The metric by which the alerts find the exporter among the targets."""
LABELS = ("source", "export", "partner", "data_type", "frequency")


class History:
    """A real Prometheus with the backfilled history of a ledger.

    Args:
        folder: where to write the history, its blocks and the log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self.url = f"http://127.0.0.1:{free_port()}"

    def load(self, backfill_input: BackfillInput, names: set[str]) -> int:
        """Backfill the metrics of these names, ``up`` and `BUILD_INFO` into blocks; return the number of samples."""
        backfill = Backfill(backfill_input, SINCE, UNTIL, 300)
        for _ in backfill.fold():
            pass
        path = self._folder / "history.om"
        with path.open("w") as file:
            for family in FAMILIES:
                if family.sample_name in names or family.name in names:
                    file.writelines(backfill.text(family))
            file.write("# TYPE up gauge\n")
            for second in range(int(SINCE), int(UNTIL), MINUTE):
                file.write(f"up {int(not OUTAGE[0] < second < OUTAGE[1])} {second}\n")
            file.write(f"# TYPE {BUILD_INFO} gauge\n")
            for second in range(int(SINCE), int(UNTIL), MINUTE):
                if not OUTAGE[0] < second < OUTAGE[1]:
                    file.write(f"{BUILD_INFO} 1 {second}\n")
            file.write("# EOF\n")
        # As few blocks as possible, since promtool reads the whole file again for each of them.
        command: list[str | Path] = [
            find_tool("promtool") or "promtool",
            "tsdb",
            "create-blocks-from",
            "--max-block-duration=1000h",
        ]
        command += ["openmetrics", "--label=job=dataexport", "--label=instance=one", path, self._folder / "data"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        path.unlink()
        return backfill.samples

    def episodes(self, alert: str, expression: str, wait: float = 0, severity: str = "") -> list[Episode]:
        """Return when an alert would have fired.

        Args:
            alert: its name.
            expression: its expression.
            wait: its ``for``, in seconds.
            severity: the label that the rule sets; without one, that of the series.
        """
        points: dict[tuple[Key, str], list[float]] = defaultdict(list)
        for begins in range(int(SINCE), int(UNTIL), 7 * DAY):
            ends = min(begins + 7 * DAY - EVALUATION, UNTIL)
            response = requests.post(
                f"{self.url}/api/v1/query_range",
                {"query": expression, "start": str(begins), "end": str(ends), "step": str(EVALUATION)},
                timeout=600,
            )
            assert response.ok, f"{alert}: {response.text}"
            for series in response.json()["data"]["result"]:
                labels = [series["metric"].get(name, "") for name in LABELS]
                key: Key = (labels[0], labels[1], labels[2], labels[3], labels[4])
                points[key, severity or series["metric"].get("severity", "")] += [
                    float(second) for second, _ in series["values"]
                ]
        episodes = []
        for (key, fired_as), seconds in points.items():
            start = last = seconds[0]
            for second in [*seconds[1:], float("inf")]:
                # While the exporter is down, its own alert replaces those of the exports.
                is_outage = OUTAGE[0] < last < OUTAGE[1] + EVALUATION and second < OUTAGE[1] + 10 * MINUTE
                if second - last > EVALUATION and not is_outage:
                    if last - start >= wait:
                        episodes.append(Episode(alert, fired_as, key, start + wait, last))
                    start = second
                last = second
        return sorted(episodes, key=lambda episode: (episode.begins, episode.key))

    @contextmanager
    def served(self) -> Iterator[None]:
        """Run Prometheus on the history."""
        config_path = self._folder / "prometheus.yaml"
        config_path.write_text("{}", "utf-8")
        command = [*prometheus_command(config_path, self._folder / "data", self.url), "--query.timeout=10m"]
        with started("prometheus", command, self._folder, self.url):
            yield


def names_in(expression: str) -> set[str]:
    """Return the names of the exporter's metrics in an expression."""
    return set(re.findall(r"dataexport[:_][a-z0-9_]+", expression))
