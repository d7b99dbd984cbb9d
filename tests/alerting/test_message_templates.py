"""Nothing that a sender can choose is markup in a message, whatever the receiver's format is."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from monitoring import ROOT, read_yaml
from tools import tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVIL = "<https://evil.example|Acknowledge here> <!channel> @here [click](https://evil.example) `x` &lt;b&gt;<b>bold</b>"
LINK = "https://grafana.example/d/dataexport-export?var-source=shop&var-export=a%3Cb"


def notification(status: str) -> dict[str, Any]:
    """What Alertmanager hands to a template, with the sender's markup wherever its words can be."""
    labels = dict.fromkeys(("export", "source", "partner", "data_type", "frequency", "status"), EVIL)
    labels |= {"alertname": "ExportOverdue", "severity": "critical"}
    annotations = {"description": f"Export {EVIL} of shop is late.", "summary": EVIL, "dashboard_url": LINK}
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": "2026-01-01T00:00:00Z",
        "endsAt": "2026-01-01T01:00:00Z",
    }
    return {
        "receiver": "page",
        "status": status,
        "alerts": [alert],
        "groupLabels": {"job": "dataexport", "source": EVIL},
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "http://127.0.0.1",
    }


def templates_of_receivers() -> Iterator[tuple[str, str]]:
    """Every field of a shipped receiver that is a template, with its place."""
    receivers = read_yaml(ROOT / "alerts" / "alertmanager.yaml")["receivers"]
    for receiver in receivers:
        for kind, configurations in receiver.items():
            for configuration in configurations if isinstance(configurations, list) else []:
                for field, value in configuration.items():
                    if isinstance(value, str) and "{{" in value:
                        yield f"{receiver['name']}: {kind}.{field}", value
    page = (ROOT / "docs" / "how-to" / "prometheus.md").read_text("utf-8")
    for name in re.findall(r'`\{\{ template "(dataexport\.\w+)" \. \}\}`', page):
        yield f"how-to: {name}", f'{{{{ template "{name}" . }}}}'


TEMPLATES = dict(templates_of_receivers())


@pytest.mark.parametrize("kind", ["text", "html"])
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_no_receiver_shows_the_markup_of_a_sender(tmp_path: Path, template: str, kind: str) -> None:
    for status in ("firing", "resolved"):
        data = tmp_path / f"{status}.json"
        data.write_text(json.dumps(notification(status)), "utf-8")
        rendered = (
            subprocess.run(
                [
                    tool("amtool"),
                    "template",
                    "render",
                    f"--template.glob={ROOT}/alerts/templates/*.tmpl",
                    f"--template.text={template}",
                    f"--template.type={kind}",
                    f"--template.data={data}",
                ],
                capture_output=True,
                text=True,
                check=True,
            )
            .stdout.replace(LINK, "")
            .replace(LINK.replace("&", "&amp;"), "")
        )
        assert not re.search(r"[<>@`]|\]\(|&(?!#39;)", rendered), rendered


def test_the_messages_still_name_the_export() -> None:
    assert {"page: slack_configs.text", "ticket: slack_configs.title", "how-to: dataexport.text"} <= TEMPLATES.keys()
