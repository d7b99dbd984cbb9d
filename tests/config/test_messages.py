"""Every problem of a configuration at once, each in our words and with the place that its value came from."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from configurations import problems
from exporter.config.loader import load
from exporter.config.settings import (
    BasicSettings,
    ExportSettings,
    Limits,
    Log,
    MatchSettings,
    Server,
    Settings,
    SourceSettings,
    Store,
)
from exporter.config.variables import VARIABLES
from exporter.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel

LIBRARY_PHRASES = re.compile(
    r"Input|should|valid (string|integer|list|dict|bool)|String|[Vv]alue error|validation|pydantic|Field required"
    r"|Expecting|delimiter|\(char \d|codec|Errno|NoneType|datetime\.|<class|object at|Decimal|sqlalchemy|argument"
    r"|True|False|None|instance|type=|expected str|unable to|greater than|less than"
)
WRONG_VALUES = (
    "7",
    "-1",
    "1.5",
    "true",
    '""',
    '"x y"',
    '"1h"',
    f'"{"x" * 600}"',
    "inf",
    "2026-12-01",
    "07:30:00",
    "2026-12-01T00:00:00",
    "[]",
    "[7]",
    '["x"]',
    "[[]]",
    "{}",
    '{ a = "b" }',
)
TABLES: dict[str, type[BaseModel]] = {
    "[server]\n{}": Server,
    "[server.admin_basic]\n{}": BasicSettings,
    "[store]\n{}": Store,
    "[limits]\n{}": Limits,
    "[log]\n{}": Log,
    "[[sources]]\n{}": SourceSettings,
    "[[exports]]\n{}": ExportSettings,
    "[[exports]]\n[exports.match]\n{}": MatchSettings,
    "{}": Settings,
}


@pytest.mark.parametrize("table", TABLES)
def test_no_problem_has_the_words_of_a_library(tmp_path: Path, table: str) -> None:
    path = tmp_path / "dataexport.toml"
    told = []
    for name in [*TABLES[table].model_fields, "unknown"]:
        for value in WRONG_VALUES:
            path.write_text(table.format(f"{name} = {value}"), "utf-8")
            try:
                load(path, {})
            except ConfigurationError as error:
                told += [(name, value, problem.removeprefix(f"{path}: ")) for problem in error.problems]
    assert len(told) > len(WRONG_VALUES)
    assert [each for each in told if LIBRARY_PHRASES.search(each[2])] == []


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_a_wrong_variable_is_named_instead_of_its_setting_and_without_the_words_of_a_library(variable: str) -> None:
    told: list[str] = []
    for value in ("", "x", "-1", "[", "{", "7", "[7]", '{"a": 1}', "null", "nan", '"x"', "[" * 10_000, "\udcff"):
        try:
            load(None, {variable: value})
        except ConfigurationError as error:
            told += error.problems
    assert [each for each in told if not each.startswith("environment: DATAEXPORT_")] == []
    assert [each for each in told if LIBRARY_PHRASES.search(each)] == []


def test_what_concerns_several_settings_is_named_by_its_variables_as_well(tmp_path: Path) -> None:
    exports = [{"name": "a", "source": "b", "match": {}}, {"name": "a", "source": "b", "match": {"request_id": 7}}]
    environment = {
        "DATAEXPORT_WEBHOOK_LISTEN": "0.0.0.0:1",
        "DATAEXPORT_ADMIN_LISTEN": "0.0.0.0:1",
        "DATAEXPORT_SOURCES": json.dumps([{"slug": "a"}, {"slug": "a", "tokens_file": [str(tmp_path / "none")]}]),
        "DATAEXPORT_EXPORTS": json.dumps(exports),
        "DATAEXPORT_TLS_KEY_FILE": "key",
        "DATAEXPORT_ADMIN_OPEN": "true",
    }
    with pytest.raises(ConfigurationError) as refusal:
        load(None, environment)
    no_file = f"{str(tmp_path / 'none')!r} cannot be read (No such file or directory); give a readable text file"
    assert set(refusal.value.problems) == {
        (
            "environment: DATAEXPORT_SOURCES[1]: source 'a' has no credential, and DATAEXPORT_WEBHOOK_LISTEN is "
            "0.0.0.0:1, which is not loopback; set tokens_file, tokens or basic"
        ),
        "environment: DATAEXPORT_SOURCES[2].slug: duplicate slug 'a'; give every source its own",
        f"environment: DATAEXPORT_SOURCES[2].tokens_file: {no_file}",
        (
            "environment: DATAEXPORT_ADMIN_LISTEN: 0.0.0.0:1 is the address of DATAEXPORT_WEBHOOK_LISTEN as well; "
            "give each its own port"
        ),
        "environment: DATAEXPORT_TLS_KEY_FILE: requires server.tls_certificate_file, which is missing",
        "environment: DATAEXPORT_EXPORTS[1].source: 'b' is not a source; the sources are a",
        (
            "environment: DATAEXPORT_EXPORTS[1].match: is empty; give at least one of request_id, partner, data_type, "
            "frequency"
        ),
        "environment: DATAEXPORT_EXPORTS[2].source: 'b' is not a source; the sources are a",
        "environment: DATAEXPORT_EXPORTS[2].name: duplicate name 'a' in source 'b'; give another name",
    }


def test_a_problem_of_shape_does_not_hide_what_concerns_several_settings(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        """
        [server]
        trusted_hops = "many"
        [[sources]]
        slug = "shop"
        timezone = "Asia/Kolkatta"
        [[sources]]
        slug = "shop"
        tokens = "abc"
        [[exports]]
        name = "nightly"
        source = "elsewhere"
        match = { partner = 7 }
        """,
    )
    assert told == [
        "server.trusted_hops: 'many': give a whole number from 0 to 16",
        """sources[1].timezone: 'Asia/Kolkatta': no time zone 'Asia/Kolkatta'; did you mean "Asia/Kolkata"?""",
        'sources[2].tokens: give a list of tokens: ["…"]',
        "exports[1].match.partner: 7: give 1 to 128 printable characters, in quotation marks",
        "sources[2].slug: duplicate slug 'shop'; give every source its own",
        "exports[1].source: 'elsewhere' is not a source; the sources are shop",
    ]


def test_nothing_is_concluded_from_a_setting_that_is_wrong(tmp_path: Path) -> None:
    told = problems(
        tmp_path,
        """
        [server]
        webhook_listen = "0.0.0.0:80"
        admin_listen = 8080
        tls_certificate_fil = "certificate"
        tls_key_file = "key"
        [[sources]]
        slug = "Shop"
        [[sources]]
        slug = "typo"
        token = ["abc"]
        [[sources]]
        slug = "shape"
        tokens_file = "secrets/shop"
        [[exports]]
        name = "nightly"
        source = "Shop"
        match = { partner = 7 }
        """,
        {"DATAEXPORT_TOKENS": ""},
    )
    assert told == [
        "environment: DATAEXPORT_TOKENS: is empty; give at least one token, or do not set it at all",
        'server.admin_listen: 8080: give "ADDRESS:PORT", for example "127.0.0.1:8080" or "[::]:8080"',
        "server.tls_certificate_fil: unknown setting; did you mean tls_certificate_file?",
        """sources[1].slug: 'Shop': give lower-case letters, digits and hyphens, at most 63, and not "unknown\"""",
        "sources[2].token: unknown setting; did you mean tokens?",
        'sources[3].tokens_file: give a list of file names, such as ["secrets/shop"]',
        "exports[1].match.partner: 7: give 1 to 128 printable characters, in quotation marks",
    ]


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        (
            '[sources]\nslug = "Shop"\n',
            [
                "sources: is one table; write [[sources]], with two brackets, before each of them",
                "sources[1].slug: 'Shop': give lower-case letters, digits and hyphens, at most 63, and not \"unknown\"",
            ],
        ),
        (
            '[sources.shop]\ntimezone = "UTC"\n',
            ["sources: is one table; write [[sources]], with two brackets, before each of them"],
        ),
        (
            "exports = 7",
            ["exports: is not a list of tables; write [[exports]], with two brackets, before each of them"],
        ),
        ("sources = [7]", ["sources[1]: give a table: { … }"]),
        ("server = 7", ["server: 7: give a table: { … }"]),
        ("[[server]]", ["server: is a list of tables; write [server], with single brackets"]),
        ("[source]", ["source: unknown setting; did you mean sources?"]),
        ('"\\u001b[2J" = 1', ["'\\x1b[2J': unknown setting"]),
    ],
)
def test_what_is_no_table_or_no_list_of_tables_is_told_how_to_write_it(
    tmp_path: Path, toml: str, told: list[str]
) -> None:
    assert problems(tmp_path, toml) == told


def test_values_are_shown_as_they_are_written(tmp_path: Path) -> None:
    values: dict[str, Any] = {"2026-12-01": "2026-12-01", "07:30:00": "07:30:00", "true": "true", '"x"': "'x'"}
    for written, shown in values.items():
        (told,) = problems(tmp_path, f"[limits]\nevent_bytes = {written}\n")
        assert told == f"limits.event_bytes: {shown}: give a whole number from 1024 to 1048576"
    with pytest.raises(ConfigurationError, match=r"DATAEXPORT_EXPORTS\[1\]\.name: null: give 1 to 128"):
        load(None, {"DATAEXPORT_EXPORTS": '[{"name": null, "match": {"partner": "x"}}]'})
