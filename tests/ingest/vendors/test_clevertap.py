"""The CleverTap adapter parses events and test calls, and gives a reason for every other body.

All bodies but the two samples are made up.
"""

from __future__ import annotations

import json
from datetime import datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import SAMPLES, body, fields
from clevertap_bodies import DATE, LATEST, parse, parse_event, reason, with_value
from exporter.domain.events import ParsedEvent
from exporter.ingest.vendors import adapter
from exporter.ingest.vendors.adapter import Unrecognised
from exporter.ingest.vendors.clevertap import KEYS, REASONS, canonical_partner


def test_the_documented_sample_is_parsed() -> None:
    parsed = parse_event((SAMPLES / "completed-one-time.json").read_bytes())
    assert parsed == ParsedEvent(
        request_id="1690283492",
        partner="Google Cloud Storage",
        data_type="events",
        status="completed",
        frequency="one-time",
        local_time=datetime(2023, 7, 25, 16, 50, 52),  # noqa: DTZ001 - as above
        digest=parsed.digest,
    )
    assert len(parsed.digest) == 16


def test_the_call_at_the_creation_of_a_webhook_is_a_test_call() -> None:
    assert parse((SAMPLES / "webhook-created-test.json").read_bytes()) == adapter.TestCall()
    assert parse(b'{"is_test": true}') == adapter.TestCall()


@pytest.mark.parametrize("raw", [b"{}", b'{"is_test": false}', b'{"is_test": 1}', b'{"is_test": "true"}'])
def test_without_a_true_is_test_a_body_without_the_keys_is_no_test_call(raw: bytes) -> None:
    assert reason(raw) == "missing_key"


def test_an_event_with_is_test_is_an_event() -> None:
    assert parse_event(with_value("is_test", value=True)) == parse_event(body())


def test_is_test_beside_some_of_the_keys_is_an_event_that_lacks_the_others() -> None:
    assert reason(b'{"is_test": true, "Status": "Completed"}') == "missing_key"


def test_the_order_of_the_keys_does_not_matter() -> None:
    values = fields()
    assert (
        len({parse_event(json.dumps({key: values[key] for key in order}).encode()) for order in permutations(KEYS)})
        == 1
    )


def test_further_keys_are_ignored() -> None:
    assert parse_event(with_value("Bucket", {"nested": [1, {"is": None}]})) == parse_event(body())


def test_spaces_and_case_do_not_matter() -> None:
    spaced = {f"  {key.replace(' ', '   ').upper()} ": value for key, value in fields().items()}
    assert parse_event(json.dumps(spaced).encode()) == parse_event(body())
    loud = body("  INITIATED ", "  01/06/2026   12:00:00  am ", " 1700000001 ", Partner="AMAZON  s3", Type="EVENTS\n")
    assert parse_event(loud) == parse_event(body())


@pytest.mark.parametrize("key", KEYS)
def test_each_of_the_six_keys_has_to_be_there(key: str) -> None:
    values = fields()
    del values[key]
    parsed = parse(json.dumps(values).encode())
    assert isinstance(parsed, Unrecognised)
    assert (parsed.reason, parsed.detail) == ("missing_key", f"missing: {key!r}")


@pytest.mark.parametrize("key", KEYS)
def test_none_of_the_six_keys_may_be_there_twice(key: str) -> None:
    second = json.dumps({key.lower(): "whatever"})
    assert reason(body()[:-1] + b", " + second[1:].encode()) == "duplicate_key"


def test_any_other_key_may_be_there_twice() -> None:
    assert parse_event(body()[:-1] + b', "Note": 1, "Note": 2}') == parse_event(body())


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", [None, True, 1.5, [], {}, ["Events"]])
def test_a_value_of_another_type_is_unrecognised(key: str, value: object) -> None:
    assert reason(with_value(key, value)) == "wrong_type"


@pytest.mark.parametrize("key", ["Partner", "Type", "Status"])
def test_a_number_is_text_in_none_of_these(key: str) -> None:
    assert reason(with_value(key, 4)) == "wrong_type"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["", "   ", "\t\n\u2003"])
def test_an_empty_value_is_unrecognised(key: str, value: str) -> None:
    assert reason(with_value(key, value)) == "empty_text"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["a\0b", "a\x1bb", "a\u202eb", "a\ud800b", "a\ufdd0b"])
def test_a_value_with_control_characters_or_broken_unicode_is_unrecognised(key: str, value: str) -> None:
    assert reason(with_value(key, value)) == "unprintable_text"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("value", ["x" * 129, "İ" * 65, "ß" * 65])
def test_a_value_that_is_too_long_in_any_case_is_unrecognised(key: str, value: str) -> None:
    assert reason(with_value(key, value)) == "text_too_long"


def test_a_value_may_have_128_characters() -> None:
    assert parse_event(with_value("Type", "x" * 128)).data_type == "x" * 128


def test_a_request_id_is_a_number_or_a_string() -> None:
    assert parse_event(body(request_id=1700000001)) == parse_event(body(request_id="1700000001"))
    assert parse_event(body(request_id="a-1")).request_id == "a-1"
    assert parse_event(body(request_id=-5)).request_id == "-5"
    assert parse_event(body(request_id=2**63)).request_id == str(2**63)
    assert parse_event(body(request_id=10**127)).request_id == "1" + "0" * 127


@pytest.mark.parametrize("digits", [129, 4000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_of_too_many_digits_is_too_long(digits: int, sign: str) -> None:
    assert reason(body(request_id=0).replace(b": 0", f": {sign}{'7' * digits}".encode())) == "text_too_long"


def test_a_negative_number_counts_its_sign() -> None:
    assert reason(body(request_id=-(10**127))) == "text_too_long"


@pytest.mark.parametrize(
    ("value", "label"),
    [(4, "4h"), ("24", "24h"), ("Every 12 hours", "12h"), ("One Time", "one-time"), ("Full  Moon", "Full Moon")],
)
def test_a_frequency_has_one_label(value: object, label: str) -> None:
    assert parse_event(with_value("Frequency", value)).frequency == label


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("Initiated", "started", "BEGUN"), "initiated"),
        (("Running", "in progress", "In-Progress", "IN_PROGRESS"), "running"),
        (("Completed", "complete", "Success", "succeeded", "successful", "done", "Finished"), "completed"),
        (
            ("Failed", "failure", "Error", "stopped", "cancelled", "canceled", "aborted", "expired"),
            "failed",
        ),
        (("Paused",), "paused"),
        (("On  Hold",), "on hold"),
    ],
)
def test_every_synonym_of_a_status_is_that_status_and_another_word_stays(words: tuple[str, ...], status: str) -> None:
    assert {parse_event(with_value("Status", word)).status for word in words} == {status}


@pytest.mark.parametrize("value", [1.0, True])
def test_a_value_that_equals_a_cached_number_is_still_of_the_wrong_type(value: object) -> None:
    assert parse_event(with_value("Frequency", 1)).frequency == "1h"
    assert reason(with_value("Frequency", value)) == "wrong_type"


@pytest.mark.parametrize(
    ("given_name", "canonical"),
    [
        ("Amazon S3", "Amazon S3"),
        ("AWS S3", "Amazon S3"),
        ("aws", "Amazon S3"),
        ("Google Cloud Storage", "Google Cloud Storage"),
        ("Google Cloud Platform", "Google Cloud Storage"),
        ("Google Cloud Platform (GCP)", "Google Cloud Storage"),
        ("Google Cloud", "Google Cloud Storage"),
        ("gcp", "Google Cloud Storage"),
        ("MICROSOFT AZURE", "Microsoft Azure"),
        ("azure", "Microsoft Azure"),
        ("Snowflake Inc", "Snowflake Inc"),
    ],
)
def test_the_known_spellings_of_a_partner_have_one_name(given_name: str, canonical: str) -> None:
    assert canonical_partner(given_name) == canonical
    assert parse_event(with_value("Partner", given_name)).partner == canonical


@pytest.mark.parametrize(
    ("key", "attribute"), [("Partner", "partner"), ("Type", "data_type"), ("Frequency", "frequency")]
)
def test_a_label_is_stored_in_normal_form_c_and_another_form_is_no_other_event(key: str, attribute: str) -> None:
    composed, decomposed = "b\u00fccket", "bu\u0308cket"
    parsed = parse_event(with_value(key, decomposed))
    assert getattr(parsed, attribute) == composed
    assert parsed == parse_event(with_value(key, composed))
    assert getattr(parse_event(with_value(key, "u\u0308" * 128)), attribute) == "\u00fc" * 128


def test_another_delivery_of_the_same_event_has_the_same_digest() -> None:
    spaced = json.dumps(dict(reversed(fields("  initiated").items())), indent=3).encode()
    assert parse_event(spaced).digest == parse_event(body()).digest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Export Request Id", 1700000002),
        ("Partner", "Azure"),
        ("Type", "Profiles"),
        ("Status", "Completed"),
        ("Frequency", "Every 8 hours"),
        (DATE, "01/06/2026 12:00:01 AM"),
    ],
)
def test_another_value_of_any_key_makes_another_digest(key: str, value: object) -> None:
    assert parse_event(with_value(key, value)).digest != parse_event(body()).digest


def test_values_cannot_be_shifted_from_one_key_to_the_next() -> None:
    first = parse_event(body(Partner="S3 Events", Type="x"))
    second = parse_event(body(Partner="S3", Type="Events x"))
    assert first.digest != second.digest


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*KEYS, "is_test", "Other"]), json_values))
def test_any_object_is_parsed_or_has_a_reason(changes: dict[str, object]) -> None:
    parsed = parse(json.dumps(fields() | changes).encode())
    if isinstance(parsed, Unrecognised):
        assert parsed.reason in REASONS
    elif isinstance(parsed, ParsedEvent):
        texts = (parsed.request_id, parsed.partner, parsed.data_type, parsed.status, parsed.frequency)
        assert all(text.isprintable() and 0 < len(text) <= 128 for text in texts)
        assert parsed.local_time <= LATEST


alike = st.sampled_from([4, 4.0, "4", True, "Amazon S3", "amazon  S3 ", "ß" * 65, "a\0b", "", [4], {"a": [4]}])
dates = st.sampled_from(
    ["01/06/2026 12:00:00 AM", " 1/6/2026, 12:00 a.m.", "02/06/2026 1:00:00 AM", "31/02/2026 1:00 AM"]
)


@given(st.permutations(KEYS), st.dictionaries(st.sampled_from(KEYS), alike | json_values), dates | alike)
def test_cached_values_parse_as_uncached_ones_do(order: list[str], changes: dict[str, object], when: object) -> None:
    values = fields() | {DATE: when} | changes
    raw = json.dumps({key: values[key] for key in order}).encode()
    large = raw[:-1] + b', "Note": "' + b"x" * 1024 + b'"}'
    # Nothing of the large one is cached, and its keys take the slower path.
    assert parse(raw) == parse(raw) == parse(large)
