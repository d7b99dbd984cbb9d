"""Every test that docs/contributing/proofs.md names exists, and every file of proofs is named there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent.parent
PAGE = (TESTS.parent / "docs" / "contributing" / "proofs.md").read_text("utf-8")
NAMED = set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE))
PROOFS = {
    str(path.relative_to(TESTS))
    for path in TESTS.rglob("test_*.py")
    if "\npytestmark = pytest.mark.proof\n" in path.read_text("utf-8")
}
OF_OTHERS = {"alerting/test_alertmanager.py"}
"""What they prove is not the exporter's own promise."""


def defined_in(file: str) -> set[str]:
    path = TESTS / file
    return set(re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)) if path.exists() else set()


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) > 20
    assert {(file, name) for file, name in NAMED if name not in defined_in(file)} == set()


def test_every_row_names_a_test() -> None:
    headings = ("| promise", "| limit")
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith(headings)]
    assert rows
    assert [row for row in rows if "::test_" not in row] == []


def test_every_file_of_proofs_is_named() -> None:
    assert len(PROOFS) > 5
    assert {file for file, _ in NAMED} >= PROOFS - OF_OTHERS
