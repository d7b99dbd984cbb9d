"""A formatted event parses back to the same, and a line that cannot be replayed is refused with advice."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import at, event, instant
from exporter.domain.errors import PayloadError
from exporter.ingest.json_lines import EventLine, format_line, parse_line
from exporter.ledger.contract import AcceptedEvent
from tools import thorough

BODY = '{"a": 1}'


def test_a_stored_event_is_read_as_it_was_written() -> None:
    stored = event("completed", at("0:00"), delay=0.123456, source="shop")
    raw = '{\r\n "a" : "x\\n\\u00fc ü {}[]\\"",\n "a": [1, {"b": null}]}'.encode()
    line = format_line(AcceptedEvent(stored, raw))
    assert "\n" not in line
    parsed = parse_line(line.encode())
    assert (parsed.source, parsed.arrived_at) == ("shop", stored.arrived_at)
    assert parsed.body == raw.replace(b"\n", b" ").replace(b"\r", b" ")


texts = st.text(max_size=12)


@thorough
@given(
    st.dictionaries(texts, st.recursive(st.none() | st.integers() | texts, st.lists, max_leaves=6), max_size=4),
    st.data(),
)
def test_any_body_comes_back_verbatim_with_the_members_in_any_order(
    body: dict[str, object], data: st.DataObject
) -> None:
    separators = data.draw(st.sampled_from([None, (",", ":")]))
    raw = json.dumps(body, ensure_ascii=data.draw(st.booleans()), separators=separators)
    members = ['"source": "s"', '"arrived_at" : 1.5', f'"body":  {raw}', '"more": [{}]']
    text = " { " + " , ".join(data.draw(st.permutations(members))) + " } "
    assert parse_line(text.encode()) == EventLine("s", 1.5, raw.encode())


@pytest.mark.parametrize(
    ("arrived_at", "seconds"),
    [
        ("1750000000", 1750000000.0),
        ("1750000000.25", 1750000000.25),
        ('"2026-06-01T00:00:00Z"', instant("2026-06-01")),
        ('"2026-06-01T05:30:00+05:30"', instant("2026-06-01")),
        ('"2026-06-01"', instant("2026-06-01")),
    ],
)
def test_an_arrival_is_unix_seconds_or_a_date_and_time(arrived_at: str, seconds: float) -> None:
    line = f'{{"source": "s", "arrived_at": {arrived_at}, "body": {BODY}}}'
    assert parse_line(line.encode()) == EventLine("s", seconds, BODY.encode())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "is not a JSON object"),
        (b"[]", "is not a JSON object: expected { at character 0"),
        (b"{", "is not a JSON object"),
        (b'{"a" 1}', "is not a JSON object: expected : at character"),
        (b"{1: 2}", 'is not a JSON object: expected " at character 1'),
        (b"{~", 'is not a JSON object: expected " at character 1'),
        (b'{"a": 1} more', "is not a JSON object: more text after its end"),
        (b'{"a": 1 "b": 2}', "is not a JSON object"),
        (b'{"a": 1; "b": 2}', "is not a JSON object: expected , at character 7"),
        (b'{"a": 1,}', "is not a JSON object"),
        (b"\xff{}", "is not a JSON object"),
        (b'{"a": ' + b"[" * 100_000, "is not a JSON object"),
        (b"{}", "has no source, arrived_at, body; a line has source, arrived_at, body"),
        (b'{"source": 1, "arrived_at": 1, "body": {}}', "its source is not a text"),
        (b'{"source": "s", "arrived_at": 1, "body": []}', "its body is not an object"),
        (b'{"source": "s", "arrived_at": 1, "body": "{}"}', "its body is not an object"),
        (b'{"source": "s", "arrived_at": "soon", "body": {}}', "its arrived_at 'soon' is not a date and time"),
        (b'{"source": "s", "arrived_at": 0, "body": {}}', "its arrived_at is not a time after 1970"),
        (b'{"source": "s", "arrived_at": true, "body": {}}', "its arrived_at is not a time after 1970"),
        (b'{"source": "s", "arrived_at": NaN, "body": {}}', "its arrived_at is not a time after 1970"),
        (b'{"source": "s", "arrived_at": 1e300, "body": {}}', "its arrived_at is not a time after 1970"),
        (b'{"source": "s", "arrived_at": null, "body": {}}', "its arrived_at is not a time after 1970"),
    ],
)
def test_a_line_that_cannot_be_replayed_is_refused_with_advice(line: bytes, problem: str) -> None:
    with pytest.raises(PayloadError) as refusal:
        parse_line(line)
    assert problem in str(refusal.value)
