"""A source that sends more than its budgets is refused for a while, and no other source is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from builders import accepted_event, body, event, fields
from exporter.config.settings import Limits
from exporter.domain.errors import BudgetExceededError
from exporter.domain.events import QuarantinedBody
from exporter.ledger import contract
from exporter.server.admin.pages.export_filter import EXPORTS_PER_PAGE
from exporter.server.webhook.source_budgets import SourceBudgets
from problem_documents import assert_problem
from running_here import LocalExporter

if TYPE_CHECKING:
    from pathlib import Path

    from exporter.ledger.contract import Entry

TEST_CALL = contract.TestCallReceived("leaked", 0.0)
BODY = QuarantinedBody("leaked", 0.0, "unknown_status", "", b"x" * 1000, b"digest")


def announcement(number: int) -> Entry:
    return accepted_event(event("initiated", 1000.0, request_id=str(number), partner=f"partner {number}"))


EVENTS = [announcement(0)]
BUDGETS: dict[str, tuple[dict[str, Any], list[list[Entry]], float]] = {
    "events_per_minute": ({"events_per_minute": 3}, [EVENTS] * 3, 60),
    "test_calls_per_minute": ({"test_calls_per_minute": 3}, [[TEST_CALL]] * 3, 60),
    "quarantined_bytes_per_day": ({"quarantined_bytes_per_day": 3000}, [[BODY]] * 3, 86400),
    "new_exports_per_day": (
        {"new_exports_per_day": 20, "exports_per_source": 2},
        [[announcement(number)] for number in range(20)],
        86400,
    ),
}


@pytest.mark.parametrize(("name", "budget"), BUDGETS.items(), ids=BUDGETS)
def test_a_source_that_used_up_a_budget_is_refused_and_no_other_is(
    name: str, budget: tuple[dict[str, Any], list[list[Entry]], float]
) -> None:
    settings, bodies, period = budget
    limits, budgets = Limits(**settings), SourceBudgets()
    refused = [announcement(99)] if name == "new_exports_per_day" else bodies[0]
    for entries in bodies:
        budgets.charge("leaked", entries, limits, 100.0)
    for now in (100.0, 100.0 + period - 1):
        with pytest.raises(BudgetExceededError, match=rf"limits\.{name}, {limits.model_dump()[name]};") as refusal:
            budgets.charge("leaked", refused, limits, now)
        assert now + refusal.value.retry_after > 100.0 + period
        assert refusal.value.retry_after <= period + 1
    budgets.charge("other", refused, limits, 100.0)
    budgets.charge("leaked", refused, limits, 100.0 + period)


def test_known_exports_go_on_when_no_new_one_may_come() -> None:
    limits, budgets = Limits(new_exports_per_day=10, exports_per_source=1), SourceBudgets()
    for number in range(10):
        budgets.charge("leaked", [announcement(number)], limits, 0.0)
    budgets.charge("leaked", [announcement(3)], limits, 1.0)
    with pytest.raises(BudgetExceededError):
        budgets.charge("leaked", [announcement(3), announcement(10)], limits, 1.0)


@pytest.mark.parametrize(("new_exports_per_day", "allowed"), [(5, 20), (25, 25)])
def test_ten_times_the_exports_with_series_may_be_new_whatever_the_budget_is(
    new_exports_per_day: int, allowed: int
) -> None:
    limits, budgets = Limits(new_exports_per_day=new_exports_per_day, exports_per_source=2), SourceBudgets()
    for number in range(allowed):
        budgets.charge("shop", [announcement(number)], limits, 0.0)
    with pytest.raises(BudgetExceededError):
        budgets.charge("shop", [announcement(allowed)], limits, 0.0)


def test_a_budget_that_is_used_up_refuses_only_what_it_counts_and_charges_nothing_for_it() -> None:
    limits, budgets = Limits(test_calls_per_minute=1, quarantined_bytes_per_day=1, events_per_minute=6), SourceBudgets()
    budgets.charge("shop", [TEST_CALL], limits, 0.0)
    budgets.charge("shop", [BODY], limits, 0.0)
    for _ in range(9):
        for refused in (TEST_CALL, BODY):
            with pytest.raises(BudgetExceededError):
                budgets.charge("shop", [refused], limits, 0.0)
    for number in range(4):
        budgets.charge("shop", [announcement(number)], limits, 0.0)
    with pytest.raises(BudgetExceededError, match="events_per_minute"):
        budgets.charge("shop", EVENTS, limits, 0.0)


def test_a_normal_fleet_never_meets_the_budgets() -> None:
    """Two days of 200 exports every four hours with new ids for each run, delivered twice, in lists of 1,000."""
    limits, budgets = Limits(), SourceBudgets()
    sent = [announcement(number) for number in range(2 * 6 * 200)] * 2
    for start in range(0, len(sent), 1000):
        budgets.charge("shop", sent[start : start + 1000], limits, 0.0)


def test_a_leaked_token_floods_its_own_source_only(tmp_path: Path) -> None:
    toml = '[limits]\nexports_per_source = 1\nnew_exports_per_day = 10\n[[sources]]\nslug = "leaked"\n'
    with LocalExporter(tmp_path, toml + '[[sources]]\nslug = "other"\n') as exporter:
        flood = [fields(request_id=number, Partner=f"partner {number}") for number in range(150)]
        assert exporter.post(flood, "leaked").json()["accepted"] == 150
        again = [fields(request_id=number, Partner=f"partner {number}") for number in range(150, 300)]
        answer = exporter.post(again, "leaked")
        assert answer.status_code == 429
        assert "limits.new_exports_per_day, 10" in answer.json()["detail"]
        assert 0 < int(answer.headers["Retry-After"]) <= 86401
        assert exporter.post(again, "other").json()["accepted"] == 150
        assert exporter.value("dataexport_webhook_requests_total", source="leaked", code="429") == 1
        assert exporter.run("quarantine", "--refused", "--json", "--config", str(exporter.config_path)).stdout == "[]\n"
        assert_the_page_is_bounded(exporter)


def assert_the_page_is_bounded(exporter: LocalExporter) -> None:
    """Follow the links from page to page, and find every export once."""
    page, ids = exporter.admin("/").text, []
    while True:
        shown = re.findall(r'<tr role="row" id="export-([^"]+)">', page)
        assert 0 < len(shown) <= EXPORTS_PER_PAGE
        ids += shown
        following = re.search(r'href="(\?page=\d+)">Next', page)
        if following is None:
            break
        page = exporter.admin(f"/{following[1]}").text
    assert len(ids) == len(set(ids)) == 300
    for beyond in ("/?page=99", "/?page=-1", "/?page=x", "/?page=1&page=2"):
        assert exporter.admin(beyond).status_code == 200


def test_whoever_guesses_is_told_to_wait_but_a_valid_credential_still_passes(tmp_path: Path) -> None:
    sources = '[[sources]]\nslug = "shop"\ntokens = ["the-right-token!"]\n'
    with LocalExporter(tmp_path, sources) as exporter:
        tokens = [exporter.post(b"{}", "shop", {"Authorization": f"Bearer {number}"}) for number in range(5)]
        slugs = [exporter.post(b"{}", f"guess-{number}") for number in range(6)]
        last = exporter.post(b"{}", "shop", {"Authorization": "Bearer 5"})
        assert [guess.status_code for guess in (*tokens, *slugs, last)] == [401] * 5 + [404] * 5 + [429] * 2
        for refused in (slugs[-1], last):
            assert_problem(refused, 429)
            assert re.fullmatch(r"\d+", refused.headers["Retry-After"])
        valid = exporter.post(body(), "shop", {"Authorization": "Bearer the-right-token!"})
        assert valid.json()["accepted"] == 1
        assert exporter.value("dataexport_webhook_auth_failures_total", source="shop") == 6
        assert exporter.value("dataexport_webhook_auth_failures_total", source="unknown") == 6
        for source in ("shop", "unknown"):
            assert exporter.value("dataexport_webhook_requests_total", source=source, code="429") == 1
