"""Generates Prometheus rules that fire if a declared export has no series. Pure.

The rules in ``alerts/`` evaluate series that exist. These name each declared export, so they
notice that one is absent: its declaration was removed or renamed, or the job scrapes another exporter.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.exports import Declaration

RUNBOOK = "https://github.com/dataexport/dataexport-exporter/blob/main/docs/runbooks/ExportDeclaredAbsent.md"
DASHBOARD = "https://grafana.example/d/dataexport-overview?var-source={{ $labels.source }}"

_HEAD = """\
# Made by `dataexport-exporter rules`: make it again when the declared exports change.
groups:
  - name: dataexport-declared
    rules:"""
_RULE = """\
      - alert: ExportDeclaredAbsent
        expr: {expr}
        for: 2m
        labels: {labels}
        annotations:
          summary: A declared export has no series.
          description: {description}
          runbook_url: {runbook}
          dashboard_url: {dashboard}"""


def declared_rules(exports: Iterable[Declaration], job: str) -> str:
    """Return a rule file in YAML with one alert for each declared export.

    Args:
        exports: the declared exports.
        job: the scrape job of the exporter in Prometheus.
    """
    rules = [_rule(export, job) for export in exports]
    return "\n".join([_HEAD + ("" if rules else " []"), *rules]) + "\n"


def _rule(export: Declaration, job: str) -> str:
    series_labels = {"job": job, "source": export.match.source, "export": export.name}
    matchers = ",".join(f"{name}={_quoted(value)}" for name, value in series_labels.items())
    labels = {"severity": "warning"}
    # Templates see the labels of the series, not those that the rule adds: owner and runbook are written out.
    description = (
        "Prometheus has had no series of export {{ $labels.export }} of {{ $labels.source }} "
        "for 15 minutes or more, although it was declared. It is not monitored."
    )
    if export.owner:
        labels["owner"] = _untemplated(export.owner)
        description += f" Owner: {labels['owner']}."
    if export.runbook_url:
        labels["runbook_url"] = _untemplated(export.runbook_url)
        description += f" Its own runbook: {labels['runbook_url']}"
    return _RULE.format(
        expr=_quoted(f"absent_over_time(dataexport_export_info{{{matchers}}}[15m])"),
        labels=json.dumps(labels, ensure_ascii=False),
        description=_quoted(description),
        runbook=RUNBOOK,
        dashboard=DASHBOARD,
    )


def _quoted(text: str) -> str:
    """Quote ``text`` as in JSON, which PromQL, YAML and Go templates all accept."""
    return json.dumps(text, ensure_ascii=False)


def _untemplated(text: str) -> str:
    """Escape ``text`` so that Prometheus, which expands templates in labels, shows it literally."""
    return f"{{{{ {_quoted(text)} }}}}" if "{{" in text else text
