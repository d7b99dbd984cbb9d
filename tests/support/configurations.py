"""Loads configurations for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.config.loader import load
from exporter.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporter.config.loader import Config


SHOP = """
[[sources]]
slug = "shop"
timezone = "UTC"
"""
"""A source whose time zone is known."""
NIGHTLY = """
[[exports]]
name = "nightly"
source = "shop"
match = { partner = "Azure" }
interval = "24h"
"""
"""A declared export of that source."""
QUIET_NIGHTLY = """
[[sources]]
slug = "quiet"

[[exports]]
name = "nightly"
source = "quiet"
match = { partner = "s3", frequency = "daily" }
"""
"""A source that sends nothing in a test, with a declared export."""


def loaded(tmp_path: Path, toml: str, environment: Mapping[str, str] | None = None) -> Config:
    path = tmp_path / "dataexport.toml"
    path.write_text(toml, "utf-8")
    return load(path, environment or {})


def problems(tmp_path: Path, toml: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the problems of a configuration, without the name of the file."""
    with pytest.raises(ConfigurationError) as refusal:
        loaded(tmp_path, toml, environment)
    assert str(refusal.value) == "\n".join(refusal.value.problems)
    return [problem.replace(f"{tmp_path / 'dataexport.toml'}: ", "") for problem in refusal.value.problems]
