"""What is written on and beside the colours of the dashboards can be read, on a dark page and on a white one."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, Any

import pytest

from dataexport_dashboards import ask, palette
from exporter.metrics.process_metrics import STATUS_CODES

if TYPE_CHECKING:
    from collections.abc import Sequence

PANELS = [(board["uid"], panel) for board in ask.boards() for panel in ask.panels(board)]
WHITE, BLACK = "#FFFFFF", "#000000"
PAGES = {"dark": "#181B1F", "light": WHITE}
"""Grafana's background of a panel."""
LEAST_FOR_TEXT, LEAST_FOR_SHAPES = 4.5, 3.0
"""Ratios of the Web Content Accessibility Guidelines."""
APART = 15
"""How far two colours differ at the least, in units of CIE 1976."""
CONE_RESPONSES = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "without red": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "without green": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "without blue": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""How linear RGB is seen without one kind of cone, by Machado, Oliveira and Fernandes (2009)."""

each_colour = pytest.mark.parametrize("colour", sorted(palette.PALETTE))


def each_panel_of(*kinds: str) -> pytest.MarkDecorator:
    """Run a test for each panel of these kinds."""
    return pytest.mark.parametrize(
        "panel", [pytest.param(panel, id=f"{uid}: {panel['title']}") for uid, panel in PANELS if panel["type"] in kinds]
    )


def dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(each * weight for each, weight in zip(one, other, strict=True))


def channels(colour: str) -> list[int]:
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def linear(colour: str) -> list[float]:
    shares = (each / 255 for each in channels(colour))
    return [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]


def luminance(colour: str) -> float:
    return dot((0.2126, 0.7152, 0.0722), linear(colour))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def lab(colour: str, response: tuple[tuple[float, ...], ...]) -> tuple[float, float, float]:
    """The colour in CIELAB, as someone with these cones sees it."""
    seen = [min(1, max(0, dot(row, linear(colour)))) for row in response]
    white = ((0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8728))
    x, y, z = (dot(row, seen) for row in white)
    fx, fy, fz = (each ** (1 / 3) if each > 0.008856 else 7.787 * each + 16 / 116 for each in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def text_in_cells_and_tiles(colour: str) -> str:
    """The colour in which Grafana writes on a cell or a tile of this colour."""
    red, green, blue = channels(colour)
    return "#202226" if (299 * red + 587 * green + 114 * blue) / 1000 > 180 else "#F7F8FA"


def text_in_timelines(colour: str) -> str:
    """The colour in which Grafana writes on a stretch of a timeline of this colour."""
    return WHITE if contrast(colour, WHITE) >= 3 else BLACK


@each_colour
def test_what_grafana_writes_on_a_colour_can_be_read(colour: str) -> None:
    assert contrast(colour, text_in_cells_and_tiles(colour)) >= LEAST_FOR_TEXT
    assert contrast(colour, text_in_timelines(colour)) >= LEAST_FOR_TEXT


@each_colour
def test_a_shape_of_a_colour_is_seen_on_a_dark_panel(colour: str) -> None:
    assert contrast(colour, PAGES["dark"]) >= LEAST_FOR_SHAPES


@pytest.mark.parametrize("response", CONE_RESPONSES.values(), ids=CONE_RESPONSES)
def test_the_colour_blind_can_tell_the_colours_apart(response: tuple[tuple[float, ...], ...]) -> None:
    for one, other in itertools.combinations(sorted(palette.PALETTE), 2):
        assert math.dist(lab(one, response), lab(other, response)) >= APART, (one, other)


def test_no_colour_could_be_small_text_on_both_pages() -> None:
    """That is why no text is coloured; see the next three."""
    readable = [
        colour for colour in palette.PALETTE if min(contrast(colour, page) for page in PAGES.values()) >= LEAST_FOR_TEXT
    ]
    assert readable == []


@each_panel_of("stat")
def test_a_tile_is_filled_with_its_colour_and_only_if_someone_is_needed(panel: dict[str, Any]) -> None:
    assert panel["options"]["colorMode"] == "background_solid"
    colours = [step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
    for override in panel["fieldConfig"]["overrides"]:
        colours += [each["value"]["fixedColor"] for each in override["properties"] if each["id"] == "color"]
    for mapping in panel["fieldConfig"]["defaults"]["mappings"]:
        meanings = [mapping["options"]["result"]] if mapping["type"] == "special" else mapping["options"].values()
        colours += [each.get("color") or palette.PLAIN for each in meanings]
    assert set(colours) <= palette.ALARMING | {palette.PLAIN, palette.ABSENT}


@each_panel_of("table")
def test_a_cell_is_filled_with_its_colour(panel: dict[str, Any]) -> None:
    assert "color-text" not in str(panel)
    assert [step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [palette.PLAIN]


@each_panel_of("bargauge")
def test_the_number_beside_a_bar_has_the_colour_of_text(panel: dict[str, Any]) -> None:
    assert panel["options"]["valueMode"] == "text"


@each_panel_of("state-timeline")
def test_a_timeline_has_the_colours_themselves_and_no_mixture_with_the_page(panel: dict[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["custom"]["fillOpacity"] == 100


def test_a_refused_request_of_a_stranger_is_no_alarm() -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == "Refused"]
    assert [step["color"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]] == [palette.PLAIN]
    assert "ExportWebhookRejecting" in panel["description"]


def test_every_code_of_an_answer_has_a_colour_of_its_own() -> None:
    [panel] = [panel for _, panel in PANELS if panel["title"] == "Answers by code"]
    colours = {
        override["matcher"]["options"]: override["properties"][0]["value"]["fixedColor"]
        for override in panel["fieldConfig"]["overrides"]
    }
    assert set(colours) == {*STATUS_CODES, "404"}
    assert len(set(colours.values())) == len(colours)
    assert all(code in panel["description"] for code in colours)
