"""`make check` fails if the Helm chart has changed since it passed in a cluster."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

import chart_checked
from monitoring import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a small chart that has passed."""
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    templates = tmp_path / chart_checked.CHART / "templates"
    templates.mkdir(parents=True)
    (templates / "service.yaml").write_text("kind: Service\n", "utf-8")
    (templates / "rules.yaml").symlink_to("../../../rules.yaml")
    (tmp_path / "rules.yaml").write_text("groups: []\n", "utf-8")
    pins = tmp_path / "tools" / "cluster" / "go.mod"
    pins.parent.mkdir(parents=True)
    pins.write_text((ROOT / "tools" / "cluster" / "go.mod").read_text("utf-8"), "utf-8")
    chart_checked.record(tmp_path)
    return tmp_path


def test_a_chart_that_has_passed_is_fine_whether_it_is_committed_or_not(checkout: Path) -> None:
    assert chart_checked.problem(checkout) is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com"]
    subprocess.run([*git, "add", "--all"], cwd=checkout, check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=a"], cwd=checkout, check=True)
    assert chart_checked.problem(checkout) is None
    assert "kubernetes v1." in (checkout / chart_checked.LOG).read_text("utf-8")


@pytest.mark.parametrize("change", ["changed", "added", "removed"])
def test_any_change_of_the_chart_is_found(checkout: Path, change: str) -> None:
    file = checkout / chart_checked.CHART / "templates" / ("new.yaml" if change == "added" else "service.yaml")
    if change == "removed":
        file.unlink()
    else:
        file.write_text("kind: Ingress\n", "utf-8")
    assert chart_checked.problem(checkout) == (
        "charts/dataexport-exporter has changed since it passed `make chart-check`; "
        "run that again and commit charts/chart-check.log"
    )


def test_a_change_of_what_the_chart_links_to_needs_no_new_check(checkout: Path) -> None:
    (checkout / "rules.yaml").write_text("groups: [{}]\n", "utf-8")
    assert chart_checked.problem(checkout) is None


def test_a_chart_that_never_passed_is_found(checkout: Path) -> None:
    (checkout / chart_checked.LOG).unlink()
    assert chart_checked.problem(checkout) == (
        "charts/chart-check.log records no passed check of charts/dataexport-exporter; "
        "run `make chart-check` and commit the file"
    )
