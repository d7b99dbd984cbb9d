"""An audit without data is not a pass, and a known vulnerability of a pin fails it."""

from __future__ import annotations

import pytest

from audit_report import verdict

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
    assert verdict({"dependencies": dependencies}, in_ci=False) == ([line], code)
    assert verdict({"dependencies": dependencies}, in_ci=True) == ([line], code_in_ci)
