"""A vendor that shares nothing with CleverTap: other keys, status words and dates, and no request ids."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING

from exporter.domain import frequency
from exporter.domain.events import COMPLETED, INITIATED, ParsedEvent
from exporter.ingest.vendors.adapter import Adapter, TestCall, Unrecognised

if TYPE_CHECKING:
    from exporter.ingest.json_objects import JsonObject

PHASES = {"begun": INITIATED, "landed": COMPLETED}
PHASE_OF_STATUS = {status: phase for phase, status in PHASES.items()}
TARGETS = {"the lake": "Data Lake", "lake": "Data Lake"}
FORMAT = "%Y%m%dT%H%M%S"


def canonical_partner(text: str) -> str:
    return TARGETS.get(text.casefold(), text)


def parse(body: JsonObject, latest: datetime) -> ParsedEvent | TestCall | Unrecognised:
    values = dict(body.pairs)
    if values == {"hello": True}:
        return TestCall()
    try:
        phase, target, kind, every, stamp = (str(values[key]) for key in ("phase", "target", "kind", "every", "stamp"))
        local = datetime.strptime(stamp, FORMAT)  # noqa: DTZ007 - local times have no zone
    except (KeyError, ValueError) as error:
        return Unrecognised("not_a_toy", f"it is no toy: {error}")
    if phase not in PHASES or local > latest:
        return Unrecognised("odd_toy", f"a toy is not {phase} at {stamp}")
    digest = hashlib.sha256("/".join(map(str, values.values())).encode()).digest()[:16]
    return ParsedEvent(
        request_id="",
        partner=canonical_partner(target),
        data_type=kind,
        status=PHASES[phase],
        frequency=frequency.parse(every).label,
        local_time=local,
        digest=digest,
    )


def sample_body(  # noqa: PLR0913 - the fields of an event
    *, status: str, partner: str, data_type: str, frequency: str, request_id: str, local_time: datetime
) -> str:
    del request_id  # toys have none
    return json.dumps(
        {
            "phase": PHASE_OF_STATUS[status],
            "target": partner,
            "kind": data_type.lower(),
            "every": frequency,
            "stamp": local_time.strftime(FORMAT),
        }
    )


TOY = Adapter(
    name="toy",
    parse=parse,
    reasons={"not_a_toy": "it has another form", "odd_toy": "it says what toys do not say"},
    canonical_partner=canonical_partner,
    sample_body=sample_body,
    test_call=None,
    schema={"type": "object", "properties": {"phase": {"enum": sorted(PHASES)}}, "examples": [{"phase": "begun"}]},
)
