"""Configurations as tests load them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from exporter.config.loader import load
from exporter.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from exporter.config.loader import Config


def loaded(tmp_path: Path, toml: str, environment: Mapping[str, str] | None = None) -> Config:
    path = tmp_path / "dataexport.toml"
    path.write_text(toml, "utf-8")
    return load(path, environment or {})


def problems(tmp_path: Path, toml: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """What is said against a configuration, without the name of the file."""
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, toml, environment)
    assert str(refused.value) == "\n".join(refused.value.problems)
    return [each.replace(f"{tmp_path / 'dataexport.toml'}: ", "") for each in refused.value.problems]
