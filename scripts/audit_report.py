#!/usr/bin/env python3
"""Reads the JSON files of pip-audit: which pins have known vulnerabilities, and of which it knows nothing.

pip-audit itself exits with 0 if it found no data about any package.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


def pins_of(reports: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the reports contain about each version of each package, once."""
    pins = [each for report in reports for each in report["dependencies"]]
    return list({(each["name"], each.get("version")): each for each in pins}.values())


def verdict(dependencies: list[dict[str, Any]], *, in_ci: bool) -> tuple[list[str], int]:
    """Return what to print, and the exit code: 1 for a vulnerability, and in CI for a pin that was not audited."""
    lines = [
        f"{each['name']} {each['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'no version'}"
        for each in dependencies
        for found in each.get("vulns", ())
    ]
    skipped = sorted({each["name"] for each in dependencies if "skip_reason" in each})
    failed = bool(lines) or (in_ci and bool(skipped))
    if len(skipped) == len({each["name"] for each in dependencies}):
        return ["audit: not run: the index has no data about vulnerabilities of any pin"], int(failed)
    if skipped:
        lines.append(f"audit: no data about {', '.join(skipped)}")
    return lines or [f"audit: no known vulnerability in {len(dependencies)} pins"], int(failed)


if __name__ == "__main__":
    pins = pins_of(json.loads(Path(name).read_text("utf-8")) for name in sys.argv[1:])
    lines, code = verdict(pins, in_ci=os.environ.get("CI") == "true")
    print("\n".join(lines))
    sys.exit(code)
