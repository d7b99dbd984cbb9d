"""The words of the dashboards: those of the exporter, its documentation and its alerts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from check_prose import problems, read_phrases
from dataexport_dashboards import ask, palette
from exporter.domain.states import CONDITIONS
from monitoring import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

BOARDS = {board["uid"]: board for board in ask.boards()}
PHRASES = read_phrases((ROOT / "scripts" / "phrases.txt").read_text("utf-8"))
READ_BY_PEOPLE = {"title", "description", "label", "tooltip", "text", "noValue", "legendFormat", "displayName"}
OTHER_WORDS = {
    r"ledger": "store",
    r"cadence": "interval",
    r"promise[sd]?": "schedule, deadline, objective",
    r"abandoned|given up": "superseded",
    r"fresh(ness)?": "on time",
    r"heard of": "newest event",
    r"silenced": "muted",
    r"announcements?": "event",
    r"clock settings?": "time zone",
    r"lost": "missed",
    r"kept aside": "quarantined",
    r"recognised export": "detected export",
    r"late (?:export|run)s?|exports? (?:is|are) late": "overdue",
    r"gap|blind": "outage",
}
"""Words that the documentation does not have, and those that it has."""

each_board = pytest.mark.parametrize("board", [pytest.param(board, id=uid) for uid, board in BOARDS.items()])


def texts(value: object) -> Iterator[str]:
    """Everything in a dashboard that people read."""
    if isinstance(value, dict):
        for name, each in value.items():
            if name in READ_BY_PEOPLE and isinstance(each, str):
                yield re.sub(r"\{\{\w+\}\}", "", each)
            elif name == "renameByName":
                yield from each.values()
            else:
                yield from texts(each)
        if value.get("id") in READ_BY_PEOPLE and isinstance(value.get("value"), str):
            yield value["value"]
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


@each_board
def test_a_dashboard_has_no_phrase_that_is_not_plain_english(board: dict[str, Any]) -> None:
    found = list(texts(board))
    assert board["description"] in found
    assert [problem for text in found for problem in problems(text, PHRASES)] == []


@each_board
def test_a_dashboard_has_the_words_of_the_documentation(board: dict[str, Any]) -> None:
    for text in texts(board):
        for pattern, word in OTHER_WORDS.items():
            assert not re.search(rf"\b(?:{pattern})\b", text, re.IGNORECASE), f"{text!r}: {word}"


def test_the_states_and_their_order_are_those_of_the_exporter() -> None:
    assert tuple(each.word for each in sorted(palette.CONDITIONS, key=lambda each: -each.code)) == CONDITIONS


def mappings(value: object) -> Iterator[dict[str, Any]]:
    """The words of every value mapping in a part of a dashboard."""
    if isinstance(value, dict):
        if value.get("type") == "value":
            yield {code: result["text"] for code, result in value["options"].items()}
        for each in value.values():
            yield from mappings(each)
    elif isinstance(value, list):
        for each in value:
            yield from mappings(each)


@pytest.mark.parametrize("uid", ["dataexport-overview", "dataexport-export"])
def test_a_state_has_the_same_word_wherever_it_is_shown(uid: str) -> None:
    words = {str(each.code): each.word for each in palette.CONDITIONS}
    of_states = [each for each in mappings(BOARDS[uid]) if str(palette.IS_OVERDUE.code) in each]
    assert len(of_states) >= 2
    assert all(each == words for each in of_states)
