"""`quarantine` lists quarantined and refused bodies, and deletes those that were selected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from builders import at
from commands import error_output, run
from exporter.cli.commands import WRONG_USAGE
from exporter.domain.events import QuarantinedBody, RefusedBody
from exporter.ledger.sql.ledger import SqlLedger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUARANTINED = [("shop", "bad_date"), ("shop", "wrong_type"), ("other", "bad_date")]


@pytest.fixture(autouse=True)
def ledger(in_a_folder: Path) -> Iterator[SqlLedger]:
    ledger = SqlLedger(f"sqlite:///{in_a_folder}/dataexport.db")
    ledger.append(
        [
            QuarantinedBody(source, at("0:00"), reason, "made up", b"{}", bytes([number]) * 16)
            for number, (source, reason) in enumerate(QUARANTINED)
        ]
    )
    ledger.bodies.add_refused(
        [
            RefusedBody("shop", at("0:01"), 400, "the body is not JSON", 9000, b"\x1b[2J{"),
            RefusedBody("other", at("0:02"), 413, "too large", 0, b""),
        ]
    )
    yield ledger
    ledger.close()


def test_refused_bodies_are_listed_with_their_reason_and_safe_for_a_terminal() -> None:
    shown = run("quarantine", "--refused").stdout
    heads, newest, oldest = shown.splitlines()
    assert heads.split() == ["SEQUENCE", "ARRIVED", "AT", "SOURCE", "STATUS", "DETAIL", "SIZE"]
    assert newest.split()[3:] == ["413", "too", "large", "0"]
    assert oldest.split() == ["1", "2026-06-01T00:01:00Z", "shop", "400", "the", "body", "is", "not", "JSON", "9000"]
    (row,) = json.loads(run("quarantine", "--refused", "--json", "--source", "shop").stdout)
    assert (row["body"], row["size"]) == ("\x1b[2J{", 9000)
    assert len(json.loads(run("quarantine", "--refused", "--json", "--limit", "1").stdout)) == 1


def test_quarantined_bodies_are_listed_by_source() -> None:
    rows = json.loads(run("quarantine", "--json", "--source", "shop").stdout)
    assert [row["sequence"] for row in rows] == [2, 1]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        (("--id", "1", "--id", "3"), [2]),
        (("--reason", "bad_date"), [2]),
        (("--source", "shop", "--reason", "bad_date"), [3, 2]),
        (("--all",), []),
        (("--id", "77"), [3, 2, 1]),
    ],
)
def test_what_is_selected_is_deleted_after_a_look(ledger: SqlLedger, options: tuple[str, ...], left: list[int]) -> None:
    count = len(QUARANTINED) - len(left)
    bodies = "quarantined body" if count == 1 else "quarantined bodies"
    counters = ledger.delivery_counters()
    assert run("quarantine", "--delete", "--dry-run", *options).stdout == f"{count} {bodies} would be deleted\n"
    assert len(ledger.quarantine()) == len(QUARANTINED)
    assert run("quarantine", "--delete", *options).stdout == f"{count} {bodies} deleted\n"
    assert [body.sequence for body in ledger.quarantine()] == left
    assert (ledger.delivery_counters(), len(ledger.bodies.refused())) == (counters, 2)


def test_refused_bodies_are_deleted_on_their_own(ledger: SqlLedger) -> None:
    assert run("quarantine", "--delete", "--refused", "--source", "shop").stdout == "1 refused body deleted\n"
    assert [body.source for body in ledger.bodies.refused()] == ["other"]
    assert len(ledger.quarantine()) == len(QUARANTINED)


@pytest.mark.parametrize("options", [(), ("--refused",), ("--delete",), ("--delete", "--dry-run")])
def test_a_misspelt_source_is_an_error_that_lists_the_sources(options: tuple[str, ...]) -> None:
    sentence = error_output(run("quarantine", *options, "--source", "shpo"), WRONG_USAGE)
    assert "--source: 'shpo' is not a source; the sources are default, other, shop" in sentence


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--all",), "--id, --reason, --all and --dry-run go with --delete"),
        (("--dry-run",), "go with --delete"),
        (("--id", "1"), "go with --delete"),
        (("--reason", "bad_date"), "go with --delete"),
        (("--delete",), "--delete needs either --all, or some of --id, --reason and --source"),
        (("--delete", "--all", "--id", "1"), "--delete needs either --all, or some of"),
        (("--delete", "--refused", "--reason", "bad_date"), "--reason selects quarantined bodies"),
    ],
)
def test_options_that_do_not_go_together_are_refused_and_nothing_is_deleted(
    ledger: SqlLedger, options: tuple[str, ...], problem: str
) -> None:
    assert problem in error_output(run("quarantine", *options), WRONG_USAGE)
    assert (len(ledger.quarantine()), len(ledger.bodies.refused())) == (len(QUARANTINED), 2)
