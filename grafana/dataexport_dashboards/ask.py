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
STEPS = (
    *((3.5, 2), (7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300), (750, 600)),
    *((1050, 900), (1500, 1200), (2700, 1800), (5400, 3600), (9000, 7200), (16200, 10800), (32400, 21600)),
    *((86400, 43200), (604800, 86400)),
)
"""What Grafana rounds a step to that is below each limit, in seconds."""
WEEK = 604800
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
        """As written in the file."""
        return str(self.spec["expr"])

    @property
    def instant(self) -> bool:
        """Whether only the end of the shown time is asked for."""
        return bool(self.spec.get("instant"))

    def step(self, variables: Mapping[str, str]) -> int:
        """The step that Grafana would choose, in seconds."""
        wanted = self.seconds / self.panel.get("maxDataPoints", POINTS)
        return max(self.least_step(variables), next((step for limit, step in STEPS if wanted < limit), WEEK))

    def least_step(self, variables: Mapping[str, str]) -> int:
        """The least step of the panel or of the query, in seconds."""
        given = fill(self.spec["interval"], variables) if "interval" in self.spec else self.panel.get("interval")
        return span(given) if given else SCRAPE_SECONDS

    def filled(self, variables: Mapping[str, str]) -> str:
        """The expression with every variable in its place."""
        step, least = self.step(variables), self.least_step(variables)
        built_in = {
            "__interval": f"{step}s",
            "__interval_ms": str(1000 * step),
            "__rate_interval": f"{max(step + least, 4 * least)}s",
        }
        return fill(self.expression, of_range(self.seconds) | built_in | dict(variables))


@dataclass
class HttpResponse:
    """What Prometheus said.

    Attributes:
        kind: ``vector``, ``matrix`` or ``scalar``.
        series: as Prometheus lists them.
    """

    kind: str
    series: list[dict[str, Any]] = field(default_factory=list)

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


def of_range(seconds: int) -> dict[str, str]:
    """Grafana's own variables for the length of the shown time."""
    return {"__range": f"{seconds}s", "__range_s": str(seconds)}


def boards(folder: Path = FOLDER / "dashboards") -> list[dict[str, Any]]:
    """The committed dashboards."""
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]


def panels(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its panels, without the rows, and with those of collapsed rows."""
    every = (panel for each in board["panels"] for panel in (each, *each.get("panels", ())))
    return [panel for panel in every if panel["type"] != "row"]


def targets(board: Mapping[str, Any], seconds: int | None = None) -> Iterator[Target]:
    """Every query of a dashboard, over its own time range unless another is given."""
    for panel in panels(board):
        for spec in panel["targets"]:
            yield Target(board["uid"], panel, spec, seconds or span(board["time"]["from"]))


def choices(
    prometheus_url: str, board: Mapping[str, Any], chosen: Mapping[str, str], seconds: int | None = None
) -> dict[str, str]:
    """A value for each variable of a dashboard: the chosen one, else All, else the first that there is."""
    made: dict[str, str] = {}
    for each in board["templating"]["list"]:
        name = each["name"]
        if name in chosen:
            made[name] = chosen[name]
        elif each.get("includeAll"):
            made[name] = ALL
        elif each["type"] == "query":
            options = results(prometheus_url, each, made, seconds or span(board["time"]["from"]))
            made[name] = options[0] if options else ""
        else:
            made[name] = str(each["query"])
    return made


def results(prometheus_url: str, variable: Mapping[str, Any], chosen: Mapping[str, str], seconds: int) -> list[str]:
    """What a variable over the result of a query offers, in its order.

    Args:
        prometheus_url: the Prometheus to ask.
        variable: as JSON.
        chosen: the values of the variables before it.
        seconds: the length of the shown time.
    """
    [inner] = re.findall(r"query_result\((.*)\)", variable["query"]["query"], re.DOTALL)
    query = {"query": fill(inner, of_range(seconds) | dict(chosen))}
    answer = requests.post(f"{prometheus_url}/api/v1/query", query, timeout=PATIENCE_SECONDS).json()
    lines = []
    for each in answer["data"]["result"]:
        labels = ",".join(f'{name}="{value}"' for name, value in each["metric"].items())
        lines.append(f"{{{labels}}} {each['value'][1]} {1000 * each['value'][0]:.0f}")
    found = [re.search(variable["regex"].strip("/"), line) for line in lines]
    return list(dict.fromkeys(match[1] for match in found if match))


def ask(prometheus_url: str, target: Target, variables: Mapping[str, str], end: float | None = None) -> HttpResponse:
    """Ask what Grafana would ask for a query, at ``end``, which is now where it is not given."""
    end = time.time() if end is None else end
    query: dict[str, str | float] = {"query": target.filled(variables)}
    if target.instant:
        path = "query"
        query["time"] = end
    else:
        path = "query_range"
        step = target.step(variables)
        last = end - end % step
        query |= {"start": last - target.seconds, "end": last, "step": step}
    answer = requests.post(f"{prometheus_url}/api/v1/{path}", query, timeout=PATIENCE_SECONDS)
    body = answer.json()
    if body["status"] != "success":
        message = f"{target.name}: {body['error']}\n{query['query']}"
        raise ValueError(message)
    data = body["data"]
    return HttpResponse(data["resultType"], data["result"])
