"""The workflows, as far as they can be judged without GitHub: what the tests run on, and the shell of a release."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from check_pins import PYTHONS
from exporter import __version__
from monitoring import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def jobs(workflow: str) -> dict[str, Any]:
    """Return the jobs of a workflow by name."""
    text = (ROOT / ".github" / "workflows" / f"{workflow}.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text)["jobs"])


JOBS = jobs("release")
DIGEST = "sha256:" + "ab" * 32


def run(job: str, step: str, folder: Path, tag: str = f"v{__version__}") -> tuple[int, str]:
    """Run the step of a job whose name begins with a text; return its exit code, and what it hands to later steps."""
    [script] = [each["run"] for each in JOBS[job]["steps"] if each.get("name", "").startswith(step)]
    output = folder / "output"
    output.touch()
    environment = {
        "PATH": f"{folder}:/usr/bin:/bin",
        "GITHUB_REF_NAME": tag,
        "GITHUB_REPOSITORY_OWNER": "dataexport",
        "GITHUB_OUTPUT": str(output),
    }
    done = subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, env=environment, check=False)
    return done.returncode, output.read_text("utf-8")


def stand_in(folder: Path, program: str, script: str) -> None:
    """Write a program that records its arguments in the file ``ran``, and then does what a script says."""
    path = folder / program
    path.write_text(f'#!/bin/sh\necho {program} "$@" >>ran\n{script}\n', "utf-8")
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("pyproject.toml", "charts"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize(("tag", "code"), [(f"v{__version__}", 0), ("v99.1.0", 1)])
def test_a_tag_that_is_not_the_version_of_everything_ends_the_release(checkout: Path, tag: str, code: int) -> None:
    assert run("package", "The tag is the version", checkout, tag)[0] == code


@pytest.mark.parametrize(
    ("changelog", "notes"),
    [
        ("# Changelog\n\n## [1.2.3] - 2026-12-01\n\nNew.\n\n## [1.2.30] - 2026-11-01\n\nOld.\n", "\nNew.\n\n"),
        ("## [11.2.3] - 2026-12-01\n\nAnother.\n", None),
        ("## [Unreleased]\n\nNothing yet.\n", None),
    ],
)
def test_the_notes_are_those_of_the_version(checkout: Path, changelog: str, notes: str | None) -> None:
    (checkout / "CHANGELOG.md").write_text(changelog, "utf-8")
    code, _ = run("package", "The changelog has notes", checkout, "v1.2.3")
    assert code == (1 if notes is None else 0)
    assert notes is None or (checkout / "notes.md").read_text("utf-8") == notes


def test_the_image_gets_the_tag_that_the_chart_names_and_the_digest_of_its_base(checkout: Path) -> None:
    stand_in(checkout, "docker", f"echo {DIGEST}")
    assert run("image", "Find the version", checkout) == (0, f"digest={DIGEST}\nversion={__version__}\n")
    [build] = [each["with"] for each in JOBS["image"]["steps"] if each.get("id") == "push"]
    assert build["tags"] == "${{ env.IMAGE }}:${{ steps.base.outputs.version }}"
    assert "VERSION=${{ steps.base.outputs.version }}\n" in build["build-args"]
    chart = yaml.safe_load((ROOT / "charts" / "dataexport-exporter" / "Chart.yaml").read_text("utf-8"))
    assert chart["appVersion"] == __version__


@pytest.mark.parametrize("digest", [DIGEST, ""])
def test_the_chart_is_signed_by_its_digest(checkout: Path, digest: str) -> None:
    stand_in(checkout, "helm", f'[ "$1" != push ] || echo "Digest: {digest}" >&2')
    stand_in(checkout, "cosign", f'[ "$3" = ghcr.io/dataexport/charts/dataexport-exporter@{DIGEST} ]')
    code, output = run("chart", "Push and sign", checkout)
    ran = (checkout / "ran").read_text("utf-8")
    assert f"helm push dataexport-exporter-{__version__}.tgz oci://ghcr.io/dataexport/charts\n" in ran
    name = "name=ghcr.io/dataexport/charts/dataexport-exporter\n"
    assert (code, output) == ((0, f"{name}digest={digest}\n") if digest else (1, ""))


def test_nothing_is_published_before_tests_and_packages_and_only_the_job_that_needs_it_may_write() -> None:
    assert JOBS["package"]["needs"] == "test"
    assert JOBS["image"]["needs"] == "package"
    assert JOBS["index"]["needs"] == ["package", "image", "chart"]
    may_write = {
        name: {key for key, access in job["permissions"].items() if access == "write"} for name, job in JOBS.items()
    }
    signed = {"id-token", "attestations"}
    assert may_write == {
        "test": set(),
        "package": set(),
        "image": {"packages", *signed},
        "chart": {"packages", *signed},
        "index": {"id-token"},
        "release": {"contents", *signed},
    }


def test_every_python_that_has_pins_is_tested_and_one_machine_passes_what_a_change_has_to_pass() -> None:
    test, everything = (jobs("test")[name] for name in ("test", "all"))
    assert tuple(test["strategy"]["matrix"]["python"]) == PYTHONS
    assert [step["run"] for step in test["steps"] if "run" in step][-1] == "make test"
    assert [step["run"] for step in everything["steps"] if "run" in step][-1] == ".ci/run"
