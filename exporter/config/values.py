"""Parses the values of settings. Every message says what would be right, in the words of this program.

A value comes from TOML or JSON with a type, or from an environment variable as text. A number or a
boolean may be either. pydantic calls the parsers before its own checks, so that none of its messages is shown.
"""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from pydantic import BeforeValidator

from exporter.config import store_url
from exporter.domain import event_time, landing
from exporter.domain.durations import UNIT_SECONDS, parse_duration
from exporter.domain.exports import GROUP_LABEL, OVERFLOW_LABEL, SEVERITIES, UNKNOWN_SOURCE
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    from collections.abc import Callable

SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
BUCKET_URL = re.compile(r"(s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]{1,62}(/[^\\?#]*)?")
MAX_LABEL = 128
"""The longest label, in characters."""

_TRUE_OR_FALSE = {"true": True, "false": False}


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

    @property
    def from_here(self) -> Address:
        """Where this machine reaches a listener that may be on all addresses."""
        return Address({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port)  # noqa: S104 - compared

    def __str__(self) -> str:
        """Format it as in the configuration file."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(value: object) -> Address:
    """Parse the address of a listener."""
    message = 'give "ADDRESS:PORT", for example "127.0.0.1:8080" or "[::]:8080"'
    host, colon, port = str(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not (port.isascii() and port.isdecimal()) or not 1 <= int(port) <= 65535:  # noqa: PLR2004
        raise ValueError(message)
    if host != "localhost":
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise ValueError(message) from error
    return Address(host, int(port))


def format_bound(seconds: int) -> str:
    """Format seconds in the largest unit that divides them, up to days."""
    unit = next(unit for unit, size in UNIT_SECONDS.items() if unit != "w" and seconds % size == 0)
    return f"{seconds // UNIT_SECONDS[unit]}{unit}"


def duration(least: int, most: int | None = None) -> BeforeValidator:
    """Accept durations within bounds in seconds."""

    def parse(value: object) -> int:
        seconds = parse_duration(value)
        if seconds < least or (most is not None and seconds > most):
            upper = "" if most is None else f' and at most "{format_bound(most)}"'
            message = f'give a duration of at least "{format_bound(least)}"{upper}'
            raise ValueError(message)
        return seconds

    return BeforeValidator(parse)


def integer(least: int, most: int) -> BeforeValidator:
    """Accept whole numbers within bounds."""

    def parse(value: object) -> int:
        text = value.strip() if isinstance(value, str) else ""
        number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(most)) else value
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            message = f"give a whole number from {least} to {most}"
            raise ValueError(message)
        return number

    return BeforeValidator(parse)


def share(value: object) -> float:
    """Accept numbers between 0 and 1."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        message = "give a number above 0 and below 1, such as 0.99"
        raise ValueError(message)
    return float(value)


def true_or_false(value: object) -> bool:
    """Accept a boolean, or its name as text."""
    truth = _TRUE_OR_FALSE.get(value.strip().lower()) if isinstance(value, str) else value
    if not isinstance(truth, bool):
        message = "give true or false"
        raise ValueError(message)  # noqa: TRY004 - pydantic expects a ValueError
    return truth


def choice(*words: str) -> BeforeValidator:
    """Accept one of a few words."""

    def parse(value: object) -> object:
        if value not in words:
            *others, last = [f'"{word}"' for word in words]
            message = f"give {', '.join(others)} or {last}"
            raise ValueError(message)
        return value

    return BeforeValidator(parse)


def text(what: str, most: int = 4096) -> BeforeValidator:
    """Accept texts of at least one character; ``what`` says which."""

    def parse(value: object) -> object:
        if not isinstance(value, str) or not 1 <= len(value) <= most:
            message = f"give {what}"
            raise ValueError(message)
        return value

    return BeforeValidator(parse)


def texts(what: str) -> BeforeValidator:
    """Accept lists of texts; ``what`` says which."""

    def parse(value: object) -> object:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            message = f"give a list of {what}"
            raise ValueError(message)
        return value

    return BeforeValidator(parse)


def optional_text(what: str, matches: Callable[[str], object]) -> BeforeValidator:
    """Accept an empty text, and texts that ``matches`` finds right; ``what`` says which."""

    def parse(value: object) -> object:
        if not isinstance(value, str) or (value and not matches(value)):
            message = f"give {what}"
            raise ValueError(message)
        return value

    return BeforeValidator(parse)


def slug(value: object) -> object:
    """Accept what can be part of a webhook's path and a label."""
    if not isinstance(value, str) or not SLUG.fullmatch(value) or value == UNKNOWN_SOURCE:
        message = f'give lower-case letters, digits and hyphens, at most 63, and not "{UNKNOWN_SOURCE}"'
        raise ValueError(message)
    return value


def label(value: object) -> object:
    """Accept what can be a label."""
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= MAX_LABEL:
        message = f"give 1 to {MAX_LABEL} printable characters, in quotation marks"
        raise ValueError(message)
    return value


def export_name(value: object) -> object:
    """Accept what can be the name of a declared export."""
    if value in (GROUP_LABEL, OVERFLOW_LABEL):
        message = f'"{GROUP_LABEL}" and "{OVERFLOW_LABEL}" are reserved names; give another name'
        raise ValueError(message)
    return label(value)


def request_id(value: object) -> object:
    """Accept a label, or the whole number that it consists of."""
    return label(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def zone(value: object) -> object:
    """Accept ``auto`` and the names of time zones."""
    event_time.load_zone(value if isinstance(value, str) else "")
    return value


def vendor(value: object) -> object:
    """Accept the names of vendors."""
    if not isinstance(value, str) or value not in registry.VENDORS:
        message = f"no such vendor; give one of {', '.join(sorted(registry.VENDORS))}"
        raise ValueError(message)
    return value


def instant(value: object) -> datetime:
    """Accept a date and time with a zone: as TOML has them, or as text."""
    moment = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            moment = None
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        message = "give a date and time with its zone, for example 2026-12-01T00:00:00Z"
        raise ValueError(message)
    return moment


def severity(value: object) -> object:
    """Accept what happens if an export is overdue."""
    if value not in list(SEVERITIES):
        message = 'give "critical" for a page, "warning" for a ticket, or "info" for neither'
        raise ValueError(message)
    return value


def url_of_store(value: object) -> object:
    """Accept the URL of a SQLite file or a PostgreSQL database."""
    return store_url.check(value if isinstance(value, str) else "")


def landing_url(value: object) -> object:
    """Accept the prefix of files in an object store."""
    if not isinstance(value, str) or not BUCKET_URL.fullmatch(value):
        message = 'give "s3://BUCKET/PREFIX", "gs://BUCKET/PREFIX" or "az://CONTAINER/PREFIX"'
        raise ValueError(message)
    problem = landing.template_problem(value)
    if problem:
        raise ValueError(problem)
    return value
