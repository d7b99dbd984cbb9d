"""The page of bodies that became no event: what came, why it could not be parsed, and a replay with a preview."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from flask import Blueprint, make_response, redirect, render_template, request
from werkzeug.exceptions import NotFound

from exporter.domain.events import QuarantinedBody
from exporter.domain.humanize import format_instant
from exporter.ingest.intake import reason_meanings
from exporter.ingest.replay import QuarantineSelection
from exporter.ledger.contract import AcceptedEvent
from exporter.server.admin.pages.shown_body import shown_body

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict
    from werkzeug.wrappers import Response as AnyResponse

    from exporter.domain.events import RefusedBody
    from exporter.ingest.replay import ReplayedBody
    from exporter.server.admin.access import Access
    from exporter.server.service import Service

BODIES_PER_PAGE = 50
MAX_REPLAYED = 2_000
"""The most bodies that one replay or preview of this page looks at, so that it takes seconds at most."""
REPLAYED_AT_A_TIME = 500
MAX_SEQUENCE = 2**62
"""Higher ones exist in no store, and a database cannot compare the highest ones."""
MAX_PREVIEWED = 20
"""How many bodies a preview lists."""

EVENTS = "events"
TEST_CALLS = "test calls"
DUPLICATES = "duplicates"
REMAINING = "remaining"
"""What a body becomes by a replay; also the parameters by which a page reports what it did."""

_SHOWN = frozenset({"source", "reason", "before", "refused_before"})


class Replayed(NamedTuple):
    """What became of bodies, or would become of them.

    Attributes:
        numbers: how many became what.
        first: the first of them.
        next_after: the sequence after which the next part begins; None if all selected bodies were examined.
    """

    numbers: Counter[str]
    first: list[ReplayedBody]
    next_after: int | None


def create_blueprint(service: Service, access: Access) -> Blueprint:
    """Create the blueprint of ``/quarantine``, and of the bodies in it and of the refused ones."""
    pages = Blueprint("quarantine_page", __name__)

    @pages.get("/quarantine")
    def quarantine() -> AnyResponse:
        return _page(service, access)

    @pages.post("/quarantine")
    def replay() -> AnyResponse:
        if not (access.may_decide and access.has_form_token):
            response = _page(service, access, problem="Nothing was changed: this form was out of date.")
            response.status_code = HTTPStatus.BAD_REQUEST
            return response
        form = request.form
        sequence = _position(form, "sequence") if form.get("sequence") else None
        selection = QuarantineSelection(form.get("source") or None, form.get("reason") or None, sequence)
        replayed = _replay(service, selection, _position(form, "after") or 0, dry_run=False)
        query: dict[str, object] = {"replayed": replayed.numbers.total(), **replayed.numbers}
        if replayed.next_after is not None:
            query |= {"after": replayed.next_after, "source": selection.source or "", "reason": selection.reason or ""}
        return redirect(f"quarantine?{urlencode(query)}", HTTPStatus.SEE_OTHER)

    @pages.get("/quarantine/<int(max=4611686018427387904):sequence>")
    def quarantined_body(sequence: int) -> str:
        body = next(iter(service.ledger.quarantine(1, None, sequence - 1)), None)
        if body is None or body.sequence != sequence:
            raise NotFound
        preview = _replay(service, QuarantineSelection(body.source, body.reason, sequence), 0, dry_run=True)
        return render_template(
            "quarantined.html",
            section="quarantine",
            title=f"Quarantined body {sequence}",
            facts={
                "Source": body.source,
                "Arrival time": format_instant(body.arrived_at),
                "Reason": f"{body.reason}: {reason_meanings().get(body.reason, '')}",
                "Detail": body.detail,
            },
            body=shown_body(body.body),
            sequence=sequence,
            now_parsed=[_described(each) for each in preview.first],
            may_decide=access.may_decide,
        )

    @pages.get("/refused/<int(max=4611686018427387904):sequence>")
    def refused_body(sequence: int) -> str:
        body = next(iter(service.ledger.bodies.refused(1, None, sequence + 1)), None)
        if body is None or body.sequence != sequence:
            raise NotFound
        return render_template(
            "body.html",
            section="quarantine",
            title=f"Refused body {sequence}",
            facts={
                "Source": body.source,
                "Arrival time": format_instant(body.arrived_at),
                "Answer": f"{body.status}: {body.detail}",
            },
            body=shown_body(body.body, body.size),
        )

    return pages


def _page(service: Service, access: Access, problem: str = "") -> AnyResponse:
    query = request.args
    source, reason = query.get("source") or None, query.get("reason") or None
    ledger, before = service.ledger, _position(query, "before")
    bodies = ledger.quarantine(BODIES_PER_PAGE + 1, source, before=before, reason=reason)
    refused = ledger.bodies.refused(BODIES_PER_PAGE + 1, source, _position(query, "refused_before"))
    groups = ledger.bodies.quarantine_groups()
    after = _position(query, "after") or 0
    preview = _replay(service, QuarantineSelection(source, reason), after, dry_run=True) if "preview" in query else None
    return make_response(
        render_template(
            "quarantine.html",
            section="quarantine",
            icon="warn" if groups else "fine",
            groups=groups,
            total=sum(group.number for group in groups),
            reasons=reason_meanings(),
            source=source,
            reason=reason,
            bodies=[(each, shown_body(each.body[:200]).text) for each in bodies[:BODIES_PER_PAGE]],
            older=_link(before=bodies[BODIES_PER_PAGE - 1].sequence) if len(bodies) > BODIES_PER_PAGE else "",
            refused=refused[:BODIES_PER_PAGE],
            older_refused=_link(refused_before=refused[BODIES_PER_PAGE - 1].sequence)
            if len(refused) > BODIES_PER_PAGE
            else "",
            rejections=_rejections(refused),
            preview=preview,
            after=after,
            next_part=_next_part(preview.next_after if preview else after),
            max_replayed=MAX_REPLAYED,
            previewed=[(each.quarantined, *_described(each)) for each in preview.first] if preview else [],
            done={name: query.get(name, 0, int) for name in ("replayed", EVENTS, TEST_CALLS, DUPLICATES, REMAINING)},
            problem=problem,
            may_decide=access.may_decide,
            now=service.now(),
        )
    )


def _link(**changes: object) -> str:
    """Return the query of this page with other parameters, without those that say what was done."""
    kept = {name: value for name, value in request.args.items() if name in _SHOWN}
    return f"quarantine?{urlencode(kept | changes)}"


def _position(fields: MultiDict[str, str], name: str) -> int | None:
    """Return a sequence that a client gave; None without one, and one that no body has for anything else."""
    return min(max(fields.get(name, 0, int), 0), MAX_SEQUENCE) if name in fields else None


def _next_part(after: int | None) -> str:
    """Return the query of a preview of the bodies after a sequence; empty if there are none."""
    return f"{_link(preview=1, after=after)}#preview" if after else ""


def _replay(service: Service, selection: QuarantineSelection, after: int, *, dry_run: bool) -> Replayed:
    """Replay at most `MAX_REPLAYED` of the selected bodies whose sequence is greater than ``after``."""
    numbers: Counter[str] = Counter()
    first: list[ReplayedBody] = []
    next_after: int | None = after
    examined = 0
    while next_after is not None and examined < MAX_REPLAYED:
        page = service.replay_quarantine(selection, next_after, REPLAYED_AT_A_TIME, dry_run=dry_run)
        numbers.update(map(_outcome, page.bodies))
        first += page.bodies[: MAX_PREVIEWED - len(first)]
        next_after = page.next_after
        examined += REPLAYED_AT_A_TIME
    return Replayed(numbers, first, next_after)


def _outcome(replayed: ReplayedBody) -> str:
    if isinstance(replayed.entry, QuarantinedBody):
        return REMAINING
    if not isinstance(replayed.entry, AcceptedEvent):
        return TEST_CALLS
    return EVENTS if replayed.inserted else DUPLICATES


def _described(replayed: ReplayedBody) -> tuple[bool, str]:
    """Return whether a body can be parsed now, and what it becomes, in a sentence."""
    entry = replayed.entry
    if isinstance(entry, QuarantinedBody):
        return False, entry.detail
    if not isinstance(entry, AcceptedEvent):
        return True, "a test call"
    event = entry.event
    labels = ", ".join(filter(None, (event.partner, event.data_type, event.frequency, event.request_id)))
    return True, f"{event.status} {format_instant(event.occurred_at)}: {labels}"


def _rejections(refused: list[RefusedBody]) -> list[tuple[str, int, str, int]]:
    """Return how often each source was refused for which reason among the newest refused bodies."""
    numbers = Counter((body.source, body.status, body.detail) for body in refused)
    return [(*key, number) for key, number in numbers.most_common()]
