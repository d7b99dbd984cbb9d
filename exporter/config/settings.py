"""Defines every setting of the configuration file: its name, type, limits and default.

`exporter.config.loader` builds the `Config` that the rest of the program uses.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from exporter.config import store_url
from exporter.domain import event_time
from exporter.domain.exports import (
    CRITICAL,
    DEFAULT_OBJECTIVE,
    GROUP_LABEL,
    OVERFLOW_LABEL,
    SEVERITIES,
    UNKNOWN_SOURCE,
    WARNING,
)
from exporter.domain.frequency import MAX_INTERVAL
from exporter.ingest.vendors import registry

DEFAULT_SOURCE = "default"
"""The slug of the source that exists if none is configured, and of declared exports that name no source."""
SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

_DURATION = re.compile(r"(\d{1,9}) ?(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Address(NamedTuple):
    """The address that a listener binds."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it."""
        if self.host == "localhost":
            return True
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        """Format it as in the configuration file."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _address(value: object) -> Address:
    message = 'give "ADDRESS:PORT", for example "127.0.0.1:8080" or "[::]:8080"'
    host, colon, port = str(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not port.isdecimal() or not 1 <= int(port) <= 65535:  # noqa: PLR2004
        raise ValueError(message)
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise ValueError(message) from error
    return Address(host, int(port))


def _duration(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        message = 'give a duration such as "90m", "24h" or "7d"'
        raise ValueError(message)
    return int(match[1]) * _SECONDS[match[2]]


def _slug(value: str) -> str:
    if not SLUG.fullmatch(value) or value == UNKNOWN_SOURCE:
        message = f'give lower-case letters, digits and hyphens, at most 63, and not "{UNKNOWN_SOURCE}"'
        raise ValueError(message)
    return value


def _label(value: str) -> str:
    if not value.isprintable() or not 1 <= len(value) <= 128:  # noqa: PLR2004 - the longest label
        message = "give 1 to 128 printable characters"
        raise ValueError(message)
    return value


def _name(value: str) -> str:
    if value in {GROUP_LABEL, OVERFLOW_LABEL}:
        message = f'"{GROUP_LABEL}" and "{OVERFLOW_LABEL}" name what is not declared; give another name'
        raise ValueError(message)
    return _label(value)


def _zone(value: str) -> str:
    event_time.load_zone(value)
    return value


def _severity(value: object) -> object:
    if value not in SEVERITIES:
        message = 'give "critical" for a page, "warning" for a ticket, or "info" for neither'
        raise ValueError(message)
    return value


def _vendor(value: str) -> str:
    if value not in registry.VENDORS:
        message = f"no such vendor; give one of {', '.join(sorted(registry.VENDORS))}"
        raise ValueError(message)
    return value


def _zoned(value: datetime) -> datetime:
    if value.tzinfo is None:
        message = "give a date and time with its zone, for example 2026-12-01T00:00:00Z"
        raise ValueError(message)
    return value


def _store_url(value: SecretStr) -> SecretStr:
    store_url.check(value.get_secret_value())
    return value


def _request_id(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


ListenAddress = Annotated[Address, BeforeValidator(_address)]
Duration = Annotated[int, BeforeValidator(_duration)]
ZonedDatetime = Annotated[datetime, AfterValidator(_zoned)]
Label = Annotated[str, AfterValidator(_label)]
Severity = Annotated[str, BeforeValidator(_severity)]


class Section(BaseModel):
    """A table of the file. Unknown settings are rejected; values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BasicSettings(Section):
    """``basic``: a user name, and a password or the file that contains it."""

    username: str = Field(min_length=1)
    password: SecretStr | None = Field(None, min_length=1)
    password_file: str | None = None


class Server(Section):
    """``[server]``: the listeners."""

    webhook_listen: ListenAddress = Address("127.0.0.1", 8080)
    admin_listen: ListenAddress = Address("127.0.0.1", 10047)
    admin_tokens: list[SecretStr] = []
    admin_tokens_file: list[str] = []
    admin_basic: BasicSettings | None = None
    admin_open: bool = False
    trusted_hops: Annotated[int, Field(ge=0, le=16)] = 0
    keep_alive: Annotated[Duration, Field(ge=5, le=3600)] = 75
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None
    allow_readable_secrets: bool = False


class Store(Section):
    """``[store]``: the database, and how long it keeps events."""

    url: Annotated[SecretStr, AfterValidator(_store_url)] = SecretStr("sqlite:///dataexport.db")
    retention: Annotated[Duration, Field(ge=86400)] = 400 * 86400


class Limits(Section):
    """``[limits]``: the size of requests, and the number of exports."""

    exports_per_source: Annotated[int, Field(ge=1, le=100_000)] = 200
    event_bytes: Annotated[int, Field(ge=1024, le=1048576)] = 65536
    request_bytes: Annotated[int, Field(ge=1024, le=16777216)] = 1048576
    total_request_bytes: Annotated[int, Field(ge=1048576, le=4294967296)] = 67108864


class Log(Section):
    """``[log]``: what is logged to standard error, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class SourceSettings(Section):
    """``[[sources]]``: one webhook URL."""

    slug: Annotated[str, AfterValidator(_slug)]
    vendor: Annotated[str, AfterValidator(_vendor)] = registry.DEFAULT
    timezone: Annotated[str, AfterValidator(_zone)] = event_time.AUTO
    severity: Severity = WARNING
    tokens: list[SecretStr] = []
    tokens_file: list[str] = []
    basic: BasicSettings | None = None
    header: Annotated[str, Field(pattern="^[A-Za-z0-9-]{0,64}$")] = ""


class MatchSettings(Section):
    """``match``: which events belong to a declared export."""

    request_id: Annotated[Label | None, BeforeValidator(_request_id)] = None
    partner: Label | None = None
    data_type: Label | None = None
    frequency: Label | None = None


class ExportSettings(Section):
    """``[[exports]]``: a declared export, which is monitored even if no event ever arrives."""

    name: Annotated[str, AfterValidator(_name)]
    source: str = DEFAULT_SOURCE
    match: MatchSettings
    interval: Annotated[Duration, Field(ge=60, le=MAX_INTERVAL)] | None = None
    grace: Annotated[Duration, Field(ge=0)] | None = None
    max_runtime: Annotated[Duration, Field(ge=60)] | None = None
    first_expected: ZonedDatetime | None = None
    muted_until: ZonedDatetime | None = None
    objective: Annotated[float, Field(gt=0, lt=1)] = DEFAULT_OBJECTIVE
    severity: Severity = CRITICAL
    owner: str = Field("", max_length=128)
    runbook_url: str = Field("", max_length=512, pattern="^(https?://\\S+)?$")


class Settings(Section):
    """The whole file."""

    server: Server = Server()
    store: Store = Store()
    limits: Limits = Limits()
    log: Log = Log()
    sources: list[SourceSettings] = []
    exports: list[ExportSettings] = []
