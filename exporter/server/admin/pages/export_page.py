"""The page of one export: why its deadline is what it is, runs, events, alerts, series, and forms for decisions."""

from __future__ import annotations

from collections import Counter
from datetime import UTC
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.exceptions import NotFound

from exporter.domain.errors import DecisionRefusedError, NoSuchExportError, NothingToUndoError
from exporter.domain.explanation import explain_deadline
from exporter.domain.export_alerts import EXPORT_ALERTS
from exporter.domain.exports import DECLARED
from exporter.domain.humanize import format_instant, format_local
from exporter.domain.mute_choices import format_local_time, mute_choices
from exporter.domain.slot_outcomes import ON_TIME
from exporter.metrics.families import promql_selectors
from exporter.server.admin.pages.decision_form import CUSTOM, DecisionForm
from exporter.server.admin.pages.duration_chart import duration_chart
from exporter.server.admin.pages.shown_body import shown_body
from exporter.server.admin.pages.slot_strip import bars

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from werkzeug.wrappers import Response as AnyResponse

    from exporter.domain.decision_rules import Subject
    from exporter.server.admin.access import Access
    from exporter.server.export_detail import ExportDetail
    from exporter.server.service import Service

MAX_RUNS = 30
MAX_EVENTS = 30
REFRESH_SECONDS = 30

OUT_OF_DATE = "This form was out of date. Nothing was changed; please send it again."
DONE = {
    "mute": "Muted.",
    "unmute": "No longer muted.",
    "retire": "Retired until an event of it arrives.",
    "unretire": "The retirement is undone.",
}
"""What a page says after a decision."""


class _Asked(NamedTuple):
    """What a form asks for; ``zones`` are those that its local time may be in."""

    action: str
    form: DecisionForm
    zones: Mapping[str, tzinfo]


def create_blueprint(service: Service, access: Access) -> Blueprint:
    """Create the blueprint of ``/exports/<id>`` and of the bodies of events."""
    pages = Blueprint("export_page", __name__)
    pages.add_app_template_filter(format_local, "local")

    @pages.get("/exports/<export_id>")
    def export(export_id: str) -> AnyResponse:
        detail, now = _find(service, export_id)
        return _page(service, access, detail, now, done=request.args.get("done", ""))

    @pages.post("/exports/<export_id>")
    def decide(export_id: str) -> AnyResponse:
        detail, now = _find(service, export_id)
        subject = detail.subject
        asked = _Asked(request.form.get("action", ""), DecisionForm.parse(request.form), _zones(service, subject))
        asked.form.refuse(_problem_of_form(access) or _decide(service, subject, asked, now))
        if asked.form.problems:
            response = _page(service, access, detail, now, asked=asked)
            response.status_code = HTTPStatus.BAD_REQUEST
            return response
        return redirect(f"{export_id}?done={asked.action}", HTTPStatus.SEE_OTHER)

    @pages.get("/events/<int(max=4611686018427387904):sequence>")
    def event_body(sequence: int) -> str:
        event = next(iter(service.ledger.newest(None, 1, sequence - 1)), None)
        body = service.ledger.body(sequence)
        if event is None or body is None:
            raise NotFound
        return render_template(
            "body.html",
            section="exports",
            title=f"Event {sequence}",
            facts={
                "Source": event.source,
                "Event time": format_instant(event.occurred_at),
                "Arrival time": format_instant(event.arrived_at),
                "Request id": event.request_id,
                "Status": event.status,
            },
            body=shown_body(body),
        )

    return pages


def _find(service: Service, export_id: str) -> tuple[ExportDetail, float]:
    now = service.now()
    try:
        return service.export_detail(export_id, now), now
    except NoSuchExportError:
        raise NotFound from None


def _problem_of_form(access: Access) -> str | None:
    if not access.may_decide:
        return "Decisions need a credential: set server.admin_tokens_file or server.admin_basic."
    if not access.has_form_token:
        return OUT_OF_DATE
    return None


def _decide(service: Service, subject: Subject, asked: _Asked, now: float) -> str | None:
    """Make the decision; return why it was not made, unless that is beside the fields."""
    decisions, form = service.decisions, asked.form
    author, end = form.author(), form.end(now, asked.zones) if asked.action == "mute" else None
    if author is None or form.problems:
        return None
    decide = {"unmute": decisions.unmute, "retire": decisions.retire, "unretire": decisions.unretire}.get(asked.action)
    try:
        if end is not None:
            decisions.mute(subject.key, end, author)
        elif decide is not None:
            decide(subject.key, author)
        else:
            return OUT_OF_DATE
    except NothingToUndoError:
        return None  # somebody did it already, or this form was sent twice
    except DecisionRefusedError as error:
        return f"Nothing was changed: {error}."
    return None


def _zones(service: Service, subject: Subject) -> dict[str, tzinfo]:
    """Return the zones in which a person may give a time: that of the source, if it is configured, and UTC."""
    source = service.config.sources[subject.key.source].source
    own: dict[str, tzinfo] = {} if source.zone is None else {source.timezone: source.zone}
    return own | {"UTC": UTC}


def _page(  # noqa: PLR0913 - what the page shows
    service: Service,
    access: Access,
    detail: ExportDetail,
    now: float,
    *,
    asked: _Asked | None = None,
    done: str = "",
) -> Response:
    subject, state = detail.subject, detail.subject.state
    zones = _zones(service, subject)
    zone_name, zone = next(iter(zones.items()))
    form = asked.form if asked else DecisionForm(until_local=format_local_time(now + 7200, zone), zone=zone_name)
    if not form.by and request.authorization:
        form.by = request.authorization.username or ""
    alerts = [(alert, alert.applies(state, now)) for alert in EXPORT_ALERTS]
    return make_response(
        render_template(
            "export.html",
            section="exports",
            icon=_ICONS.get(state.condition(now), "bad"),
            refresh=REFRESH_SECONDS if asked is None else 0,
            state=state,
            word=state.condition(now),
            subject=subject,
            is_declared=subject.key.kind == DECLARED,
            explanation=explain_deadline(state, detail.basis, now, zone),
            slots=bars(state.recent_slots),
            slot_counts=Counter(slot.outcome for slot in state.recent_slots),
            not_on_time=[slot for slot in reversed(state.recent_slots) if slot.outcome != ON_TIME],
            zone_name=zone_name,
            zones=zones,
            runs=detail.runs[:MAX_RUNS],
            more_runs=len(detail.runs) > MAX_RUNS,
            chart=duration_chart(detail.runs, state.usual_duration),
            events=detail.events[:MAX_EVENTS],
            alerts=sorted(alerts, key=lambda pair: not pair[1]),
            selectors=promql_selectors(state),
            choices=mute_choices(now, zone),
            custom=CUSTOM,
            form=form,
            action=asked.action if asked else "",
            done=DONE.get(done, ""),
            may_decide=access.may_decide,
            now=now,
        )
    )


_ICONS = {"fine": "fine", "running": "fine", "muted": "muted", "no schedule": "warn", "not started": "warn"}
