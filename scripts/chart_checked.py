#!/usr/bin/env python3
"""Check that the Helm chart is the one that last passed `make chart-check`, which records it with ``--record``.

Only the files of the chart itself count, not what its symbolic links lead to: rules and dashboards change often, and
their own tests cover them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHART = "charts/dataexport-exporter"
LOG = "charts/chart-check.log"
_PINS = "tools/cluster/go.mod"


def tree(root: Path) -> str:
    """Return git's hash of the chart in a checkout, with changes that are not committed.

    Raises:
        subprocess.CalledProcessError: the folder is no checkout.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GIT_INDEX_FILE": f"{folder}/index"}
        for command in (["git", "add", CHART], ["git", "write-tree", f"--prefix={CHART}/"]):
            done = subprocess.run(
                command, cwd=root, env=environment, check=True, stdout=subprocess.PIPE, encoding="ascii"
            )
    return done.stdout.strip()


def record(root: Path) -> None:
    """Record that the chart has passed."""
    [version] = re.findall(r"^\tk8s\.io/kubernetes (\S+)$", (root / _PINS).read_text("utf-8"), re.MULTILINE)
    (root / LOG).write_text(
        "# Written by `make chart-check`: what passed last. `make check` fails if the chart has changed since.\n"
        f"kubernetes {version}\n"
        f"tree {tree(root)}\n",
        "utf-8",
    )


def problem(root: Path) -> str | None:
    """Return what is wrong with the record, or None if the chart is the one that passed."""
    log = root / LOG
    recorded = re.search(r"^tree (\S+)$", log.read_text("utf-8"), re.MULTILINE) if log.exists() else None
    if recorded is None:
        return f"{LOG} records no passed check of {CHART}; run `make chart-check` and commit the file"
    if recorded[1] != tree(root):
        return f"{CHART} has changed since it passed `make chart-check`; run that again and commit {LOG}"
    return None


def main() -> int:
    """Check or record; return the exit code."""
    if sys.argv[1:] == ["--record"]:
        record(ROOT)
        return 0
    found = problem(ROOT)
    if found is not None:
        print(f"chart_checked: {found}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
