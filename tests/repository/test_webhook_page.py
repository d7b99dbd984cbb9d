"""The page about accepted bodies lists what the code accepts: every form, word, frequency and date on it is tried."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from exporter.config.settings import Settings
from exporter.domain import frequency
from exporter.domain.events import STATUS_WORDS, canonical_status
from exporter.ingest import body_text
from exporter.ingest.json_objects import MAX_OBJECTS
from exporter.ingest.vendors import clevertap, date_texts
from exporter.ledger.body_store import MAX_REFUSED
from exporter.server import background, refused_bodies
from monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "reference" / "webhook.md").read_text("utf-8")
SECTIONS = {part.splitlines()[0]: part for part in PAGE.split("\n## ")}


def rows(section: str) -> Iterator[list[str]]:
    """The cells of the table in a section, without its head."""
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def codes(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_limits_are_those_in_effect() -> None:
    store = Settings().store
    for sentence in (
        f"a list of up to {MAX_OBJECTS:,}, in UTF-8",
        f"keeps the newest {MAX_REFUSED} of each source",
        f"the first {refused_bodies.MAX_BYTES // 1024} KiB",
        f"`store.quarantine_retention` ({store.quarantine_retention // 86400} days by default)",
        f"at most {clevertap.MAX_TEXT} characters",
        f"The six keys are {', '.join(f'`{key}`' for key in clevertap.KEYS[:-1])} and `{clevertap.KEYS[-1]}`",
        f"before {clevertap.EARLIEST_YEAR} or",
    ):
        assert sentence in PAGE
    assert background.PRUNE_SECONDS == 3600
    assert "which it checks every hour" in PAGE
    assert refused_bodies.SECONDS_BETWEEN_WRITES == 1
    assert "about once a second" in PAGE


def test_every_reason_for_the_quarantine_is_listed_with_its_meaning() -> None:
    assert {codes(name)[0]: meaning for name, meaning in rows("Bodies that became no event")} == clevertap.REASONS


def test_every_status_word_is_listed_and_has_that_effect() -> None:
    *known, other = rows("Status")
    listed = {codes(stored)[0]: set(words.split(", ")) for stored, words, _ in known}
    assert listed == {status: {status, *words} for status, words in STATUS_WORDS.items()}
    assert canonical_status("PAUSED now") == "paused now"
    assert other[:2] == ["its own text, in lower case", "any other"]


def quoted(text: str) -> list[str]:
    return [plain or code for plain, code in re.findall(r'"([^"]+)"|`(\d+)`', text)]


def test_every_listed_frequency_is_parsed_and_any_other_text_is_the_label() -> None:
    listed, _, other = SECTIONS["Frequency"].rpartition("\n\nAny other text")
    one_run, *recurring = [quoted(line) for line in listed.splitlines() if line.startswith("- ")]
    assert {frequency.parse(text).label for text in one_run} == {frequency.ONE_TIME}
    for text in [text for texts in recurring for text in texts]:
        assert frequency.parse(text).interval > 0, text
    assert [(frequency.parse(text).label, frequency.parse(text).interval) for text in quoted(other)] == [
        (text, 0) for text in ("Monthly", "every 4 to 6 hours", "4 times a day", "every day except Sunday")
    ]


def test_every_listed_date_is_the_same_moment() -> None:
    for form, examples in rows("Date and Time"):
        unix = form.startswith("Unix")
        for example in codes(examples):
            local, offset = date_texts.parse(example)
            expected = datetime(2023, 7, 25, 11, 20, 52) if unix else datetime(2023, 7, 25, 16, 50, 52)  # noqa: DTZ001
            assert (local, offset) == (expected, 0 if unix else None), example


def test_every_listed_offset_is_parsed_and_the_month_never_comes_first() -> None:
    zones = codes(SECTIONS["Date and Time"].partition("follow any clock: ")[2].partition(". It")[0])
    offsets = {zone: date_texts.parse(f"25/07/2023 4:50:52 PM {zone}").utc_offset for zone in zones}
    assert offsets == {"Z": 0, "UTC": 0, "GMT": 0, "+05:30": 19800, "+0530": 19800, "+05": 18000}
    assert date_texts.parse("07/08/2023 4:50:52 PM").local.month == 8
    with pytest.raises(ValueError, match="the day comes first"):
        date_texts.parse("07/25/2023 4:50:52 PM")


def test_every_listed_form_of_a_body_is_read() -> None:
    body = json.dumps({"Partner": "Zürich"}, ensure_ascii=False)
    encodings = {"utf-16": "", "utf-16-le": "", "utf-32": "", "utf-32-be": ""}
    [*_, latin] = rows("Body")
    named = [re.sub("charset=", "", text) for text in codes(latin[1]) if text.startswith("charset=")]
    assert named == ["iso-8859-1", "windows-1252"]
    for encoding, content_type in (encodings | {name: f"text/plain; charset={name}" for name in named}).items():
        assert json.loads(body_text.to_utf8(body.encode(encoding), content_type)) == json.loads(body)
    form = urlencode({"payload": body}).encode()
    assert json.loads(body_text.to_utf8(form, "application/x-www-form-urlencoded")) == json.loads(body)
