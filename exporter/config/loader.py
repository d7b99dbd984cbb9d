"""The configuration to work with: a frozen `Config` out of a file and the environment.

`load` is a function of a path and a mapping; nothing is read at import. Every problem is
reported at once, each with its place, what was given, and what would be right.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from exporter.config import secret_files, tls
from exporter.config.credentials import Credentials
from exporter.config.environment import DEFAULT_SOURCE, FILE_VARIABLES, overlay_environment
from exporter.config.settings import Section, Settings, SourceSettings
from exporter.domain import event_time, frequency
from exporter.domain.errors import ConfigurationError
from exporter.domain.exports import Declaration, Selection, Source
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr
    from pydantic_core import ErrorDetails

    from exporter.config.settings import Address, BasicSettings, ExportSettings, Limits, Log, Server

_SECRETS = frozenset({"tokens", "admin_tokens", "basic", "admin_basic", "url"})


@dataclass(frozen=True, slots=True)
class ConfiguredSource:
    """A source and what opens it."""

    source: Source
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that is configured, checked.

    Attributes:
        path: the file, or None where there is none.
        trusted_hops: how many proxies before the webhook name the sender's address.
        tls: of the webhook's listener; None where it is plain.
        sources: by slug.
        exports: declared exports, in order.
        retention: seconds that events are kept at the least.
    """

    path: Path | None
    webhook_listen: Address
    admin_listen: Address
    admin_credentials: Credentials
    trusted_hops: int
    tls: ssl.SSLContext | None
    store_url: str = field(repr=False)
    retention: int
    limits: Limits
    log: Log
    sources: Mapping[str, ConfiguredSource]
    exports: tuple[Declaration, ...]

    @property
    def shown_store_url(self) -> str:
        """``store_url`` without its password."""
        return re.sub(r"(//[^:/@]*):.*@", r"\1:***@", self.store_url)

    @property
    def sources_without_credentials(self) -> dict[str, Source]:
        """The sources without their credentials, by slug."""
        return {slug: each.source for slug, each in self.sources.items()}


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the configuration.

    Args:
        path: the TOML file, or None for defaults and the environment alone.
        environment: the environment variables; those that begin with ``DATAEXPORT_`` are ours.

    Raises:
        ConfigurationError: with every problem there is.
    """
    problems: list[str] = []
    place = str(path) if path else "environment"
    raw = _read_file(path) if path else {}
    given, origins = overlay_environment(raw, environment, problems)
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problems += [_describe_error(each, given, place, origins) for each in error.errors(include_url=False)]
        raise ConfigurationError(problems) from error
    config = _build(settings, path, place, problems)
    if not settings.server.allow_readable_secrets:
        variables = [name for each in sorted(FILE_VARIABLES) if (name := f"{each}_FILE") in environment]
        named = {name: Path(environment[name]) for name in variables}
        problems += secret_files.readable_secret_files(given, raw, path, named)
    if problems:
        raise ConfigurationError(problems)
    return config


def _read_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read: {error.strerror}; give an existing file"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError([f"{path}: is not TOML: {error}"]) from error


def _describe_error(error: ErrorDetails, given: object, place: str, origins: Mapping[str, str]) -> str:
    where = [part for part in error["loc"] if not str(part).startswith("function-")]
    path = _setting_path(where)
    for end in range(1, len(where) + 1):
        variable = origins.get(".".join(str(part) for part in where[:end]))
        if variable is not None:
            place, path = "environment", variable + _setting_path(where[end:])
    at = f"{place}: {path.removeprefix('.')}"
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(where[-1]), _setting_names(where[:-1]), 1)
        return f"{at}: unknown setting" + (f"; did you mean {close[0]}?" if close else "")
    if error["type"] == "missing":
        return f"{at}: missing; it has to be given"
    value = _value_at(given, where)
    # Where a table or a list of them is expected, what is there instead may be or hold a secret.
    secret = any(str(part) in _SECRETS for part in where) or isinstance(value, dict | list)
    secret = secret or where[-1] == "sources" or not isinstance(where[-1], str)
    shown = "" if secret else f" {_shortened(value)}:"
    return f"{at}:{shown} {error['msg'].removeprefix('Value error, ')}"


def _setting_path(where: list[int | str]) -> str:
    return "".join(f"[{part + 1}]" if isinstance(part, int) else f".{part}" for part in where)


def _setting_names(where: list[int | str]) -> list[str]:
    """The settings of the table at ``where``."""
    section: type[BaseModel] = Settings
    for part in where:
        if isinstance(part, str):
            annotation = str(section.model_fields[part].annotation)
            section = next((each for each in Section.__subclasses__() if each.__name__ in annotation), section)
    return list(section.model_fields)


def _value_at(given: object, where: Iterable[int | str]) -> object:
    for part in where:
        given = given[part]  # type: ignore[index] # pydantic has been there
    return given


def _shortened(value: object) -> str:
    text = value.isoformat() if isinstance(value, datetime) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a line


def _build(settings: Settings, path: Path | None, place: str, problems: list[str]) -> Config:
    folder = path.parent if path else Path()
    sources: dict[str, ConfiguredSource] = {}
    for number, each in enumerate(settings.sources or [SourceSettings(slug=DEFAULT_SOURCE)], 1):
        at = f"{place}: sources[{number}]"
        if each.slug in sources:
            problems.append(f"{at}.slug: {each.slug!r} is there twice; every source needs a slug of its own")
        credentials = _credentials(
            each.tokens, each.tokens_file, each.basic, each.header, folder=folder, at=f"{at}.", problems=problems
        )
        if not credentials.are_required and not settings.server.webhook_listen.is_loopback:
            problems.append(
                f"{at}: source {each.slug!r} has no credential, and server.webhook_listen is "
                f"{settings.server.webhook_listen}, which is not loopback; set tokens_file, tokens or basic"
                + (" (or DATAEXPORT_TOKENS)" if each.slug == DEFAULT_SOURCE else "")
            )
        source = Source(each.slug, each.timezone, event_time.load_zone(each.timezone), each.vendor)
        sources[each.slug] = ConfiguredSource(source, credentials)
    server = settings.server
    if server.webhook_listen == server.admin_listen:
        problems.append(
            f"{place}: server.admin_listen: {server.admin_listen} is the address of webhook_listen as well; "
            "give each its own port"
        )
    return Config(
        path=path,
        webhook_listen=server.webhook_listen,
        admin_listen=server.admin_listen,
        admin_credentials=_credentials(
            server.admin_tokens,
            server.admin_tokens_file,
            server.admin_basic,
            "",
            folder=folder,
            at=f"{place}: server.admin_",
            problems=problems,
        ),
        trusted_hops=server.trusted_hops,
        tls=_tls(server, folder, place, problems),
        store_url=settings.store.url.get_secret_value(),
        retention=settings.store.retention,
        limits=settings.limits,
        log=settings.log,
        sources=sources,
        exports=tuple(_declarations(settings.exports, sources, place, problems)),
    )


def _tls(server: Server, folder: Path, place: str, problems: list[str]) -> ssl.SSLContext | None:
    certificate, key = server.tls_certificate_file, server.tls_key_file
    if certificate is None or key is None:
        if certificate != key:
            given, missing = ("tls_key_file", "tls_certificate_file")[:: -1 if key is None else 1]
            problems.append(f"{place}: server.{missing}: is missing; server.{given} needs it beside it")
        return None
    try:
        return tls.load(folder / certificate, folder / key)
    except ValueError as error:
        problems.append(f"{place}: server.tls_certificate_file, server.tls_key_file: {error}")
        return None


def _credentials(  # noqa: PLR0913 - the settings of one table
    tokens: list[SecretStr],
    files: list[str],
    basic: BasicSettings | None,
    header: str,
    *,
    folder: Path,
    at: str,
    problems: list[str],
) -> Credentials:
    found = [each.get_secret_value() for each in tokens]
    for name in files:
        found += _read_secret(folder / name, f"{at}tokens_file", problems)
    pairs = []
    if basic is not None:
        words = [basic.password.get_secret_value()] if basic.password else []
        if basic.password_file is not None:
            words += _read_secret(folder / basic.password_file, f"{at}basic.password_file", problems)
        elif not words:
            problems.append(f"{at}basic: has no password; set password_file or password")
        pairs = [(basic.username, word) for word in words]
    if any(not each.strip() for each in found):
        problems.append(f"{at}tokens: a token is empty; give at least one character")
    return Credentials(tuple(found), header, tuple(pairs))


def _read_secret(path: Path, at: str, problems: list[str]) -> list[str]:
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f"{at}: {str(path)!r} cannot be read ({error}); give a readable text file")
        return []
    if not text:
        problems.append(f"{at}: {str(path)!r} is empty; put the secret into it")
    return [text] if text else []


def _declarations(
    exports: Iterable[ExportSettings],
    sources: Mapping[str, ConfiguredSource],
    place: str,
    problems: list[str],
) -> Iterable[Declaration]:
    seen: set[tuple[str, str]] = set()
    for number, each in enumerate(exports, 1):
        at = f"{place}: exports[{number}]"
        if each.source not in sources:
            problems.append(f"{at}.source: {each.source!r} is no source; the sources are {', '.join(sorted(sources))}")
        if (each.source, each.name) in seen:
            problems.append(f"{at}.name: {each.name!r} is there twice in source {each.source!r}; give another name")
        seen.add((each.source, each.name))
        source = sources[each.source].source if each.source in sources else Source(each.source)
        yield _declaration(each, source, at, problems)


def _declaration(each: ExportSettings, source: Source, at: str, problems: list[str]) -> Declaration:
    wanted = each.match
    often = frequency.parse(wanted.frequency) if wanted.frequency is not None else None
    if not wanted.model_dump(exclude_none=True):
        problems.append(f"{at}.match: is empty; give at least one of request_id, partner, data_type, frequency")
    return Declaration(
        name=each.name,
        match=Selection(
            source=each.source,
            request_id=wanted.request_id,
            partner=None if wanted.partner is None else registry.adapter_of(source).canonical_partner(wanted.partner),
            data_type=None if wanted.data_type is None else wanted.data_type.lower(),
            frequency=often.label if often else None,
        ),
        interval=each.interval or (often.interval if often and often.interval else None),
        grace=each.grace,
        max_runtime=each.max_runtime,
        first_expected=each.first_expected.timestamp() if each.first_expected else 0,
        muted_until=each.muted_until.timestamp() if each.muted_until else 0,
        objective=each.objective,
        owner=each.owner,
        runbook_url=each.runbook_url,
    )
