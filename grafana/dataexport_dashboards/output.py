"""The dashboards as JSON: for provisioning, and for publishing."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dataexport_dashboards import alerting, export_detail, health, overview
from dataexport_dashboards.ask import panels
from dataexport_dashboards.board import EXPORTER_URL
from dataexport_dashboards.links import SAME_SOURCE
from dataexport_dashboards.panels import DATASOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUT, EXPORTER_INPUT = "DS_PROMETHEUS", "VAR_EXPORTER_URL"
GRAFANA = "11.0.0"
"""The oldest Grafana that the dashboards are meant for."""


def dashboards() -> list[dict[str, Any]]:
    """Every dashboard as plain JSON values."""
    return [
        _without_defaults(json.loads(json.dumps(module.build(), cls=JSONEncoder)))
        for module in (overview, export_detail, health)
    ]


def _without_defaults(board: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the library adds although Grafana's own types do not know it, or it does harm."""
    for variable in board["templating"]["list"]:
        for name in ("auto", "auto_min", "auto_count"):
            variable.pop(name, None)
        if variable["type"] == "constant":
            variable["hide"] = 2  # which the library cannot set: nobody chooses it
    for link in board["links"]:
        link.pop("placement")  # it would hide the links in a menu
    for panel in panels(board):
        # Without a number of rows a page, there is no pager.
        for name in ("footer", "perPage"):
            panel.get("options", {}).pop(name, None)
        defaults = panel.get("fieldConfig", {}).get("defaults", {})
        if "links" in defaults:
            defaults["links"] = [
                {name: each[name] for name in ("title", "url", "targetBlank")} for each in defaults["links"]
            ]
    return board


def published(board: dict[str, Any]) -> dict[str, Any]:
    """The form that Grafana's own export has: the import page asks for the data source and the exporter's address."""
    text = re.sub(rf"[?&]{re.escape(SAME_SOURCE)}", "", json.dumps(board)).replace(DATASOURCE, f"${{{INPUT}}}")
    made: dict[str, Any] = json.loads(text)
    variables = made["templating"]["list"]
    made["templating"]["list"] = [
        each | {"query": f"${{{EXPORTER_INPUT}}}"} if each["type"] == "constant" else each
        for each in variables
        if each["type"] != "datasource"
    ]
    kinds = sorted({panel["type"] for panel in panels(board)})
    return {
        "__inputs": [
            {
                "name": INPUT,
                "label": "Prometheus",
                "description": "The Prometheus that scrapes the exporter.",
                "type": "datasource",
                "pluginId": "prometheus",
                "pluginName": "Prometheus",
            },
            {
                "name": EXPORTER_INPUT,
                "label": "Exporter",
                "description": "The address of the exporter's status page, without a slash at its end.",
                "type": "constant",
                "value": EXPORTER_URL,
            },
        ],
        "__requires": [
            {"type": "grafana", "id": "grafana", "name": "Grafana", "version": GRAFANA},
            {"type": "datasource", "id": "prometheus", "name": "Prometheus", "version": "1.0.0"},
            *({"type": "panel", "id": kind, "name": kind, "version": ""} for kind in kinds),
        ],
        **made,
    }


def files() -> Iterator[tuple[str, str]]:
    """Every file, as its path under ``grafana/`` and its text."""
    for board in dashboards():
        yield f"dashboards/{board['uid']}.json", _text(board)
        yield f"publish/{board['uid']}.json", _text(published(board))
    yield "provisioning/alerting/dataexport.yaml", alerting.text()


def _text(board: dict[str, Any]) -> str:
    return json.dumps(board, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
