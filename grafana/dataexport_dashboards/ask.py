"""What Grafana asks a Prometheus for a panel: the variables filled in, the step worked out, the answer.

For the tests, the timing and the preview; Grafana itself needs none of it.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = Path(__file__).parent.parent
SCRAPE_SECONDS = 15
POINTS = 800
"""How many points fit on a panel about as wide as half a screen."""
NICE_STEPS = (15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
ALL = ".*"
PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Target:
    """One query of a panel.

    Attributes:
        board: the uid of its dashboard.
        panel: the panel as JSON.
        spec: the query as JSON.
        seconds: how much time the dashboard shows at first.
    """

    board: str
    panel: dict[str, Any]
    spec: dict[str, Any]
    seconds: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.board}: {self.panel['title']}: {self.spec['refId']}"

    @property
    def expression(self) -> str:
        """As it stands in the file."""
        return str(self.spec["expr"])

    @property
    def instant(self) -> bool:
        """Whether only the end of the shown time is asked for."""
        return bool(self.spec.get("instant"))

    @property
    def step(self) -> int:
        """The step that Grafana would choose, in seconds."""
        least = span(self.panel["interval"]) if "interval" in self.panel else SCRAPE_SECONDS
        wanted = self.seconds / POINTS
        return max(least, next((step for step in NICE_STEPS if step >= wanted), NICE_STEPS[-1]))

    def filled(self, variables: Mapping[str, str]) -> str:
        """The expression with every variable in its place."""
        built_in = {
            "__interval": f"{self.step}s",
            "__rate_interval": f"{max(self.step + SCRAPE_SECONDS, 4 * SCRAPE_SECONDS)}s",
            "__range": f"{self.seconds}s",
        }
        return fill(self.expression, built_in | dict(variables))


@dataclass
class HttpResponse:
    """What Prometheus said.

    Attributes:
        kind: ``vector``, ``matrix`` or ``scalar``.
        series: as Prometheus lists them.
        took: seconds.
    """

    kind: str
    series: list[dict[str, Any]] = field(default_factory=list)
    took: float = 0

    @property
    def labels(self) -> set[str]:
        """Every label of any series."""
        return {label for each in self.series for label in each["metric"]}


def span(text: str) -> int:
    """Seconds of a text such as ``now-30d``, ``30d`` or ``5m``."""
    match = re.fullmatch(r"(?:now-)?(\d+)([smhd])", text)
    if match is None:
        message = f"not a span of time: {text}"
        raise ValueError(message)
    return int(match[1]) * UNITS[match[2]]


def fill(text: str, variables: Mapping[str, str]) -> str:
    """``$name`` and ``${name}`` replaced; a variable that is not given is an error."""
    return re.sub(r"\$(?:(\w+)|\{(\w+)\})", lambda match: variables[match[1] or match[2]], text)


def boards(folder: Path = FOLDER / "dashboards") -> list[dict[str, Any]]:
    """The committed dashboards."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its panels, without the rows."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def targets(board: Mapping[str, Any]) -> Iterator[Target]:
    """Every query of a dashboard."""
    for panel in panels(board):
        for spec in panel["targets"]:
            yield Target(board["uid"], panel, spec, span(board["time"]["from"]))


def choices(board: Mapping[str, Any], chosen: Mapping[str, str]) -> dict[str, str]:
    """A value for each variable of a dashboard: the chosen one, else All, else its default."""
    made = {}
    for each in board["templating"]["list"]:
        default = ALL if each.get("includeAll") else str(each.get("query", ""))
        made[each["name"]] = chosen.get(each["name"], default)
    return made


def ask(prometheus_url: str, target: Target, variables: Mapping[str, str], end: float | None = None) -> HttpResponse:
    """Ask what Grafana would ask for a query, at ``end``, which is now where it is not given."""
    end = time.time() if end is None else end
    query: dict[str, str | float] = {"query": target.filled(variables)}
    if target.instant:
        path = "query"
        query["time"] = end
    else:
        path = "query_range"
        step = target.step
        last = end - end % step
        query |= {"start": last - target.seconds, "end": last, "step": step}
    began = time.perf_counter()
    answer = requests.post(f"{prometheus_url}/api/v1/{path}", query, timeout=PATIENCE_SECONDS)
    took = time.perf_counter() - began
    body = answer.json()
    if body["status"] != "success":
        message = f"{target.name}: {body['error']}\n{query['query']}"
        raise ValueError(message)
    data = body["data"]
    return HttpResponse(data["resultType"], data["result"], took)
