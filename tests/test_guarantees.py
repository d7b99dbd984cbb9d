"""Every test that the page of promises names exists, and every file of proofs is named there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "guarantees.md").read_text("utf-8")
NAMED = set(re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE))
PROOFS = ("test_power_cut.py", "test_kill.py", "test_failing_store.py", "test_fuzz.py", "test_secrets.py")


def defined_in(file: str) -> set[str]:
    path = TESTS / file
    return set(re.findall(r"^def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)) if path.exists() else set()


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) > 20
    assert {(file, name) for file, name in NAMED if name not in defined_in(file)} == set()


def test_every_row_names_a_test() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    assert rows
    assert [row for row in rows if "::test_" not in row] == []


def test_every_file_of_proofs_is_named() -> None:
    assert set(PROOFS) <= {file for file, _ in NAMED}
