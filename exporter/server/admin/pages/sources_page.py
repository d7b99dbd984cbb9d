"""The page of sources: the address for CleverTap, the credential's kind, what arrived, and what to change."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from flask import Blueprint, render_template

from exporter.config.suggestions import suggested_declarations
from exporter.ingest.vendors.registry import adapter_of, webhook_path
from exporter.ledger.body_store import MAX_REFUSED

if TYPE_CHECKING:
    from exporter.config.credentials import Credentials
    from exporter.domain.states import ExportState, SourceState
    from exporter.server.service import Service

REFRESH_SECONDS = 10
MAX_SUGGESTIONS = 50
"""How many declarations are suggested for a source: a sender can make up any number of exports."""


class SourceOverview(NamedTuple):
    """What the page shows about a source.

    Attributes:
        state: what arrived.
        path: of its webhook.
        credential: what its webhook accepts, in words.
        last_test_call: when the last test call arrived; 0 for never.
        rejected: how many requests this process has rejected.
        rejections: status, reason and number among its newest refused bodies.
        without_schedule: exports whose frequency was not recognised.
        crowded: groups that several exports share.
        suggestions: declarations in TOML.
    """

    state: SourceState
    path: str
    credential: str
    last_test_call: float
    rejected: int
    rejections: list[tuple[int, str, int]]
    without_schedule: list[ExportState]
    crowded: list[ExportState]
    suggestions: str


def create_blueprint(service: Service) -> Blueprint:
    """Create the blueprint of ``/sources``."""
    pages = Blueprint("sources_page", __name__)

    @pages.get("/sources")
    def sources() -> str:
        now = service.now()
        states, source_states = service.list_states(now)
        crowded = service.crowded_groups(states)
        test_calls = {
            counter.source: counter.last_arrived_at
            for counter in service.ledger.delivery_counters()
            if counter.kind == "test_call"
        }
        overviews = [
            _overview(service, source, [each for each in states if each.source == source.slug], crowded, test_calls)
            for source in source_states
        ]
        return render_template(
            "sources.html",
            section="sources",
            icon="warn" if any(source.suspect for source in source_states) else "fine",
            refresh=REFRESH_SECONDS,
            overviews=overviews,
            webhook_listen=service.config.webhook_listen,
            has_tls=service.config.tls is not None,
            now=now,
        )

    return pages


def _overview(
    service: Service,
    source: SourceState,
    states: list[ExportState],
    crowded: set[str],
    test_calls: dict[str, float],
) -> SourceOverview:
    slug, configured = source.slug, service.config.sources[source.slug]
    refused = service.ledger.bodies.refused(MAX_REFUSED, slug)
    reasons = Counter((body.status, body.detail) for body in refused)
    suggestions = list(suggested_declarations(states, service.config.exports))[:MAX_SUGGESTIONS]
    return SourceOverview(
        source,
        webhook_path(adapter_of(configured.source).name, slug),
        describe_credential(configured.credentials),
        test_calls.get(slug, 0),
        service.process_metrics.rejected_requests(slug),
        [(*reason, number) for reason, number in reasons.most_common()],
        [state for state in states if state.has_no_schedule],
        [state for state in states if state.id in crowded],
        "\n".join(suggestions),
    )


def describe_credential(credentials: Credentials) -> str:
    """Return what a webhook accepts, in words and without a secret."""
    ways = []
    if credentials.tokens:
        header = f"header {credentials.header}: TOKEN" if credentials.header else "header Authorization: Bearer TOKEN"
        number = len(credentials.tokens)
        ways.append(header if number == 1 else f"{header}, any of {number} tokens")
    ways += [f"Basic authentication as {user}" for user, _ in credentials.basic]
    return ", or ".join(ways) or "none: anyone on this machine can send events"
