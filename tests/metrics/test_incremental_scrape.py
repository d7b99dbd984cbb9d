"""However a scrape came about, it is what the client library writes of everything that is known now."""

from __future__ import annotations

import gzip
import zlib
from datetime import UTC
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from builders import HOUR, MINUTE, accepted_event, at
from exporter.domain.exports import Source
from exporter.ingest.vendors.clevertap import REASONS
from exporter.ledger import contract as ledgers
from exporter.metrics.gzip_parts import Engine, compression_engine
from exporter.metrics.renderer import Renderer
from exporter.metrics.series_limit import combine
from exporter.projection.projector import Projector
from memory_ledger import MemoryLedger
from reference import Reference, rendered_by_library
from told_events import BY_ID, NIGHTLY, Tell, told_events

if TYPE_CHECKING:
    from exporter.domain.states import ExportState

SOURCES = {slug: Source(slug, "UTC", UTC) for slug in ("shop", "other-shop")}
DECLARATIONS = (NIGHTLY, BY_ID)
LIMIT = 3


class Wait(NamedTuple):
    """Nothing, for so many hours; somebody else's exporter may begin to listen after it."""

    hours: int
    outage: bool


steps = st.lists(
    told_events | st.builds(Wait, hours=st.integers(0, 30), outage=st.booleans()),
    min_size=1,
    max_size=25,
)


def reference(projector: Projector, now: float) -> Reference:
    """What a projector knows at an instant, with what is over the limit put together."""
    shown: list[ExportState] = []
    for slug in SOURCES:
        keys = [key for key in projector.exports.all_keys() if key.source == slug]
        keys.sort(key=lambda key: (projector.exports.first_sequence(key), key))
        shown += [projector.export_state(key, now) for key in keys[:LIMIT]]
        if over := [projector.export_state(key, now) for key in keys[LIMIT:]]:
            shown.append(combine(slug, over))
    return Reference(shown, projector.list_sources())


@settings(max_examples=20)
@given(steps=steps, by=st.sampled_from([zlib, compression_engine()]))
def test_after_every_step_the_scrape_is_what_the_library_writes_anew(steps: list[Tell | Wait], by: Engine) -> None:
    ledger, now = MemoryLedger(), at("0:00")
    ledger.record_declarations([(each.match.source, each.name) for each in DECLARATIONS], now)
    projector = Projector(ledger, SOURCES, DECLARATIONS)
    renderer = Renderer(projector, LIMIT, REASONS, engine=by)
    dropped = 0
    for number, step in enumerate(steps):
        if isinstance(step, Wait):
            if step.outage:
                ledger.record_heartbeat(f"watch {number}", now)
            else:
                ledger.append([ledgers.TestCallReceived("shop", now)])
            now += step.hours * HOUR
            if step.outage:
                ledger.record_heartbeat(f"watch {number}, again", now)
        else:
            now += step.minutes * MINUTE
            ledger.append([accepted_event(step.event(now))])
        renderer.update(now)
        anew = Projector(ledger, SOURCES, DECLARATIONS)
        anew.catch_up()
        assert projector.list_states(now) == anew.list_states(now)
        known = reference(anew, now)
        for openmetrics in (False, True):
            body = renderer.body(openmetrics=openmetrics)
            expected = rendered_by_library(known, openmetrics=openmetrics)
            assert body.plain(b"").decode() == expected
            assert gzip.decompress(body.gzip(b"# EOF\n")).decode() == expected + "# EOF\n"
        assert renderer.series == sum(not line.startswith("#") for line in expected.splitlines())
        assert renderer.dropped >= dropped
        dropped = renderer.dropped
