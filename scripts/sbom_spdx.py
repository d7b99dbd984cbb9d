#!/usr/bin/env python3
"""Write a bill of materials in SPDX 2.3 from one in CycloneDX, so that both list the same.

usage: sbom_spdx.py CYCLONEDX_FILE SPDX_FILE TIME
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

UNKNOWN = "NOASSERTION"
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9.-]")


def spdx(bom: dict[str, Any], created: str) -> dict[str, Any]:
    """Convert a CycloneDX document.

    Args:
        bom: the document.
        created: the time of the new document, such as ``2026-11-30T00:00:00Z``.
    """
    root = bom["metadata"]["component"]
    ids = {each["bom-ref"]: f"SPDXRef-{_NOT_ALLOWED.sub('-', each['bom-ref'])}" for each in (root, *bom["components"])}
    relationships = [("SPDXRef-DOCUMENT", "DESCRIBES", ids[root["bom-ref"]])]
    relationships += [
        (ids[each["ref"]], "DEPENDS_ON", ids[needed])
        for each in bom["dependencies"]
        for needed in each.get("dependsOn", ())
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{root['name']}-{root['version']}",
        "documentNamespace": f"https://github.com/dataexport/dataexport-exporter/sbom/{root['version']}/{created}",
        "creationInfo": {"created": created, "creators": ["Tool: cyclonedx-py and scripts/sbom_spdx.py"]},
        "packages": [_package(each, ids[each["bom-ref"]]) for each in (root, *bom["components"])],
        "relationships": [
            {"spdxElementId": source, "relationshipType": kind, "relatedSpdxElement": target}
            for source, kind, target in relationships
        ],
    }


def _package(component: dict[str, Any], identifier: str) -> dict[str, Any]:
    licences = component.get("licenses", [])
    names = [each.get("expression") or each["license"].get("id") for each in licences]
    purl = component.get("purl") or f"pkg:pypi/{component['name']}@{component['version']}"
    return {
        "SPDXID": identifier,
        "name": component["name"],
        "versionInfo": component["version"],
        "downloadLocation": UNKNOWN,
        "filesAnalyzed": False,
        "licenseConcluded": UNKNOWN,
        "licenseDeclared": " AND ".join(filter(None, names)) or UNKNOWN,
        "copyrightText": UNKNOWN,
        "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl},
        ],
    }


if __name__ == "__main__":
    source, target, time = sys.argv[1:]
    document = spdx(json.loads(Path(source).read_text("utf-8")), time)
    Path(target).write_text(json.dumps(document, indent=2) + "\n", "utf-8")
