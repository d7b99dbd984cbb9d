"""An audit without data is not a pass, and a known vulnerability of a pin fails it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

import vulnerability_service
from audit_report import pins_of, verdict
from monitoring import ROOT
from tools import missing

if TYPE_CHECKING:
    from pathlib import Path

SOUND = {"name": "sound", "version": "1", "vulns": []}
SKIPPED = {"name": "unknown", "skip_reason": "not found"}
VULNERABLE = {"name": "old", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}


@pytest.mark.parametrize(
    ("dependencies", "line", "code", "code_in_ci"),
    [
        ([SOUND], "audit: no known vulnerability in 1 pins", 0, 0),
        ([SOUND, VULNERABLE], "old 2: PYSEC-1, fixed in 2.1", 1, 1),
        ([SOUND, SKIPPED], "audit: no data about unknown", 0, 1),
        ([SKIPPED], "audit: not run: the index has no data about vulnerabilities of any pin", 0, 1),
    ],
)
def test_a_pin_without_data_is_not_a_sound_one(
    dependencies: list[dict[str, object]], line: str, code: int, code_in_ci: int
) -> None:
    pins = pins_of([{"dependencies": dependencies}, {"dependencies": dependencies}])
    assert verdict(pins, in_ci=False) == ([line], code)
    assert verdict(pins, in_ci=True) == ([line], code_in_ci)


def audit(folder: Path, *pins: str, **environment: str) -> tuple[int, str]:
    """Run the script for these pins, each in a file of its own; return its exit code and output."""
    if not (ROOT / ".venv" / "bin" / "python").exists():
        missing("the environment of the audit is made beside .venv, which is not there; make test makes it")
    files = [folder / f"{number}.txt" for number, _ in enumerate(pins)]
    for file, pin in zip(files, pins, strict=True):
        file.write_text(f"{pin} --hash=sha256:{'0' * 64}\n", "utf-8")
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in {"ci", "no_proxy"}}
    done = subprocess.run(
        [ROOT / "scripts" / "audit", *files],
        env=inherited | {"XDG_CACHE_HOME": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    output = done.stdout + done.stderr
    if "pip-audit cannot be installed" in output:
        missing(output)
    return done.returncode, output


NO_ANSWER = "audit: not run: no answer about "
FOUND = "jinja2 2.10: PYSEC-2019-217, fixed in 2.10.1\n"


@pytest.mark.proof  # installs pip-audit
def test_pip_audit_asks_the_index_or_osv_and_its_answer_is_reported(tmp_path: Path) -> None:
    with vulnerability_service.serving() as service:
        osv = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": f"{service.url}/v1/query"}
        assert audit(tmp_path, "jinja2==2.10", "click==8.3.1", **osv) == (1, FOUND)

        proxied = {"HTTPS_PROXY": service.url, "https_proxy": service.url}
        code, output = audit(tmp_path, "click==8.3.1", CI="true", **proxied)
        assert (code, output[: len(NO_ANSWER)]) == (1, NO_ANSWER)
        proxied["REQUESTS_CA_BUNDLE"] = str(service.reach_index(tmp_path))
        mixed = audit(tmp_path, "jinja2==2.10", "jinja2==3.1.6", "unknown-package==1", **proxied)
        assert mixed == (1, f"{FOUND}audit: no data about unknown-package\n")
        sound = audit(tmp_path, "click==8.3.1", CI="true", **proxied)
        assert sound == (0, "audit: no known vulnerability in 1 pins\n")
        service.answers = False
        code, output = audit(tmp_path, "click==8.3.1", **proxied)
        assert (code, output[: len(NO_ANSWER)]) == (0, NO_ANSWER)
        assert len(set(service.hosts)) == 1
