"""Defines every setting of the configuration file: its name, type, limits and default.

`exporter.config.values` parses the values, and `exporter.config.loader` builds the `Config` that the
rest of the program uses.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, SecretStr

from exporter.config import values
from exporter.config.values import Address
from exporter.domain import event_time
from exporter.domain.exports import CRITICAL, DEFAULT_OBJECTIVE, WARNING
from exporter.domain.frequency import DAY, HOUR, MAX_INTERVAL
from exporter.ingest.vendors import registry

DEFAULT_SOURCE = "default"
"""The slug of the source that exists if none is configured, and of declared exports that name no source."""

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "json", "console"]

ListenAddress = Annotated[Address, BeforeValidator(values.address)]
ZonedDatetime = Annotated[datetime, BeforeValidator(values.instant)]
Label = Annotated[str, BeforeValidator(values.label)]
Severity = Annotated[str, BeforeValidator(values.severity)]
Boolean = Annotated[bool, BeforeValidator(values.true_or_false)]
FileName = Annotated[str, values.text('the name of a file, such as "secrets/shop"')]
FileNames = Annotated[list[str], values.texts('file names, such as ["secrets/shop"]')]
Tokens = Annotated[list[SecretStr], values.texts('tokens: ["…"]')]


class Section(BaseModel):
    """A table of the file. Unknown settings are rejected; values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BasicSettings(Section):
    """``basic``: a user name, and a password or the file that contains it."""

    username: Annotated[str, values.text("a user name")]
    password: Annotated[SecretStr, values.text("a password")] | None = None
    password_file: FileName | None = None


class Server(Section):
    """``[server]``: the listeners."""

    webhook_listen: ListenAddress = Address("127.0.0.1", 8080)
    admin_listen: ListenAddress = Address("127.0.0.1", 10047)
    admin_tokens: Tokens = []
    admin_tokens_file: FileNames = []
    admin_basic: BasicSettings | None = None
    admin_open: Boolean = False
    trusted_hops: Annotated[int, values.integer(0, 16)] = 0
    keep_alive: Annotated[int, values.duration(5, HOUR)] = 75
    tls_certificate_file: FileName | None = None
    tls_key_file: FileName | None = None
    allow_readable_secrets: Boolean = False


class Store(Section):
    """``[store]``: the database, and how long it keeps events and bodies."""

    url: Annotated[SecretStr, BeforeValidator(values.url_of_store)] = SecretStr("sqlite:///dataexport.db")
    retention: Annotated[int, values.duration(DAY)] = 400 * DAY
    quarantine_retention: Annotated[int, values.duration(HOUR)] = 30 * DAY
    allow_open_folder: Boolean = False


class Limits(Section):
    """``[limits]``: the size of requests, the number of exports, and what a source may send."""

    exports_per_source: Annotated[int, values.integer(1, 100_000)] = 200
    event_bytes: Annotated[int, values.integer(1024, 1048576)] = 65536
    request_bytes: Annotated[int, values.integer(1024, 16777216)] = 1048576
    events_per_minute: Annotated[int, values.integer(1, 1_000_000_000)] = 100_000
    new_exports_per_day: Annotated[int, values.integer(1, 1_000_000_000)] = 10_000
    test_calls_per_minute: Annotated[int, values.integer(1, 1_000_000_000)] = 60
    quarantined_bytes_per_day: Annotated[int, values.integer(1, 1_000_000_000_000)] = 67108864
    total_request_bytes: Annotated[int, values.integer(1048576, 4294967296)] = 67108864


class Log(Section):
    """``[log]``: what is logged to standard error, and how."""

    level: Annotated[LogLevel, values.choice("debug", "info", "warning", "error")] = "info"
    format: Annotated[LogFormat, values.choice("auto", "json", "console")] = "auto"


class SourceSettings(Section):
    """``[[sources]]``: one webhook URL."""

    slug: Annotated[str, BeforeValidator(values.slug)]
    vendor: Annotated[str, BeforeValidator(values.vendor)] = registry.DEFAULT
    timezone: Annotated[str, BeforeValidator(values.zone)] = event_time.AUTO
    severity: Severity = WARNING
    tokens: Tokens = []
    tokens_file: FileNames = []
    basic: BasicSettings | None = None
    header: Annotated[
        str,
        values.optional_text(
            'the name of a header, such as "X-Export-Token"', re.compile("[A-Za-z0-9-]{1,64}").fullmatch
        ),
    ] = ""


class MatchSettings(Section):
    """``match``: which events belong to a declared export."""

    request_id: Annotated[str, BeforeValidator(values.request_id)] | None = None
    partner: Label | None = None
    data_type: Label | None = None
    frequency: Label | None = None


class ExportSettings(Section):
    """``[[exports]]``: a declared export, which is monitored even if no event ever arrives."""

    name: Annotated[str, BeforeValidator(values.export_name)]
    source: Annotated[str, values.text("the slug of a source")] = DEFAULT_SOURCE
    match: MatchSettings
    interval: Annotated[int, values.duration(60, MAX_INTERVAL)] | None = None
    grace: Annotated[int, values.duration(0)] | None = None
    max_runtime: Annotated[int, values.duration(60)] | None = None
    first_expected: ZonedDatetime | None = None
    muted_until: ZonedDatetime | None = None
    objective: Annotated[float, BeforeValidator(values.share)] = DEFAULT_OBJECTIVE
    severity: Severity = CRITICAL
    owner: Annotated[str, values.optional_text("a text of at most 128 characters", lambda text: len(text) <= 128)] = ""  # noqa: PLR2004 - as its message says
    runbook_url: Annotated[
        str,
        values.optional_text(
            'an address of at most 512 characters, such as "https://wiki.example/nightly"',
            re.compile(r"(?=.{1,512}$)https?://\S+").fullmatch,
        ),
    ] = ""


class Settings(Section):
    """The whole file."""

    server: Server = Server()
    store: Store = Store()
    limits: Limits = Limits()
    log: Log = Log()
    sources: list[SourceSettings] = []
    exports: list[ExportSettings] = []
