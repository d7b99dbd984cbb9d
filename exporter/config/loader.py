"""Loads the configuration: reads a file and the environment, and builds one frozen `Config`.

`load` is a function of a path and a mapping; nothing is read at import. All problems are reported at once, each with
its place, the value given, and what would be right.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from exporter.config import file_permissions, secret_files, secret_strength, store_url, tls
from exporter.config.credentials import Credentials
from exporter.config.environment import FILE_VARIABLES, overlay_environment
from exporter.config.secret_strength import Secret
from exporter.config.settings import DEFAULT_SOURCE, Settings, SourceSettings
from exporter.config.validation_errors import describe_error
from exporter.domain import event_time, frequency
from exporter.domain.errors import ConfigurationError
from exporter.domain.exports import Declaration, Selection, Source
from exporter.ingest.vendors import registry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping

    from pydantic import SecretStr

    from exporter.config.settings import Address, BasicSettings, ExportSettings, Limits, Log


@dataclass(frozen=True, slots=True)
class ConfiguredSource:
    """A source and the credentials that its webhook accepts."""

    source: Source
    credentials: Credentials


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, validated.

    Attributes:
        path: the configuration file; None if there is none.
        trusted_hops: how many reverse proxies in front of the webhook are trusted to name the client's address.
        keep_alive: how long a connection to the webhook listener may wait for its next request, in seconds.
        tls: the TLS context of the webhook listener; None for plain HTTP.
        retention: how long events are kept at least, in seconds.
        sources: the sources by slug.
        exports: the declared exports, in the order of the file.
    """

    path: Path | None
    webhook_listen: Address
    admin_listen: Address
    admin_credentials: Credentials
    trusted_hops: int
    keep_alive: int
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
        return store_url.without_password(self.store_url)

    @property
    def sources_without_credentials(self) -> dict[str, Source]:
        """The sources without their credentials, by slug."""
        return {slug: configured.source for slug, configured in self.sources.items()}


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Load the configuration.

    Args:
        path: the TOML file; None for the defaults and the environment alone.
        environment: all environment variables; those that start with ``DATAEXPORT_`` are settings.

    Raises:
        ConfigurationError: lists every problem of the configuration.
    """
    problems: list[str] = []
    place = str(path) if path else "environment"
    file_tables = _read_file(path) if path else {}
    tables, origins = overlay_environment(file_tables, environment, problems)
    try:
        settings = Settings.model_validate(tables)
    except ValidationError as error:
        problems += [describe_error(details, tables, place, origins) for details in error.errors(include_url=False)]
        raise ConfigurationError(problems) from error
    config = _ConfigBuilder(settings, path, place, problems).build()
    variables = [f"{name}_FILE" for name in sorted(FILE_VARIABLES)]
    variable_files = {name: Path(environment[name]) for name in variables if name in environment}
    files = secret_files.secret_files(tables, file_tables, path, variable_files)
    problems += file_permissions.writable_by_all(files)
    if not settings.server.allow_readable_secrets:
        problems += file_permissions.readable_by_all(files)
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


class _ConfigBuilder:
    """Builds a `Config` from validated settings, and collects the problems that concern several settings or files.

    Args:
        settings: the settings.
        path: the configuration file; other files are relative to its folder.
        place: how problems name the file.
        problems: the list to which problems are added.
    """

    def __init__(self, settings: Settings, path: Path | None, place: str, problems: list[str]) -> None:
        self._settings = settings
        self._path = path
        self._folder = path.parent if path else Path()
        self._place = place
        self._problems = problems
        self._secrets: list[Secret] = []

    def build(self) -> Config:
        settings, server = self._settings, self._settings.server
        admin_credentials = self._credentials(
            server.admin_tokens, server.admin_tokens_file, server.admin_basic, at="server.admin_"
        )
        sources = self._sources()
        self._problems += [f"{self._place}: {problem}" for problem in secret_strength.problems(self._secrets)]
        wants_credential = server.admin_tokens or server.admin_tokens_file or server.admin_basic
        if not (server.admin_listen.is_loopback or wants_credential or server.admin_open):
            self._problems.append(
                f"{self._place}: server.admin_listen: {server.admin_listen} is not loopback, and nobody needs a "
                "credential there; set server.admin_tokens_file, admin_tokens or admin_basic (or "
                "DATAEXPORT_ADMIN_TOKENS), or server.admin_open = true (or DATAEXPORT_ADMIN_OPEN) if all who reach it "
                "may see everything and reload"
            )
        if server.webhook_listen == server.admin_listen:
            self._problems.append(
                f"{self._place}: server.admin_listen: {server.admin_listen} is the address of webhook_listen as well; "
                "give each its own port"
            )
        limits = settings.limits
        if limits.total_request_bytes < limits.request_bytes:
            self._problems.append(
                f"{self._place}: limits.total_request_bytes: {limits.total_request_bytes} is less than "
                f"limits.request_bytes, {limits.request_bytes}; give at least as much, so that one request fits"
            )
        return Config(
            path=self._path,
            webhook_listen=server.webhook_listen,
            admin_listen=server.admin_listen,
            admin_credentials=admin_credentials,
            trusted_hops=server.trusted_hops,
            keep_alive=server.keep_alive,
            tls=self._tls(),
            store_url=settings.store.url.get_secret_value(),
            retention=settings.store.retention,
            limits=settings.limits,
            log=settings.log,
            sources=sources,
            exports=tuple(self._declarations(sources)),
        )

    def _sources(self) -> dict[str, ConfiguredSource]:
        sources: dict[str, ConfiguredSource] = {}
        for number, table in enumerate(self._settings.sources or [SourceSettings(slug=DEFAULT_SOURCE)], 1):
            at = f"{self._place}: sources[{number}]"
            if table.slug in sources:
                self._problems.append(f"{at}.slug: {table.slug!r} is there twice; every source needs a slug of its own")
            credentials = self._credentials(
                table.tokens, table.tokens_file, table.basic, table.header, at=f"sources[{number}]."
            )
            webhook_listen = self._settings.server.webhook_listen
            if not credentials.are_required and not webhook_listen.is_loopback:
                self._problems.append(
                    f"{at}: source {table.slug!r} has no credential, and server.webhook_listen is "
                    f"{webhook_listen}, which is not loopback; set tokens_file, tokens or basic"
                    + (" (or DATAEXPORT_TOKENS)" if table.slug == DEFAULT_SOURCE else "")
                )
            zone = event_time.load_zone(table.timezone)
            source = Source(table.slug, table.timezone, zone, table.vendor, table.severity)
            sources[table.slug] = ConfiguredSource(source, credentials)
        return sources

    def _credentials(
        self, tokens: list[SecretStr], files: list[str], basic: BasicSettings | None, header: str = "", *, at: str
    ) -> Credentials:
        secrets = [Secret(at, f"{at}tokens", token.get_secret_value()) for token in tokens]
        for name in files:
            secrets += [Secret(at, f"{at}tokens_file", text) for text in self._read_secret(name, f"{at}tokens_file")]
        pairs = []
        if basic is not None:
            passwords = [basic.password.get_secret_value()] if basic.password else []
            if basic.password_file is not None:
                passwords += self._read_secret(basic.password_file, f"{at}basic.password_file")
            elif not passwords:
                self._problems.append(f"{self._place}: {at}basic: has no password; set password_file or password")
            pairs = [(basic.username, password) for password in passwords]
        self._secrets += [*secrets, *(Secret(at, f"{at}basic", password) for _, password in pairs)]
        return Credentials(tuple(secret.text for secret in secrets), header, tuple(pairs))

    def _read_secret(self, name: str, at: str) -> list[str]:
        """Read a file with one secret; return no secret if there is a problem."""
        path = self._folder / name
        try:
            text = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            self._problems.append(
                f"{self._place}: {at}: {str(path)!r} cannot be read ({error}); give a readable text file"
            )
            return []
        if not text:
            self._problems.append(f"{self._place}: {at}: {str(path)!r} is empty; put the secret into it")
            return []
        return [text]

    def _tls(self) -> ssl.SSLContext | None:
        server = self._settings.server
        certificate, key = server.tls_certificate_file, server.tls_key_file
        if certificate is None or key is None:
            if certificate != key:
                given, missing = ("tls_key_file", "tls_certificate_file")[:: -1 if key is None else 1]
                self._problems.append(f"{self._place}: server.{missing}: is missing; server.{given} needs it beside it")
            return None
        try:
            return tls.load(self._folder / certificate, self._folder / key)
        except ValueError as error:
            self._problems.append(f"{self._place}: server.tls_certificate_file, server.tls_key_file: {error}")
            return None

    def _declarations(self, sources: Mapping[str, ConfiguredSource]) -> Iterable[Declaration]:
        seen: set[tuple[str, str]] = set()
        for number, table in enumerate(self._settings.exports, 1):
            at = f"{self._place}: exports[{number}]"
            if table.source not in sources:
                self._problems.append(
                    f"{at}.source: {table.source!r} is no source; the sources are {', '.join(sorted(sources))}"
                )
            if (table.source, table.name) in seen:
                self._problems.append(
                    f"{at}.name: {table.name!r} is there twice in source {table.source!r}; give another name"
                )
            seen.add((table.source, table.name))
            if not table.match.model_dump(exclude_none=True):
                self._problems.append(
                    f"{at}.match: is empty; give at least one of request_id, partner, data_type, frequency"
                )
            source = sources[table.source].source if table.source in sources else Source(table.source)
            yield _declaration(table, source)


def _declaration(table: ExportSettings, source: Source) -> Declaration:
    match = table.match
    parsed = frequency.parse(match.frequency) if match.frequency is not None else None
    return Declaration(
        name=table.name,
        match=Selection(
            source=table.source,
            request_id=match.request_id,
            partner=None if match.partner is None else registry.adapter_of(source).canonical_partner(match.partner),
            data_type=None if match.data_type is None else match.data_type.lower(),
            frequency=parsed.label if parsed else None,
        ),
        interval=table.interval or (parsed.interval if parsed and parsed.interval else None),
        grace=table.grace,
        max_runtime=table.max_runtime,
        first_expected=table.first_expected.timestamp() if table.first_expected else 0,
        muted_until=table.muted_until.timestamp() if table.muted_until else 0,
        objective=table.objective,
        severity=table.severity,
        owner=table.owner,
        runbook_url=table.runbook_url,
    )
