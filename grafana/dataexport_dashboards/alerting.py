"""The Prometheus alerts for Grafana's own alerting, for where Prometheus loads no rules.

Grafana cannot count on recording rules, so each one is put in where an alert names it. What was
recorded once per evaluation becomes a subquery, which works the same values out again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parent.parent.parent / "alerts" / "dataexport.rules.yaml"
DATASOURCE_UID = "dataexport-prometheus"
FOLDER = "Data exports"
INTERVAL = "1m"
LOOKBACK_SECONDS = 600
STEPS = {"15m": "1m", "1d": "5m"}
"""How fine each recorded range is worked out again: as often as it would have been recorded."""
HEADER = """\
# Generated from alerts/dataexport.rules.yaml by grafana/generate; do not edit.
# Load either this or the Prometheus rules, not both: each alert would come twice.
"""


def groups() -> list[dict[str, Any]]:
    """The groups of the Prometheus rule file."""
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return found


def inlined_groups() -> list[dict[str, Any]]:
    """The same groups with alerts only, none of which names a recording rule."""
    given = groups()
    recorded = {rule["record"]: rule["expr"] for group in given for rule in group["rules"] if "record" in rule}
    made = []
    for group in given:
        alerts = [rule | {"expr": _inlined(rule["expr"], recorded)} for rule in group["rules"] if "alert" in rule]
        made.append({"name": group["name"], "rules": alerts})
    return made


def text() -> str:
    """The provisioning file."""
    made = [
        {
            "orgId": 1,
            "name": group["name"],
            "folder": FOLDER,
            "interval": INTERVAL,
            "rules": [_rule(rule) for rule in group["rules"]],
        }
        for group in inlined_groups()
    ]
    body = yaml.dump({"apiVersion": 1, "groups": made}, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
    return HEADER + body


def uid(alert: str) -> str:
    """``dataexport-run-stuck`` for ``ExportRunStuck``."""
    return "dataexport" + re.sub("[A-Z]", lambda match: f"-{match[0].lower()}", alert.removeprefix("Export"))


def _inlined(expression: str, recorded: dict[str, str]) -> str:
    """``expression`` without recording rules; those that they name themselves are put in as well."""

    def put_in(match: re.Match[str]) -> str:
        name, span = match.groups()
        inner = f"({_inlined(recorded[name], recorded).strip()})"
        return f"{inner}[{span}:{STEPS[span]}]" if span else inner

    return re.sub(r"\b(dataexport:\w+)(?:\[(\w+)\])?", put_in, expression)


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    name = rule["alert"]
    return {
        "uid": uid(name),
        "title": name,
        "condition": "B",
        "for": rule.get("for", "0s"),
        # A Prometheus alert is over when its expression returns nothing.
        "noDataState": "OK",
        "execErrState": "Error",
        "labels": rule.get("labels", {}),
        "annotations": {key: _annotation(value) for key, value in rule["annotations"].items()},
        "data": [
            _query(
                "A",
                DATASOURCE_UID,
                {
                    "datasource": {"type": "prometheus", "uid": DATASOURCE_UID},
                    "editorMode": "code",
                    "expr": rule["expr"].strip(),
                    "instant": True,
                    "range": False,
                },
            ),
            # Whatever the value is, 0 included: in Prometheus, that there is one is the alert.
            _query(
                "B",
                "__expr__",
                {"datasource": {"type": "__expr__", "uid": "__expr__"}, "type": "math", "expression": "is_number($A)"},
            ),
        ],
    }


def _query(ref: str, datasource: str, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": ref,
        "relativeTimeRange": {"from": LOOKBACK_SECONDS, "to": 0},
        "datasourceUid": datasource,
        "model": model | {"refId": ref},
    }


def _annotation(given: str) -> str:
    """The text for Grafana, which fills it in while nothing fires as well, when there is no value."""
    given = re.sub(r"\{\{ \$value((?: \|[^}]*)?) \}\}", r"{{ with $values.A }}{{ .Value\1 }}{{ end }}", given)
    # Grafana's labels may be missing where Prometheus's are empty.
    return re.sub(r'\{\{ or (\$labels\.\w+) ("[^"]*") \}\}', r"{{ with \1 }}{{ . }}{{ else }}{{ \2 }}{{ end }}", given)


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, and repeats what is the same."""

    def ignore_aliases(self, _data: object) -> bool:
        return True


def _block(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)


_Dumper.add_representer(str, _block)
