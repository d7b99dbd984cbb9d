"""Adapts the shipped Prometheus rules to an installation, and generates a rule for each declared export. Pure.

The shipped rules evaluate series that exist. The generated ones name each declared export, so they
notice that one is absent: its declaration was removed or renamed, or the job scrapes another exporter.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from exporter.domain.exports import Declaration

JOB = "dataexport"
RUNBOOKS = "https://github.com/dataexport/dataexport-exporter/blob/main/docs/runbooks"
DASHBOARDS = "https://grafana.example"
"""The usual job, and the addresses in the shipped rules."""

_HEAD = """\
# Written by `dataexport-exporter rules`. Write it again after an upgrade, and with --declared after a change of the
# declared exports.
"""
_GROUP = """
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
          runbook_url: {runbooks}/ExportDeclaredAbsent.md
          dashboard_url: {dashboards}/d/dataexport-overview?var-source={{{{ $labels.source }}}}"""


@dataclass(frozen=True, slots=True)
class Installation:
    """What differs between installations.

    Attributes:
        job: the scrape job of the exporter in Prometheus, for the generated rules.
        runbooks: the address of the folder with the runbooks, without a slash at its end.
        dashboards: the address of Grafana, without a slash at its end.
    """

    job: str = JOB
    runbooks: str = RUNBOOKS
    dashboards: str = DASHBOARDS


def adapt_rules(shipped: str, installation: Installation) -> str:
    """Return the shipped rule file with the addresses of an installation; they suit a scrape job of any name."""
    adapted = shipped.replace(f": {RUNBOOKS}/", f": {installation.runbooks}/")
    return _HEAD + adapted.replace(f": {DASHBOARDS}/", f": {installation.dashboards}/")


def declared_rules(exports: Iterable[Declaration], installation: Installation) -> str:
    """Return one alert for each declared export, as a group to append to a rule file."""
    rules = [_rule(export, installation) for export in exports]
    return "\n".join([_GROUP + ("" if rules else " []"), *rules]) + "\n"


def _rule(export: Declaration, installation: Installation) -> str:
    series_labels = {"job": installation.job, "source": export.match.source, "export": export.name}
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
        runbooks=installation.runbooks,
        dashboards=installation.dashboards,
    )


def _quoted(text: str) -> str:
    """Quote ``text`` as in JSON, which PromQL, YAML and Go templates all accept."""
    return json.dumps(text, ensure_ascii=False)


def _untemplated(text: str) -> str:
    """Escape ``text`` so that Prometheus, which expands templates in labels, shows it literally."""
    return f"{{{{ {_quoted(text)} }}}}" if "{{" in text else text
