"""Writes the files of the Helm chart that follow from its others: the schema of its values, README, plain manifests.

Rules and dashboards are symbolic links, which Helm follows.

`make chart` runs it. The tests fail if a written file differs from what it would write.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
CHART = ROOT / "charts" / "dataexport-exporter"
MANIFESTS = ROOT / "deploy" / "kubernetes"

_OBJECTS = {"type": "array", "items": {"type": "object"}}
_STRINGS = {"type": "object", "additionalProperties": {"type": "string"}}
_ANYTHING = {"type": "object"}
_STRICTER: dict[str, dict[str, Any]] = {
    "commonLabels": _STRINGS,
    "image.digest": {"type": "string", "pattern": "^(sha256:[0-9a-f]+)?$"},
    "image.pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
    "imagePullSecrets": _OBJECTS,
    "store.type": {"enum": ["sqlite", "postgresql"]},
    "store.sqlite.whenDeleted": {"enum": ["Retain", "Delete"]},
    "store.sqlite.annotations": _STRINGS,
    "replicas": {"anyOf": [{"const": ""}, {"type": "integer", "minimum": 1}]},
    "env": _OBJECTS,
    "extraVolumes": _OBJECTS,
    "extraVolumeMounts": _OBJECTS,
    "service.webhook.type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer"]},
    "service.webhook.port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "service.metrics.port": {"type": "integer", "minimum": 1, "maximum": 65535},
    "ingress.hosts": {"type": "array", "items": {"type": "string"}},
    "ingress.tls": _OBJECTS,
    "httpRoute.parentRefs": _OBJECTS,
    "httpRoute.hostnames": {"type": "array", "items": {"type": "string"}},
    "networkPolicy.webhookFrom": _OBJECTS,
    "networkPolicy.metricsFrom": _OBJECTS,
    "networkPolicy.egress": _OBJECTS,
    "podDisruptionBudget.minAvailable": {"type": ["integer", "string"]},
    "podSecurityContext": _ANYTHING,
    "securityContext": _ANYTHING,
    "resources": _ANYTHING,
    "nodeSelector": _STRINGS,
    "affinity": _ANYTHING,
    "tolerations": _OBJECTS,
    "topologySpreadConstraints": _OBJECTS,
    "extraManifests": _OBJECTS,
}
"""What a value may be where its default does not show it."""
_TYPES = {bool: "boolean", int: "integer", str: "string", dict: "object", list: "array"}

_MANIFEST_VALUES = {
    "sqlite.yaml": ["secrets.existingSecret=dataexport-tokens"],
    "postgresql.yaml": [
        "secrets.existingSecret=dataexport-tokens",
        "store.type=postgresql",
        "store.postgresql.existingSecret=dataexport-database",
    ],
}
_TEST_POD = re.compile(r"---\n# Source: [^\n]*/templates/tests/.*?(?=---\n|\Z)", re.DOTALL)
"""A manifest that only Helm runs."""
_MANIFEST_HEAD = """\
# Written by `make chart`, for clusters without Helm: docs/how-to/install-kubernetes.md.
"""


def values_schema(values: str) -> str:
    """Return a JSON Schema of the chart's values, which allows no others.

    Args:
        values: the text of ``values.yaml``. The comment before a value (``# -- …``) becomes its description.
    """
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart dataexport-exporter",
        **_schema_of(yaml.safe_load(values), "", _descriptions(values)),
    }
    # Helm adds this one to the values of a chart that others depend on.
    schema["properties"]["global"] = {"type": "object"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _schema_of(value: object, path: str, descriptions: dict[str, str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"description": descriptions[path]} if path in descriptions else {}
    if path in _STRICTER:
        schema |= _STRICTER[path]
    elif path.endswith(("annotations", "labels", "Annotations", "Labels")):
        schema |= _STRINGS
    elif isinstance(value, dict):
        schema |= {"type": "object", "additionalProperties": False}
        schema["properties"] = {
            name: _schema_of(inner, f"{path}.{name}".removeprefix("."), descriptions) for name, inner in value.items()
        }
    else:
        schema["type"] = _TYPES[type(value)]
    return schema


def _descriptions(values: str) -> dict[str, str]:
    """Return the comment before each value, by its path."""
    found: dict[str, str] = {}
    path: list[str] = []
    comment = ""
    for line in values.splitlines():
        if (described := re.match(r" *# -- (.*)", line)) is not None:
            comment = described[1]
        elif (named := re.match(r"( *)([A-Za-z]\w*):", line)) is not None:
            path = [*path[: len(named[1]) // 2], named[2]]
            if comment:
                found[".".join(path)] = comment
            comment = ""
    return found


def rendered(*settings: str, values: Path | None = None) -> str:
    """Return the manifests of the chart.

    Args:
        settings: values as ``NAME=VALUE``.
        values: a file with values.
    """
    options = [argument for setting in settings for argument in ("--set", setting)]
    options += ["--values", str(values)] if values else []
    command = ["helm", "template", "dataexport", str(CHART), "--namespace=monitoring", "--kube-version=1.34.0"]
    return _output(*command, "--api-versions=monitoring.coreos.com/v1", *options)


def manifests() -> dict[Path, str]:
    """Return the manifests for clusters without Helm, by file."""
    return {
        MANIFESTS / name: _MANIFEST_HEAD + re.sub(r" +\n", "\n", _TEST_POD.sub("", rendered(*settings)))
        for name, settings in _MANIFEST_VALUES.items()
    }


def readme() -> str:
    """Return the README of the chart, with its table of values."""
    return _output("helm-docs", "--chart-search-root", str(CHART), "--dry-run", "--log-level=warning") + "\n"


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def main() -> None:
    """Write all files."""
    _write({CHART / "values.schema.json": values_schema((CHART / "values.yaml").read_text("utf-8"))})
    _write(manifests() | {CHART / "README.md": readme()})


def _write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
