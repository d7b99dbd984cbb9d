"""The check of the pins detects what pip would refuse, and nothing else."""

from __future__ import annotations

import pytest

from check_pins import only_pinned_wheels, problems

PINNED = """\
flask==3.1 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via dataexport-exporter (pyproject.toml)
isal==1.7 ; sys_platform == 'linux' \\
    --hash=sha256:cc
"""


def test_unchanged_pins_have_no_problem() -> None:
    assert problems(PINNED, PINNED) == []


def test_a_file_that_was_uploaded_since_is_no_problem() -> None:
    assert problems(PINNED, PINNED.replace("sha256:bb", "sha256:bb \\\n    --hash=sha256:dd")) == []


@pytest.mark.parametrize(
    ("pinned", "compiled", "expected"),
    [
        (PINNED, PINNED.replace("3.1", "3.2"), ["flask==3.1 is pinned, but not needed", "flask==3.2 is needed, but"]),
        (
            PINNED,
            PINNED.replace("'linux'", "'darwin'"),
            ["isal==1.7 ; sys_platform == 'darwin' is needed", "isal==1.7"],
        ),
        (PINNED, PINNED.replace("sha256:bb", "sha256:ee"), ["flask==3.1 has a hash of no file"]),
        ("flask==3.1\n", PINNED[: PINNED.index("isal")], ["flask==3.1 has a hash of no file of that version, or none"]),
    ],
)
def test_pins_that_do_not_fit_are_problems(pinned: str, compiled: str, expected: list[str]) -> None:
    found = problems(pinned, compiled)
    assert len(found) == len(expected)
    assert all(problem.startswith(start) for problem, start in zip(found, expected, strict=True)), found


def test_only_wheels_with_a_pinned_hash_count() -> None:
    lock = """\
sdist = { url = "f.tar.gz", hashes = { sha256 = "aa" } }
wheels = [
    { url = "linux.whl", size = 1, hashes = { sha256 = "bb" } },
    { url = "musl.whl", size = 2, hashes = { sha256 = "dd" } },
]
"""
    kept = only_pinned_wheels(lock, PINNED)
    assert "linux.whl" in kept
    assert "musl.whl" not in kept
    assert "sdist" not in kept
