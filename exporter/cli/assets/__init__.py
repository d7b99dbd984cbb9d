"""Reads the files that the package ships beside its code: rules, dashboards, templates and examples.

The folders here are links to those at the top of the repository. A wheel has copies of the files instead.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
PATTERNS = (
    "alerts/*.yaml",
    "alerts/templates/*.tmpl",
    "grafana/dashboards/*.json",
    "grafana/provisioning/*/*.yaml",
    "deploy/Caddyfile",
    "deploy/dataexport.toml",
    "deploy/nginx.conf",
    "deploy/systemd/*",
)
"""What is shipped. The package data in pyproject.toml are the same, so that a wheel has exactly these files."""
RULES = "alerts/dataexport.rules.yaml"


def names() -> list[str]:
    """Return the names of all files, such as `RULES`."""
    return sorted(str(path.relative_to(FOLDER)) for pattern in PATTERNS for path in FOLDER.glob(pattern))


def read(name: str) -> bytes:
    """Return the content of a file.

    Args:
        name: one of `names`.
    """
    return (FOLDER / name).read_bytes()
